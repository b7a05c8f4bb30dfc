"""The contract as data: fields, short names and masking rules, read once from the YAML files beside this module.

The same files are read by ``logstash/pipeline/scripts/normalize.rb``; whatever they decide is decided once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from python_shipper.errors import ConfigurationError

Action = Literal["mask", "hash", "drop"]
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a stored document: its ECS path, Elasticsearch type, and whether masking leaves it alone."""

    path: str
    type: str
    array: bool = False
    exempt: bool = False
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class ShortName:
    """A name accepted in ``extra=`` and in flat lines; ``scale`` multiplies a number on its way to ``field``."""

    name: str
    field: str
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on values, in characters, levels and seconds, and on how many services there are."""

    keyword_characters: int
    extra_characters: int
    extra_depth: int
    future_seconds: int
    service_names: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One masking rule: ``keys`` (word-split names) and ``patterns`` (regular expressions) lead to ``action``."""

    name: str
    action: Action
    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    check: Literal["luhn", "rrn", "iban"] | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything in ``fields.yml``: fields by path and short names by name, in the file's order."""

    ecs_version: str
    limits: Limits
    fields: dict[str, Field]
    short_names: dict[str, ShortName]


@cache
def contract() -> Contract:
    """The field contract of ``fields.yml``."""
    data = read_yaml(HERE / "fields.yml")
    return Contract(
        ecs_version=data["ecs_version"],
        limits=Limits(**data["limits"]),
        fields={path: Field(path, **spec) for path, spec in data["fields"].items()},
        short_names={name: ShortName(name, **spec) for name, spec in data["short_names"].items()},
    )


@cache
def masking_rules() -> tuple[Rule, ...]:
    """The masking rules of ``masking.yml``, in the order in which they apply."""
    return tuple(rule(**spec) for spec in read_yaml(HERE / "masking.yml")["rules"])


def rule(
    *,
    name: str,
    action: Action,
    keys: list[str] | None = None,
    patterns: list[str] | None = None,
    check: Literal["luhn", "rrn", "iban"] | None = None,
) -> Rule:
    """A rule from its YAML form."""
    return Rule(name, action, tuple(keys or ()), tuple(patterns or ()), check)


def own_rules(path: Path) -> tuple[Rule, ...]:
    """The shipped rules with those of the file ``path``: one of a shipped rule's name in its place, new ones first.

    Raises:
        ConfigurationError: the file cannot be read, or a rule holds what no rule may; the message names file and rule.
    """
    try:
        data = read_yaml(path)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"LOG_MASKING_FILE: cannot read {path}: {' '.join(str(error).split())}") from error
    specs = data.get("rules") if isinstance(data, dict) else None
    if not isinstance(specs, list):
        raise ConfigurationError(f"{path}: rules: expected a list of rules, got {specs!r:.80}")
    own = {found.name: found for found in (checked_rule(path, at, spec) for at, spec in enumerate(specs))}
    shipped = {found.name: found for found in masking_rules()}
    new = [found for name, found in own.items() if name not in shipped]
    return (*new, *(own.get(name, found) for name, found in shipped.items()))


def checked_rule(path: Path, at: int, spec: Any) -> Rule:
    """A rule of somebody's own file."""
    where = f"{path}: rules[{at}]"
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise ConfigurationError(f"{where}: expected a mapping with the key name, got {spec!r:.80}")
    for key, value in spec.items():
        expected, fits = RULE_KEYS.get(key, (f"one of {', '.join(RULE_KEYS)}", lambda _: False))
        if not fits(value):
            raise ConfigurationError(f"{where}.{key}: expected {expected}, got {value!r:.80}")
    if "action" not in spec:
        raise ConfigurationError(f"{where}.action: expected {RULE_KEYS['action'][0]}, got nothing")
    return rule(**spec)


def is_texts(value: Any) -> bool:
    """Whether ``value`` is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# What a rule may hold, in words and as a test.
RULE_KEYS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a name", lambda value: isinstance(value, str)),
    "action": ("mask, hash or drop", lambda value: value in ("mask", "hash", "drop")),
    "keys": ("a list of names", is_texts),
    "patterns": ("a list of regular expressions", is_texts),
    "check": ("luhn, rrn or iban", lambda value: value in ("luhn", "rrn", "iban")),
}


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, by libyaml's parser where PyYAML was built with it (ten times faster)."""
    return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe


def deployed(folder: str) -> Path:
    """The folder ``elasticsearch``, ``ilm_policies``, …: in an installed wheel, or beside the package in a checkout.

    Raises:
        FileNotFoundError: neither exists; the installation is damaged.
    """
    for parent in (HERE.parent / "_deploy", HERE.parent.parent):
        if (parent / folder).is_dir():
            return parent / folder
    raise FileNotFoundError(f"the folder {folder} is missing from this installation; install python-shipper again")
