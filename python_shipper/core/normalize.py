"""Any JSON object becomes ECS fields here, for lines of every origin; ``normalize.rb`` is the same in Ruby.

Leaf paths are dotted. Two inputs for one path: a nested object beats a dotted key beats a short name, whatever the
order of the keys, and the loser is kept in ``christmas.extra`` as it was given, like all that fits no field.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from python_shipper.contract import contract
from python_shipper.core import Event
from python_shipper.core.extra import bounded, place, pruned
from python_shipper.core.masking import Masker, untouched
from python_shipper.core.ulid import is_ulid
from python_shipper.core.values import MISFIT, fitted, lowered, prefixes, scaled

NESTED, DOTTED, SHORT = range(3)
EXTRA = "christmas.extra"
SPEC_DOTTED = ("log.level", "ecs.version")  # the ECS logging spec keeps these two as top-level keys
OF_THE_FILE = ("log.file.path", "log.offset")  # the reader's own; a line's claim is dropped


class Given(NamedTuple):
    """One value of the line: where it would go, how it was named, and how strong that name is (smallest wins)."""

    path: str
    strength: tuple[int, int]
    keys: tuple[str, ...]
    value: Any
    scale: int = 1


@cache
def flattened() -> tuple[str, ...]:
    """The fields that keep an object as it is: ``labels`` and ``christmas.extra``."""
    return tuple(path for path, field in contract().fields.items() if field.type == "flattened")


@cache
def short_names() -> dict[str, tuple[int, str, int]]:
    """Short name to its place in the list, field and scale."""
    return {name: (n, short.field, short.scale) for n, (name, short) in enumerate(contract().short_names.items())}


def normalized(line: Event, masker: Masker, dropped: tuple[str, ...] = OF_THE_FILE) -> Event:
    """The stored form of a line's fields by dotted path, masked and bounded; what the file says is not in it."""
    fields: Event = {}
    moved: list[Given] = []
    for given in winners(line, moved):
        home = tree_of(given.path)
        if home is not None:
            keep_in_tree(fields.setdefault(home, {}), home, given, moved)
        else:
            keep_field(fields, given, moved, dropped)
    extra = fields.setdefault(EXTRA, {})
    for given in sorted(moved, key=lambda given: (unknown_keys(given), given.strength)):
        place(extra, unknown_keys(given), given.value)
    return masked({path: value for path, value in fields.items() if value != {}}, masker)


def winners(line: Event, moved: list[Given]) -> list[Given]:
    """The strongest value for each path, strongest names first; the others go to ``moved``."""
    best: dict[str, Given] = {}
    for given in sorted(leaves(line), key=lambda given: (given.strength, given.keys)):
        if given.path in best:
            moved.append(given)
        else:
            best[given.path] = given
    return list(best.values())


def leaves(node: Event, keys: tuple[str, ...] = ()) -> Iterator[Given]:
    """Every value of the line that is a leaf to the contract: a scalar, a list, or an object that no field lies in."""
    for key, value in node.items():
        here = (*keys, key)
        path = ".".join(here)
        if isinstance(value, dict) and path in prefixes():
            yield from leaves(value, here)
            continue
        kept = pruned(value)
        if kept is None:
            continue
        short = short_names().get(key) if not keys and not isinstance(value, dict) else None
        if short:
            order, field, scale = short
            yield Given(field, (SHORT, order), here, kept, scale)
        else:
            dotted = path.count(".") > len(keys)  # more dots than joints: a key has one of its own
            yield Given(path, (DOTTED if dotted else NESTED, 0), here, kept)


def tree_of(path: str) -> str | None:
    """The flattened field that ``path`` is or lies in."""
    return next((tree for tree in flattened() if path == tree or path.startswith(tree + ".")), None)


def keep_in_tree(tree: Event, home: str, given: Given, moved: list[Given]) -> None:
    """Put a value into its flattened field: the whole object, or one dotted key of it."""
    if given.path == home:
        if isinstance(given.value, dict):
            tree.update(given.value)
        else:
            moved.append(given)
        return
    key = given.path[len(home) + 1 :]
    if key in tree:
        moved.append(given)
    else:
        tree[key] = given.value


def keep_field(fields: Event, given: Given, moved: list[Given], dropped: tuple[str, ...]) -> None:
    """Put a value into its field, in the field's form, or move it."""
    field = contract().fields.get(given.path)
    value = scaled(given.value, given.scale) if given.scale != 1 else given.value
    kept = fitted(field, value) if field and value is not MISFIT else MISFIT
    if kept is MISFIT or (given.path == "event.id" and not is_ulid(kept)):
        moved.append(given)
    elif given.path not in dropped:
        fields[given.path] = lowered(kept) if given.path == "log.level" else kept


def unknown_keys(given: Given) -> tuple[str, ...]:
    """The keys below ``christmas.extra``: as given, but of an unknown ``christmas.x`` only ``x``."""
    if given.path.startswith("christmas.") and given.path not in contract().fields and tree_of(given.path) is None:
        first = given.keys[0].removeprefix("christmas").removeprefix(".")
        return (first, *given.keys[1:]) if first else given.keys[1:] or given.keys
    return given.keys


def masked(fields: Event, masker: Masker) -> Event:
    """The fields after masking, then within bounds: a cut never hides what a pattern would have found."""
    known = contract().fields
    done = {
        path: value if untouched(known[path]) else masker.field(known[path], value) for path, value in fields.items()
    }
    return {path: bounded(value) if isinstance(value, dict) else value for path, value in done.items()}


def nested(fields: Event) -> Event:
    """A document from dotted paths: the four keys of every line first, the rest as objects."""
    document: Event = {
        path: fields[path] for path in ("@timestamp", "log.level", "message", "ecs.version") if path in fields
    }
    for path, value in fields.items():
        if path in document:
            continue
        *folders, last = path.split(".")
        node = document
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = value
    return document
