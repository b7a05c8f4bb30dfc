"""A caller's fields (short, dotted or nested names) become part of an ECS event: masked, in type, nothing lost.

The quick way takes values that plainly are what the contract wants. At the first doubt all fields go the careful way
through :mod:`~python_shipper.core.normalize`, which the agent applies to lines of any origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from python_shipper.contract import Field, contract
from python_shipper.core import Event
from python_shipper.core.extra import bounded, place
from python_shipper.core.masking import Masker, untouched
from python_shipper.core.normalize import EXTRA, nested, normalized
from python_shipper.core.plain import plain
from python_shipper.core.values import LONG_MAX, LONG_MIN, prefixes, scaled

# Written by the line itself; a caller's value of that name goes to christmas.extra.
RESERVED = ("@timestamp", "log.level", "message", "ecs.version", "event.id", "log.logger")
KEYWORD_CHARACTERS = contract().limits.keyword_characters
QUICK_CHARACTERS = 4000
QUICK_KEY_CHARACTERS = 64
_QUICK_TYPES = {
    "keyword": (str,),
    "match_only_text": (str,),
    "wildcard": (str,),
    "long": (int,),
    "double": (float, int),
    "boolean": (bool,),
}
_LABEL_KEYS = str.maketrans(".*\\", "___")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name leads, its path split for walking, and the types of which a value may go there the quick way."""

    field: Field
    parents: tuple[str, ...]
    leaf: str
    scale: int
    types: tuple[type, ...]
    identifier: bool

    @classmethod
    def of(cls, field: Field, scale: int = 1) -> Place:
        """The place of a field of the contract; one that only the careful way fills accepts no type here."""
        *parents, leaf = field.path.split(".")
        careful = field.array or field.path in RESERVED or field.type not in _QUICK_TYPES
        types = () if careful else (int, float) if scale != 1 else _QUICK_TYPES[field.type]
        return cls(field, tuple(parents), leaf, scale, types, types == (str,) and untouched(field))


class Placer:
    """Places fields by the contract; safe to share between threads."""

    def __init__(self, masker: Masker) -> None:
        self.masker = masker
        fields = contract().fields
        self._places = {path: Place.of(field) for path, field in fields.items()}
        self._places |= {n.name: Place.of(fields[n.field], n.scale) for n in contract().short_names.values()}

    def place(self, fields: Mapping[Any, Any]) -> Event:
        """A new nested event with all of ``fields`` except those that are None or empty objects; never raises."""
        event: Event = {}
        for key, value in fields.items():
            found = self._places.get(key)
            done = self._known(event, found, value) if found else self._unknown(event, key, value)
            if not done:
                return self.careful(fields)
        return event

    def careful(self, fields: Mapping[Any, Any]) -> Event:
        """As ``place``, for any keys and values."""
        line = plain(fields)
        if not isinstance(line, dict):
            line = {"extra": line}
        if isinstance(line.get("labels"), dict):
            # The ECS logging spec's rule for the keys of labels.
            line["labels"] = {name.translate(_LABEL_KEYS): value for name, value in line["labels"].items()}
        placed = normalized(line, self.masker)
        for path in RESERVED:
            if path in placed:
                extra = placed.setdefault(EXTRA, {})
                place(extra, tuple(path.split(".")), placed.pop(path))
                placed[EXTRA] = bounded(extra)
        return nested(placed)

    def _known(self, event: Event, place: Place, value: Any) -> bool:
        if type(value) not in place.types:
            return value is None
        if place.identifier:
            if len(value) > KEYWORD_CHARACTERS:
                return False
        elif type(value) is str:
            if len(value) > KEYWORD_CHARACTERS and place.field.type == "keyword":
                return False
            value = self.masker.field(place.field, value)
        elif not -9e15 < value < 9e15:  # also not a number
            return False
        elif place.scale != 1:
            value = scaled(value, place.scale)
        node = event
        for part in place.parents:
            node = node.setdefault(part, {})
        if place.leaf in node:
            return False
        node[place.leaf] = value
        return True

    def _unknown(self, event: Event, key: Any, value: Any) -> bool:
        if type(key) is not str or "." in key or key in prefixes() or len(key) > QUICK_KEY_CHARACTERS or "\0" in key:
            return False
        kind = type(value)
        if kind is str:
            if len(value) > QUICK_CHARACTERS:
                return False
        elif kind is int:
            if not LONG_MIN <= value <= LONG_MAX:
                return False
        elif kind is float:
            if not -9e15 < value < 9e15:
                return False
        elif kind is not bool:
            return value is None
        extra = event.setdefault("christmas", {}).setdefault("extra", {})
        extra[key] = self.masker.value(key, value)
        return True


def merged(below: Event, above: Event) -> Event:
    """A new event with the leaves of both; where both have one, that of ``above``."""
    result = {**below, **above}
    for key, value in above.items():
        if type(value) is dict and type(below.get(key)) is dict:
            result[key] = merged(below[key], value)
    return result
