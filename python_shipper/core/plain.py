"""Any Python value becomes a JSON value, without ever raising: a log line may be handed anything at all.

Cycles, depth, sets, bytes, huge integers, objects whose ``__repr__`` raises: each has a form here, none loses the line.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from python_shipper.contract import contract

MAX_DEPTH = contract().limits.extra_depth
TOO_DEEP = f"…[cut, deeper than {MAX_DEPTH} levels]"
CYCLE = "…[cycle]"
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1
_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def plain(value: Any, depth: int = 0, seen: tuple[int, ...] = ()) -> Any:
    """``value`` as str, int (64 bit), finite float, bool, None, list or dict with text keys; never raises.

    Args:
        value: anything.
        depth: containers around it; one deeper than the contract's 16 levels becomes a text that says so.
        seen: identities of the containers around it, to find cycles.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if LEAST_INTEGER <= value <= GREATEST_INTEGER else integer_text(value)
    if kind is float:
        return value if math.isfinite(value) else _NON_FINITE[repr(value)]
    try:
        return composite(value, depth, seen)
    except Exception:
        return safe_text(value)


def composite(value: Any, depth: int, seen: tuple[int, ...]) -> Any:
    """The JSON value of anything but a plain scalar; may raise what the value's own methods raise."""
    for kind, convert in SCALARS:
        if isinstance(value, kind):
            return plain(convert(value), depth, seen)
    if id(value) in seen:
        return CYCLE
    inner = (*seen, id(value))
    mapping = as_mapping(value)
    if mapping is not None:
        return TOO_DEEP if depth >= MAX_DEPTH else mapped(mapping, depth + 1, inner)
    if isinstance(value, list | tuple | Set | deque):
        return TOO_DEEP if depth >= MAX_DEPTH else [plain(item, depth + 1, inner) for item in ordered(value)]
    if hasattr(value, "tolist") and type(value).__module__ == "numpy":
        return plain(value.tolist(), depth, inner)
    return safe_text(value)


def as_mapping(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a mapping, dataclass, named tuple, attrs or pydantic object; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if hasattr(value, "__pydantic_fields__") and hasattr(value, "model_dump"):
        return dict(value.model_dump())
    if hasattr(value, "__attrs_attrs__"):
        return {attribute.name: getattr(value, attribute.name, None) for attribute in value.__attrs_attrs__}
    return None


def mapped(mapping: Mapping[Any, Any], depth: int, seen: tuple[int, ...]) -> dict[str, Any]:
    """A dict with text keys; two keys with the same text are both kept."""
    result: dict[str, Any] = {}
    for key, item in list(mapping.items()):
        name = key if type(key) is str else key_text(key)
        while name in result:
            name += "_"
        result[name] = plain(item, depth, seen)
    return result


def key_text(key: Any) -> str:
    """A mapping's key as text; of an enumeration's member its value."""
    value = plain(key, MAX_DEPTH)
    return value if isinstance(value, str) else safe_text(value)


def ordered(value: Iterable[Any]) -> Iterable[Any]:
    """A set in a stable order where its members have one."""
    if not isinstance(value, Set):
        return list(value)
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def integer_text(value: int) -> str:
    """Decimal digits; hexadecimal ones where Python refuses to convert that many."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def utc_text(value: datetime) -> str:
    """ISO 8601; a time with a zone in UTC, one without as it is."""
    return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def well_formed(value: Any) -> Any:
    """A JSON value without lone surrogates, which no JSON text can hold: pairs are joined, others replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    return [well_formed(item) for item in value] if isinstance(value, list) else value


def safe_text(value: Any) -> str:
    """``str(value)``, or words about the value if that fails."""
    try:
        return str.__str__(str(value))
    except Exception as error:
        return f"<{type(value).__name__} whose text failed: {type(error).__name__}>"


# Order matters: an enumeration of texts is a str, a datetime is a date, a bool is an int.
SCALARS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (str, lambda value: str.__str__(value)),
    (int, lambda value: int.__int__(value)),
    (float, lambda value: float.__float__(value)),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).decode("utf-8", "backslashreplace")),
    (Decimal, lambda value: str(value)),
    (datetime, utc_text),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((uuid.UUID, pathlib.PurePath, IPv4Address, IPv6Address, Fraction), str),
    (type, lambda value: f"{value.__module__}.{value.__qualname__}"),
    (BaseException, lambda value: f"{type(value).__name__}: {safe_text(value)}"),
)
