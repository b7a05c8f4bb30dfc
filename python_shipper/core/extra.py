"""What no field takes is kept in ``christmas.extra``: assembled here without loss, then brought within bounds.

Elasticsearch's ``flattened`` type refuses more than 20 levels, keys that hold NUL, and a leaf whose path and value
together pass 32,766 bytes; nothing that leaves here is refused.
"""

from __future__ import annotations

import math
from typing import Any

from python_shipper.contract import contract
from python_shipper.core.values import LONG_MAX, LONG_MIN, text_of

LIMITS = contract().limits
KEPT = 100  # a cut string keeps this many characters fewer than the limit: room for the mark, so that it is cut once
KEY_CHARACTERS = 256
LEAF_BYTES = 32_000  # of path and value in UTF-8
SAFE_DEPTH = 40  # deeper than any limit, shallow enough for recursion
TOO_DEEP = f"…[cut, deeper than {LIMITS.extra_depth} levels]"


def pruned(value: Any, level: int = 1) -> Any:
    """The value without nulls and empty objects; None when nothing is left of it."""
    if not isinstance(value, dict):
        return capped(value, level)
    if level > SAFE_DEPTH:
        return TOO_DEEP
    kept = {key: pruned(item, level + 1) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item is not None} or None


def capped(value: Any, level: int) -> Any:
    """The value, what lies in lists kept as it is, without containers beyond the safe depth."""
    if not isinstance(value, dict | list):
        return value
    if level > SAFE_DEPTH:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: capped(item, level + 1) for key, item in value.items()}
    return [capped(item, level + 1) for item in value]


def place(tree: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    """Put ``value`` at ``keys``; objects merge, and where a value is already there, ``_`` is added to the key."""
    key, rest = keys[0], keys[1:]
    if rest or isinstance(value, dict):
        while not isinstance(tree.get(key, {}), dict):
            key += "_"
        folder = tree.setdefault(key, {})
        for below, item in [(rest, value)] if rest else [((name,), item) for name, item in value.items()]:
            place(folder, below, item)
        return
    while key in tree and not same(tree[key], value):
        key += "_"
    tree[key] = value


def same(one: Any, other: Any) -> bool:
    """Equal in type and value: 1, 1.0 and true are three things."""
    return type(one) is type(other) and bool(one == other)


def bounded(tree: dict[str, Any]) -> dict[str, Any]:
    """The object with every string, key, number and depth within the contract's limits."""
    return {safe_key(key): bounded_value(item, 2, len(safe_key(key).encode())) for key, item in tree.items()}


def bounded_value(value: Any, level: int, path_bytes: int) -> Any:
    """One value at ``level`` (the tree itself is level 1) whose path takes ``path_bytes``."""
    if isinstance(value, str):
        return cut(value, path_bytes)
    if isinstance(value, dict | list) and level > LIMITS.extra_depth:
        return TOO_DEEP
    if isinstance(value, dict):
        named = [(safe_key(key), item) for key, item in value.items()]
        return {key: bounded_value(item, level + 1, path_bytes + 1 + len(key.encode())) for key, item in named}
    if isinstance(value, list):
        return [bounded_value(item, level + 1, path_bytes) for item in value]
    return text_of(value) if is_unsafe_number(value) else value


def cut(text: str, path_bytes: int = 0) -> str:
    """The text, or its first characters and how many were cut."""
    limit = LIMITS.extra_characters
    if path_bytes + 4 * len(text) > LEAF_BYTES and path_bytes + len(text[:limit].encode()) > LEAF_BYTES:
        limit = (LEAF_BYTES - path_bytes) // 4
    if len(text) <= limit:
        return text
    return f"{text[: limit - KEPT]}…[cut, {len(text) - limit + KEPT} characters]"


def safe_key(key: str) -> str:
    """The key without NUL, at most 256 characters."""
    key = key.replace("\0", "\ufffd") if "\0" in key else key
    if len(key) <= KEY_CHARACTERS:
        return key
    return f"{key[: KEY_CHARACTERS - 56]}…[cut, {len(key) - KEY_CHARACTERS + 56} characters]"


def is_unsafe_number(value: Any) -> bool:
    """A number that JSON readers would refuse or round: beyond 64 bits, or not finite."""
    if isinstance(value, int):
        return not LONG_MIN <= value <= LONG_MAX
    return isinstance(value, float) and not math.isfinite(value)


def is_plain(tree: dict[str, Any], level: int = 1) -> bool:
    """Whether pruning and bounding would change nothing, and no number was rounded on its way here (a cheap test)."""
    if not tree or level > 8:
        return False
    for key, value in tree.items():
        kind = type(value)
        if len(key) > 64 or "\0" in key:
            return False
        if kind is str:
            if len(value) > 4000:
                return False
        elif kind is dict:
            if not is_plain(value, level + 1):
                return False
        elif kind is int:
            if not LONG_MIN <= value <= LONG_MAX:
                return False
        elif kind is float:
            if not -9e15 < value < 9e15:
                return False
        elif kind is not bool:  # null goes, and a list may hold anything
            return False
    return True
