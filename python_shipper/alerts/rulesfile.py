"""Reads a rules file, and says of a bad one in one line: which file, which key, what was expected.

Secrets stand in the environment: where a route takes one, the file names the variable, and nothing else is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from python_shipper.alerts.rules import Group, Match, QuietHours, Route, Rule, Rules
from python_shipper.alerts.schema import GROUP, MATCH, NAME, NOTHING, QUIET, ROUTES, RULE, TOP, Key
from python_shipper.contract import read_yaml
from python_shipper.core.configfile import VARIABLE
from python_shipper.core.masking import default_masker
from python_shipper.errors import ConfigurationError

DEFAULT = Path(__file__).parent / "default_rules.yml"
SECRET = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class Reader:
    """One rules file while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rules(self) -> Rules:
        """The whole file."""
        top = self.section("", self.content(), TOP, "a mapping with the key rules")
        routes = {key: self.route(key, value) for key, value in top["routes"].items()}
        quiet = {key: self.quiet(f"quiet_hours.{key}", value) for key, value in top["quiet_hours"].items()}
        rules = tuple(self.rule(f"rules[{at}]", value, routes, quiet) for at, value in enumerate(top["rules"]))
        for at, rule in enumerate(rules):
            if rule.name in {other.name for other in rules[:at]}:
                self.refuse(f"rules[{at}].name", "a name that no other rule has", rule.name)
        return Rules(path=self.path, rules=rules, routes=routes)

    def content(self) -> Any:
        """The file as YAML has it."""
        try:
            return read_yaml(self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be read: {error.strerror}; see ALERTS_FILE") from error
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigurationError(f"{self.path}: is not valid YAML: {' '.join(str(error).split())}") from error

    def route(self, route: str, value: Any) -> Route:
        """A route by its type."""
        where = f"routes.{route}"
        if not isinstance(route, str) or not NAME.fullmatch(route):
            self.refuse(where, "a name of letters, digits, _ . -", route)
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in ROUTES:
            self.refuse(f"{where}.type" if isinstance(value, dict) else where, f"one of {', '.join(ROUTES)}", kind)
        given = {key: item for key, item in value.items() if key != "type"}
        options = self.section(where, given, ROUTES[kind], "a mapping")
        CHECKS[kind](self, where, value, options)
        return Route(name=route, type=kind, options=options)

    def quiet(self, where: str, value: Any) -> QuietHours:
        """Quiet hours."""
        found = self.section(where, value, QUIET, "a mapping with the keys from, to and zone")
        return QuietHours(begin=found.pop("from"), end=found.pop("to"), **found)

    def rule(self, where: str, value: Any, routes: Mapping[str, Route], quiet: Mapping[str, QuietHours]) -> Rule:
        """A rule whose routes and quiet hours exist."""
        found = self.section(where, value, RULE, "a mapping with the key name")
        for at, route in enumerate(found["routes"]):
            if route not in routes:
                self.refuse(f"{where}.routes[{at}]", f"one of {known(routes, 'routes')}", route)
        if found["quiet_hours"] is not None and found["quiet_hours"] not in quiet:
            self.refuse(f"{where}.quiet_hours", f"one of {known(quiet, 'quiet_hours')}", found["quiet_hours"])
        group = self.section(f"{where}.group", found.pop("group") or {"wait": 0}, GROUP, "a mapping with the key wait")
        return Rule(
            match=Match(**self.section(f"{where}.match", found.pop("match"), MATCH, "a mapping")),
            group=Group(wait_seconds=group["wait"], by=group["by"]),
            quiet_hours=quiet.get(found.pop("quiet_hours")),
            cool_down_seconds=found.pop("cool_down"),
            **found,
        )

    def section(self, where: str, value: Any, keys: Mapping[str, Key], expected: str) -> dict[str, Any]:
        """The values of a section, all keys of which are known and hold what they may."""
        if not isinstance(value, dict):
            self.refuse(where or "the file", expected, value)
        for key, item in value.items():
            if key not in keys:
                self.refuse(f"{where}.{key}".lstrip("."), f"one of {', '.join(keys)}", item)
        return {key: self.value(f"{where}.{key}".lstrip("."), value.get(key), spec) for key, spec in keys.items()}

    def value(self, where: str, given: Any, spec: Key) -> Any:
        """One value, with the environment's variables put in."""
        if given is None:
            return spec.default if spec.default is not NOTHING else self.refuse(where, spec.expected, None)
        if spec.secret and not (isinstance(given, str) and SECRET.fullmatch(given)):
            self.refuse(where, "a variable that holds it, such as ${ALERTS_SECRET}", "something else")
        try:
            return spec.convert(given if spec.section else self.filled(where, given))
        except (ValueError, TypeError, KeyError, OSError):
            return self.refuse(where, spec.expected, "what its variable holds" if spec.secret else given)

    def filled(self, where: str, given: Any) -> Any:
        """``given`` with variables put in, at any depth; what was a text stays one."""
        if isinstance(given, dict):
            return {key: self.filled(f"{where}.{key}", item) for key, item in given.items()}
        if isinstance(given, list):
            return [self.filled(f"{where}[{at}]", item) for at, item in enumerate(given)]
        return VARIABLE.sub(lambda match: self.variable(where, match), given) if isinstance(given, str) else given

    def variable(self, where: str, match: re.Match[str]) -> str:
        """What stands for ``${NAME}`` or ``${NAME:-default}``."""
        found = os.environ.get(match[1]) or match[2]
        if not found:
            raise ConfigurationError(f"{self.path}: {where}: the variable {match[1]} is not set; set it")
        return found

    def refuse(self, where: str, expected: str, got: Any) -> NoReturn:
        """Say what is wrong."""
        shown = "nothing" if got is None else got if got == "something else" else f"{got!r:.80}"
        raise ConfigurationError(f"{self.path}: {where}: expected {expected}, got {shown}")


def check_headers(reader: Reader, where: str, given: Any, options: dict[str, Any]) -> None:
    """That headers can be sent, and that those that hold a secret are variables."""
    for header, value in options["headers"].items():
        here = f"{where}.headers.{header}"
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", header) or "\n" in value or "\r" in value:
            reader.refuse(here, "an HTTP header of one line", header)
        if default_masker().action(header) and not SECRET.search(str(given["headers"][header])):
            reader.refuse(here, "a variable that holds it, such as ${ALERTS_SECRET}", "something else")


def check_login(reader: Reader, where: str, given: Any, options: dict[str, Any]) -> None:
    """That a login is whole, and does not go over the wire in clear."""
    if (options["user"] is None) != (options["password"] is None):
        missing = "user" if options["user"] is None else "password"
        reader.refuse(f"{where}.{missing}", "user and password, or neither", None)
    if options["user"] is not None and options["tls"] == "none":
        reader.refuse(f"{where}.tls", "starttls or implicit where there is a login", "none")


def known(section: Mapping[str, object], title: str) -> str:
    """The names of a section."""
    return ", ".join(section) or f"the section {title}, which is empty"


CHECKS: Mapping[str, Callable[[Reader, str, Any, dict[str, Any]], None]] = {
    "slack": lambda *_: None,
    "webhook": check_headers,
    "email": check_login,
}


def load_rules(path: Path | None) -> Rules:
    """The rules of the file ``path``, or the shipped ones, which send nothing.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown or holds what it may not; the message names
            file, key and what was expected.
    """
    return Reader(path or DEFAULT).rules()
