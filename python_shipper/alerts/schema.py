"""What a rules file may hold: every key of every section, in words and as what makes its value, as tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from python_shipper.alerts.rules import DAYS, FINDING_FIELDS, LABEL
from python_shipper.analyzers import SEVERITIES
from python_shipper.settings import BOOLEANS

DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
ADDRESS = re.compile(r"[^@\s<>,]{1,64}@[^@\s<>,]{1,190}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
NOTHING: Any = object()
MOST_RULES = 500


class Key(NamedTuple):
    """One key of a section: what it may hold in words, what makes the value of it (or raises), what it is without."""

    expected: str
    convert: Callable[[Any], Any]
    default: Any = NOTHING
    secret: bool = False
    section: bool = False  # its values have keys of their own, and are read by those


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def name(value: Any) -> str:
    """A name: of a rule, a route."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError
    return value


def one_of(*choices: str) -> Callable[[Any], str]:
    """One of a few words."""

    def convert(value: Any) -> str:
        return choices[choices.index(value)]

    return convert


def texts(value: Any) -> tuple[str, ...]:
    """One text, or a list of them."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
        raise ValueError
    return tuple(values)


def some_of(choices: tuple[str, ...]) -> Callable[[Any], tuple[str, ...]]:
    """A list of known words."""

    def convert(value: Any) -> tuple[str, ...]:
        return tuple(choices[choices.index(item)] for item in texts(value))

    return convert


def parts(value: Any) -> tuple[str, ...]:
    """Parts of a finding."""
    found = texts(value)
    if any(part not in FINDING_FIELDS and not part.removeprefix(LABEL) != part for part in found):
        raise ValueError
    return found


def pairs(value: Any) -> dict[str, str]:
    """A mapping of texts."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError
    return {key: item if isinstance(item, str) else scalar(item) for key, item in value.items()}


def scalar(value: Any) -> str:
    """A number as text; YAML makes numbers of what looks like one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return str(value)


def boolean(value: Any) -> bool:
    """True or false."""
    return BOOLEANS[str(value).lower()]


def seconds(value: Any) -> float:
    """A duration such as 90s, 15m, 2h, 1d."""
    match = DURATION.fullmatch(str(value)) if not isinstance(value, bool) else None
    if match is None and value != 0:
        raise ValueError
    return float(match[1]) * SECONDS[match[2]] if match else 0.0


def limit(value: Any) -> float:
    """A duration in which something can happen."""
    found = seconds(value)
    if not found:
        raise ValueError
    return found


def port(value: Any) -> int:
    """A port."""
    number = int(value)
    if isinstance(value, bool) or not 1 <= number <= 65_535:
        raise ValueError
    return number


def clock(value: Any) -> time:
    """A time of day; YAML reads an unquoted 22:00 as 1320 minutes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return time(value // 60, value % 60)
    match = CLOCK.fullmatch(value)
    if match is None:
        raise ValueError
    return time(int(match[1]), int(match[2]))


def url(value: Any) -> str:
    """An address that TLS protects, or one of this machine."""
    found = urlsplit(text(value))
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError
    plain = found.scheme == "http" and found.hostname in LOOPBACK
    if not (found.scheme == "https" or plain) or not found.hostname or found.username or found.password:
        raise ValueError
    if found.port == 0:  # reading it also refuses what is no port
        raise ValueError
    return str(value)


def addresses(value: Any) -> tuple[str, ...]:
    """E-mail addresses: a list of them, or a text with commas between them, as a variable holds it."""
    found = tuple(part.strip() for item in texts(value) for part in item.split(",") if part.strip())
    if not found or not all(map(ADDRESS.fullmatch, found)):
        raise ValueError
    return found


def address(value: Any) -> str:
    """One e-mail address."""
    (found,) = addresses(value)
    return found


def existing(value: Any) -> Path:
    """A file that is there."""
    path = Path(text(value)).expanduser()
    if not path.is_file():
        raise ValueError
    return path


def rule_list(value: Any) -> list[Any]:
    """A list that is not too long."""
    if not isinstance(value, list) or len(value) > MOST_RULES:
        raise ValueError
    return value


SEVERITY = (f"one of {', '.join(SEVERITIES)}", one_of(*SEVERITIES))
PATTERNS = ("a pattern, or a list of patterns, such as orders*", texts)
PARTS = (f"a list of {', '.join(FINDING_FIELDS)} and labels.<name>", parts)
DURATIONS = ("a duration such as 90s, 15m, 2h or 0s", seconds)
SECRET_URL = "an https address (http only on this machine) without user and password"  # noqa: S105
TIMEOUT = Key("a duration such as 90s or 15m, above 0", limit, default=10.0)
ADDRESSES = "e-mail addresses such as ops@example.com, one or more with commas between them or as a list"
CA = Key("the path of a PEM file", existing, default=None)

TOP = {
    "routes": Key("a mapping of names to routes", lambda value: dict(value or {}), default={}, section=True),
    "quiet_hours": Key("a mapping of names to quiet hours", lambda value: dict(value or {}), default={}, section=True),
    "rules": Key(f"a list of at most {MOST_RULES} rules", rule_list, section=True),
}
MATCH = {
    "kind": Key(*PATTERNS, default=()),
    "service": Key(*PATTERNS, default=()),
    "operation": Key(*PATTERNS, default=()),
    "labels": Key("a mapping of names to patterns", pairs, default={}),
    "severity": Key(*SEVERITY, default=SEVERITIES[0]),
}
GROUP = {"wait": Key(*DURATIONS), "by": Key(*PARTS, default=())}
QUIET = {
    "from": Key('a time of day such as "22:00"', clock),
    "to": Key('a time of day such as "07:00"', clock),
    "zone": Key("a time zone such as Asia/Seoul", lambda value: ZoneInfo(text(value))),
    "days": Key(f"a list of {', '.join(DAYS)}", some_of(DAYS), default=DAYS),
    "lets_through": Key(*SEVERITY, default=SEVERITIES[-1]),
}
RULE = {
    "name": Key("a name of letters, digits, _ . -", name),
    "match": Key("a mapping", dict, default={}, section=True),
    "routes": Key("a list of names of routes", texts, default=()),
    "severity": Key(*SEVERITY, default=None),
    "key": Key(*PARTS, default=()),
    "cool_down": Key(*DURATIONS, default=900.0),
    "group": Key("a mapping with the key wait", dict, default=None, section=True),
    "quiet_hours": Key("the name of quiet hours", name, default=None),
    "resolve": Key("true or false", boolean, default=True),
}
ROUTES: Mapping[str, Mapping[str, Key]] = {
    "slack": {"url": Key(SECRET_URL, url, secret=True), "timeout": TIMEOUT, "ca": CA},
    "webhook": {
        "url": Key(SECRET_URL, url),
        "headers": Key("a mapping of names to texts", pairs, default={}),
        "timeout": TIMEOUT,
        "ca": CA,
    },
    "email": {
        "host": Key("the name of a mail server", text),
        "port": Key("a port", port, default=None),
        "tls": Key("one of starttls, implicit, none", one_of("starttls", "implicit", "none"), default="starttls"),
        "user": Key("a text", text, default=None),
        "password": Key("a text", text, default=None, secret=True),
        "from": Key("an e-mail address such as ops@example.com", address),
        "to": Key(ADDRESSES, addresses),
        "timeout": TIMEOUT,
        "ca": CA,
    },
}
