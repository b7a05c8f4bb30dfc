"""The contract as data: fields, short names and masking rules, read once from the YAML files beside this module.

The same files are read by ``logstash/pipeline/scripts/normalize.rb``; whatever they decide is decided once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

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
    """Bounds on values, in characters, levels and seconds."""

    keyword_characters: int
    extra_characters: int
    extra_depth: int
    future_seconds: int


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
