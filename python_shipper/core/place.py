"""A caller's fields (short, dotted or nested names) become part of an ECS event: masked, in type, nothing lost.

The quick way takes values that plainly are what the contract wants. At the first doubt all fields go the careful way
through :mod:`~python_shipper.core.normalize`, which the agent applies to lines of any origin.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from math import floor
from typing import Any, NamedTuple

from python_shipper.contract import Field, contract
from python_shipper.core import Event
from python_shipper.core.extra import bounded, place
from python_shipper.core.masking import Masker, untouched
from python_shipper.core.normalize import EXTRA, nested, normalized
from python_shipper.core.plain import plain, well_formed
from python_shipper.core.values import MISFIT, ip, prefixes

# Written by the line itself or by its reader; a caller's value of that name goes to christmas.extra.
RESERVED = (
    "@timestamp",
    "log.level",
    "message",
    "ecs.version",
    "event.id",
    "log.logger",
    "log.file.path",
    "log.offset",
)
KEYWORD_CHARACTERS = contract().limits.keyword_characters
QUICK_CHARACTERS = 4000
QUICK_KEY_CHARACTERS = 64
MAX_KEYS = 4096
MAX_SIZE = sys.maxsize


class _Address:
    """Stands for text that is an address: of no value's type, so that the place looks closer."""


class _Words:
    """Stands for a list of short texts that masking leaves alone, such as `event.category`; as with an address."""


_ADDRESS, _WORDS = (_Address,), (_Words,)
_QUICK_TYPES: dict[str, tuple[type, ...]] = {
    "keyword": (str,),
    "match_only_text": (str,),
    "wildcard": (str,),
    "long": (int,),
    "double": (float, int),
    "boolean": (bool,),
    "ip": _ADDRESS,
}
# The ECS logging spec's rule for the keys of labels.
_LABEL_KEYS = str.maketrans(".*\\", "___")


class Place(NamedTuple):
    """Where a name leads, and the types of which a value may go there the quick way; a tuple unpacks quickly."""

    types: tuple[type, ...]
    most: int  # characters of a text
    mask: Callable[[str], Any] | None
    scale: int
    root: str
    between: tuple[str, ...]
    leaf: str

    @classmethod
    def of(cls, field: Field, masker: Masker, scale: int = 1) -> Place:
        """The place of a field of the contract; one that only the careful way fills accepts no type here."""
        root, *between, leaf = ("", *field.path.split("."))[-max(2, field.path.count(".") + 1) :]
        careful = field.array or field.path in RESERVED or field.type not in _QUICK_TYPES
        types = () if careful else (int, float) if scale != 1 else _QUICK_TYPES[field.type]
        if field.array and field.type == "keyword" and field.exempt and root:
            types = _WORDS
        most = KEYWORD_CHARACTERS if field.type == "keyword" else MAX_SIZE
        by_name = masker.action(leaf) and partial(masker.value, leaf)
        mask = None if untouched(field) else by_name or masker.text
        return cls(types, most, mask, scale, root, tuple(between), leaf)


class Placer:
    """Places fields by the contract; safe to share between threads."""

    def __init__(self, masker: Masker) -> None:
        self.masker = masker
        self._plain_keys: set[str] = set()
        fields = contract().fields
        self._places = {path: Place.of(field, masker) for path, field in fields.items()}
        self._places |= {n.name: Place.of(fields[n.field], masker, n.scale) for n in contract().short_names.values()}

    def place(self, fields: Mapping[Any, Any], identity: str | None = None) -> Event:
        """A new nested event with all of ``fields`` except those that are None or empty objects; never raises.

        ``identity`` is the `event.id` of the line, if it is to be part of the event.
        """
        event: Event = {} if identity is None else {"event": {"id": identity}}
        places = self._places
        for key, value in fields.items():
            place = places.get(key)
            if place is None:
                if self._unknown(event, key, value):
                    continue
                return self.careful(fields, identity)
            types, most, mask, scale, root, between, leaf = place
            kind = type(value)
            if kind not in types:
                if value is None:
                    continue
                if types is _WORDS and are_words(value):
                    value = value[:]
                elif types is not _ADDRESS or ip(value) is MISFIT:
                    return self.careful(fields, identity)
            if kind is str:
                if len(value) > most:
                    return self.careful(fields, identity)
                if mask is not None:
                    value = mask(value)
            elif types is not _WORDS and not -9e15 < value * scale < 9e15:  # also not a number
                return self.careful(fields, identity)
            elif scale != 1:
                value = floor(value * scale + 0.5)
            node = event.get(root)
            if node is None:
                node = event[root] = {}
            for part in between:
                node = node.setdefault(part, {})
            if leaf in node:
                return self.careful(fields, identity)
            node[leaf] = value
        return event

    def careful(self, fields: Mapping[Any, Any], identity: str | None = None) -> Event:
        """As ``place``, for any keys and values."""
        line = well_formed(plain(fields))
        if not isinstance(line, dict):
            line = {"extra": line}
        placed = normalized(line, self.masker, dropped=())
        if "labels" in placed:
            placed["labels"] = {name.translate(_LABEL_KEYS): value for name, value in placed["labels"].items()}
        for path in RESERVED:
            if path in placed:
                extra = placed.setdefault(EXTRA, {})
                # Exempt from masking where it was, not where it goes.
                value = self.masker.value(path.rpartition(".")[2], placed.pop(path))
                place(extra, tuple(path.split(".")), value)
                placed[EXTRA] = bounded(extra)
        if identity is not None:
            placed["event.id"] = identity
        return nested(placed)

    def _unknown(self, event: Event, key: Any, value: Any) -> bool:
        """Keep a scalar of a name that the contract does not know; False for what only the careful way may judge."""
        if key not in self._plain_keys and not self._is_plain(key):
            return False
        kind = type(value)
        if kind is str:
            if len(value) > QUICK_CHARACTERS:
                return False
        elif kind is int or kind is float:
            if not -9e15 < value < 9e15:
                return False
        elif kind is not bool:
            return value is None
        christmas = event.get("christmas")
        if christmas is None:
            christmas = event["christmas"] = {}
        christmas.setdefault("extra", {})[key] = self.masker.value(key, value)
        return True

    def _is_plain(self, key: Any) -> bool:
        """Whether a key is the name of nothing but itself; remembered, for the same ones come again and again."""
        plain_key = type(key) is str and len(key) <= QUICK_KEY_CHARACTERS and not {".", "\0"} & set(key)
        if not plain_key or key in prefixes():
            return False
        if len(self._plain_keys) >= MAX_KEYS:
            self._plain_keys.clear()
        self._plain_keys.add(key)
        return True


def are_words(value: Any) -> bool:
    """Whether ``value`` is a list of texts that are keywords as they are."""
    return type(value) is list and bool(value) and all(type(v) is str and len(v) <= KEYWORD_CHARACTERS for v in value)


def merged(below: Event, above: Event) -> Event:
    """A new event with the leaves of both; where both have one, that of ``above``."""
    result = {**below, **above}
    for key, value in above.items():
        if type(value) is dict and type(below.get(key)) is dict:
            result[key] = merged(below[key], value)
    return result
