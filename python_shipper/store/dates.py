"""Dates as Elasticsearch reads them in a query: ISO 8601 with parts left out, epoch milliseconds, and date math."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from python_shipper.core.clock import iso
from python_shipper.errors import QueryError

ISO = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?:(?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?)?)?"
)
EPOCH = re.compile(r"-?[0-9]{1,16}")
OFFSET = re.compile(r"([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
MATH = re.compile(r"([+-])([0-9]*)([yMwdhHms])|/([yMwdhHms])")
ISO_FORMATS = ("strict_date_optional_time", "date_optional_time", "strict_date", "yyyy-MM-dd")
FORMATS = (*ISO_FORMATS, "epoch_millis", "epoch_second")
STEPS = {"w": "weeks", "d": "days", "h": "hours", "H": "hours", "m": "minutes", "s": "seconds"}
MILLISECOND = timedelta(milliseconds=1)


def parse(value: Any, *, now_ms: int, round_up: bool, format: str | None = None, zone: str | None = None) -> int:
    """Milliseconds since 1970 for ``value``; parts left out and rounding go to the end of their span if ``round_up``.

    Raises:
        QueryError: not a date, or a format or unit outside the subset.
    """
    text, where = str(value), parse_zone(zone)
    if text.startswith("now"):
        anchor, math = moment_of(now_ms), text[3:]
    else:
        date, bars, math = text.partition("||")
        anchor = absolute(date, formats(format), where, round_up and not bars)
    return milliseconds(applied(anchor, math, where, round_up, text))


def formats(given: str | None) -> tuple[str, ...]:
    """The names in a ``format`` parameter."""
    names = tuple((given or "strict_date_optional_time||epoch_millis").split("||"))
    for name in names:
        if name not in FORMATS:
            raise QueryError(f"date format {name!r}: not supported; one of {', '.join(FORMATS)}")
    return names


def absolute(text: str, names: tuple[str, ...], zone: tzinfo, round_up: bool) -> datetime:
    """The moment that a date without math names."""
    match = ISO.fullmatch(text)
    if match and any(name in ISO_FORMATS for name in names):
        return filled(match, zone, round_up, text)
    if EPOCH.fullmatch(text):
        if "epoch_millis" in names:
            return moment_of(int(text))
        if "epoch_second" in names:
            return moment_of(int(text) * 1000)
    raise QueryError(f"failed to parse date field [{text}] with format [{'||'.join(names)}]")


def filled(match: re.Match[str], zone: tzinfo, round_up: bool, text: str) -> datetime:
    """The moment of a matched ISO date, its missing parts at their first or last value."""
    part = match.groupdict()
    year = int(part["year"])
    month = int(part["month"] or (12 if round_up else 1))
    try:
        day = int(part["day"] or (monthrange(year, month)[1] if round_up else 1))
        hour, minute, second = (int(part[n] or (last if round_up else 0)) for n, last in CLOCK)
        fraction = part["fraction"]
        micro = int(fraction[:6].ljust(6, "0")) if fraction else 999_000 if round_up else 0
        own = parse_zone(part["zone"]) if part["zone"] else zone
        return datetime(year, month, day, hour, minute, second, micro, own).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"failed to parse date field [{text}]: {error}") from error


CLOCK = (("hour", 23), ("minute", 59), ("second", 59))


def applied(anchor: datetime, math: str, zone: tzinfo, round_up: bool, text: str) -> datetime:
    """``anchor`` after its date math, e.g. ``-1d/d``."""
    position = 0
    while position < len(math):
        match = MATH.match(math, position)
        if match is None:
            raise QueryError(f"date math [{text}]: cannot read {math[position:]!r}; e.g. now-1h, 2026-01-02||/d")
        position = match.end()
        if match[4]:
            anchor = rounded(anchor, match[4], zone, round_up)
        else:
            anchor = moved(anchor, int(match[2] or 1) * (1 if match[1] == "+" else -1), match[3], text)
    return anchor


def moved(moment: datetime, count: int, unit: str, text: str = "") -> datetime:
    """``moment`` moved by ``count`` units; a month later than the 31st is the last day of that month."""
    try:
        if unit in STEPS:
            return moment + timedelta(**{STEPS[unit]: count})
        months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError) as error:
        raise QueryError(f"date math [{text}]: leaves the calendar ({error})") from error


def rounded(moment: datetime, unit: str, zone: tzinfo, round_up: bool) -> datetime:
    """The start of the ``unit`` that holds ``moment`` in ``zone``, or its last millisecond if ``round_up``."""
    local = moment.astimezone(zone)
    start = local.replace(microsecond=0)
    for name, units in (("second", "mhHdwMy"), ("minute", "hHdwMy"), ("hour", "dwMy")):
        if unit in units:
            start = start.replace(**{name: 0})  # type: ignore[arg-type]
    if unit == "w":
        start -= timedelta(days=start.weekday())
    elif unit in "My":
        start = start.replace(day=1, month=1 if unit == "y" else start.month)
    end = moved(start, 1, unit) - MILLISECOND
    return (end if round_up else start).astimezone(UTC)


def parse_zone(text: str | None) -> tzinfo:
    """The zone of ``+09:00``, ``Z`` or ``Asia/Seoul``; None is UTC.

    Raises:
        QueryError: no such zone.
    """
    if text in (None, "Z", "z", "UTC"):
        return UTC
    match = OFFSET.fullmatch(text or "")
    if match:
        delta = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(delta if match[1] == "+" else -delta)
    try:
        return ZoneInfo(str(text))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise QueryError(f"time_zone {text!r}: not an offset such as +09:00 nor a zone's name") from error


def moment_of(ms: int) -> datetime:
    """``ms`` since 1970 as a moment."""
    try:
        return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise QueryError(f"{ms} milliseconds since 1970: outside the calendar") from error


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of ``moment``, rounded down."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // MILLISECOND


__all__ = ["iso", "milliseconds", "parse", "parse_zone"]
