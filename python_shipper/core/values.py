"""Whether a JSON value fits a field's type, and in which form it is stored: one function a type, in one table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from python_shipper.contract import Field, contract

MISFIT: Final[Any] = object()  # what a conversion answers when the value does not fit
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)

WHOLE_TEXT = re.compile(r"(-?[0-9]{1,18})(?:\.0{1,18})?")
NUMBER_TEXT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = re.compile(rf"{OCTET}(?:\.{OCTET}){{3}}")
HEX_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,18}))?)?"
    r"(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?"
)


def text_of(value: Any) -> Any:
    """A scalar's text: a string as it is, anything else as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value + 0.0) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    return str(value) if isinstance(value, int) else MISFIT


def lowered(text: str) -> str:
    """Lower case as Ruby writes it: Python's has another letter for a capital sigma that ends a word."""
    return text.replace("Σ", "σ").lower()


def keyword(value: Any) -> Any:
    """Text of at most ``limits.keyword_characters``."""
    text = text_of(value)
    return text if text is MISFIT or len(text) <= contract().limits.keyword_characters else MISFIT


def long(value: Any) -> Any:
    """An integer of 64 bits; a float or a text that is exactly one counts."""
    if isinstance(value, str):
        whole = WHOLE_TEXT.fullmatch(value)
        return int(whole[1]) if whole else MISFIT
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return MISFIT
    return int(value) if value == int(value) and LONG_MIN <= int(value) <= LONG_MAX else MISFIT


def double(value: Any) -> Any:
    """A finite number; a text that is plainly one counts."""
    if isinstance(value, str):
        return float(value) if NUMBER_TEXT.fullmatch(value) else MISFIT
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISFIT
    if isinstance(value, int) and LONG_MIN <= value <= LONG_MAX:
        return value
    try:
        number = float(value)
    except OverflowError:
        return MISFIT
    return number if math.isfinite(number) else MISFIT


def boolean(value: Any) -> Any:
    """True or false, also as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value, MISFIT) if isinstance(value, str) else MISFIT


def ip(value: Any) -> Any:
    """An IPv4 or IPv6 address as text, without mask, zone or leading zeros."""
    return value if isinstance(value, str) and (IPV4.fullmatch(value) or is_ipv6(value)) else MISFIT


def is_ipv6(text: str) -> bool:
    """Whether ``text`` is an IPv6 address (RFC 4291 section 2.2), a trailing IPv4 part counted as two groups."""
    if ":" not in text:
        return False
    tail = text.rpartition(":")[2]
    if "." in tail:
        text = text.removesuffix(tail) + ("0:0" if IPV4.fullmatch(tail) else "bad")
    halves = text.split("::")
    groups = [group for half in halves for group in (half.split(":") if half else [])]
    return (
        all(HEX_GROUP.fullmatch(group) for group in groups)
        and len(halves) <= 2
        and (len(groups) <= 7 if len(halves) == 2 else len(groups) == 8)
    )


def date(value: Any) -> Any:
    """A moment in the stored form, UTC with milliseconds."""
    ms = moment_ms(value) if isinstance(value, str) else None
    return MISFIT if ms is None else moment_text(ms)


def moment_ms(text: str) -> int | None:
    """Milliseconds since 1970 of ``YYYY-MM-DD[T ]HH:MM[:SS[.fraction]][Z|±HH:MM]``, no zone meaning UTC; else None."""
    match = MOMENT.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups("0")
    if int(zone_hour) > 23 or int(zone_minute) > 59:
        return None
    zone = timedelta(hours=int(zone_hour), minutes=int(zone_minute)) * (-1 if sign == "-" else 1)
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        return (local - zone - EPOCH) // MS + int(fraction[:3].ljust(3, "0"))
    except (ValueError, OverflowError):
        return None


def moment_text(ms: int) -> str:
    """The stored form of a moment: ``2026-01-02T03:04:05.678Z``."""
    return (EPOCH + ms * MS).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


TYPES: dict[str, Callable[[Any], Any]] = {
    "keyword": keyword,
    "match_only_text": text_of,
    "wildcard": text_of,
    "long": long,
    "double": double,
    "boolean": boolean,
    "ip": ip,
    "date": date,
}


def fitted(field: Field, value: Any) -> Any:
    """The value in the form in which ``field`` stores it, or :data:`MISFIT`."""
    convert = TYPES[field.type]
    if not field.array:
        return convert(value)
    items = [convert(item) for item in (value if isinstance(value, list) else [value])]
    return MISFIT if MISFIT in items else items


def scaled(value: Any, scale: int) -> Any:
    """A number times ``scale``, rounded to the nearest integer (halves up); anything else does not fit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISFIT
    if isinstance(value, int):
        return value * scale
    return math.floor(value * scale + 0.5) if math.isfinite(value * scale) else MISFIT


@cache
def prefixes() -> frozenset[str]:
    """Every path that only leads to fields: ``log``, ``log.file``, …; nothing below any other path is known."""
    return frozenset(
        ".".join(parts[:n]) for parts in (path.split(".") for path in contract().fields) for n in range(1, len(parts))
    )
