"""``histogram`` and ``date_histogram``: parts are the filled buckets; the empty ones come when they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import query, schema
from python_shipper.store.aggregations import MOST_BUCKETS, Aggregation, Given
from python_shipper.store.buckets import (
    EMPTY,
    Bucket,
    Buckets,
    Subs,
    ask_subs,
    merge_buckets,
    read_bucket,
    show_bucket,
    too_many,
)
from python_shipper.store.dates import moment_of, parse, parse_zone

FIXED = re.compile(r"([0-9]+)(ms|s|m|h|d)")
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DATES = ("yyyy-MM-dd", "strict_date")
FORMATS = ("strict_date_optional_time", "date_optional_time", *DATES, "epoch_millis", "epoch_second")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bucket numbers between which empty buckets are shown (extended) or all others left out (hard)."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Buckets of equal width; ``offset`` shifts their edges, ``dates`` tells how a date is shown (None for numbers)."""

    field: schema.Field | None
    interval: float
    offset: float
    least: int
    extended: Bounds
    hard: Bounds
    order: tuple[str, bool]
    keyed: bool
    dates: Shown | None
    subs: Subs
    meta: Any

    def ask(self) -> dict[str, Any] | None:
        if self.field is None:
            return None
        edges = {"interval": self.interval, "offset": self.offset % self.interval, "min_doc_count": 1}
        return {"histogram": {"field": self.field.path, **edges}, **ask_subs(self.subs)}

    def read(self, answer: Any) -> Buckets:
        found = {self.number(bucket["key"]): read_bucket(bucket, self.subs) for bucket in answer["buckets"]}
        return {number: bucket for number, bucket in found.items() if self.inside(number)}

    def number(self, value: float) -> int:
        """The number of the bucket that starts at ``value``."""
        return round((value - self.offset) / self.interval)

    def holding(self, value: float) -> int:
        """The number of the bucket that holds ``value``."""
        return int((value - self.offset) // self.interval)

    def inside(self, number: int) -> bool:
        """Whether the hard bounds leave a bucket: as in Elasticsearch dates and numbers have different rules."""
        low, high = self.hard.low, self.hard.high
        if self.dates:
            above = low is None or number >= self.holding(low)
            return above and (high is None or number < self.holding(high))
        key = number * self.interval
        return (low is None or key >= low) and (high is None or key <= high)

    def merge(self, one: Buckets, other: Buckets) -> Buckets:
        return merge_buckets(one, other, self.subs)

    def show(self, part: Buckets | None) -> dict[str, Any]:
        shown = [self.shown(number, bucket) for number, bucket in self.ordered(self.filled(part or {}))]
        if not self.keyed:
            return {"buckets": shown}
        return {"buckets": {str(bucket.get("key_as_string", bucket["key"])): bucket for bucket in shown}}

    def filled(self, part: Buckets) -> Buckets:
        """The buckets to show: those with enough documents, and the empty ones between if these are asked for."""
        if self.least or self.field is None:
            return {number: bucket for number, bucket in part.items() if bucket.count >= self.least}
        ends = [*part, *(self.holding(end) for end in (self.extended.low, self.extended.high) if end is not None)]
        if not ends:
            return {}
        if max(ends) - min(ends) >= MOST_BUCKETS:
            raise too_many(max(ends) - min(ends) + 1)
        return {number: part.get(number, EMPTY) for number in range(min(ends), max(ends) + 1)}

    def ordered(self, part: Buckets) -> list[tuple[int, Bucket]]:
        """The buckets in the order asked for."""
        by, down = self.order
        items = sorted(part.items())
        if by == "_key":
            return items[::-1] if down else items
        return sorted(items, key=lambda item: item[1].count, reverse=down)

    def shown(self, number: int, bucket: Bucket) -> dict[str, Any]:
        """One bucket as Elasticsearch shows it."""
        key = number * self.interval + self.offset
        if self.dates is None:
            return {"key": float(key), **show_bucket(bucket, self.subs)}
        return {"key_as_string": self.dates.text(int(key)), "key": int(key), **show_bucket(bucket, self.subs)}


@dataclass(frozen=True, slots=True)
class Shown:
    """How a date of a bucket is written."""

    format: str
    zone: timedelta

    def text(self, ms: int) -> str:
        """``ms`` since 1970 in this format and zone."""
        if self.format.startswith("epoch"):
            return str(ms if self.format == "epoch_millis" else ms // 1000)
        local = (moment_of(ms) + self.zone).replace(tzinfo=None)
        if self.format in DATES:
            return local.date().isoformat()
        return local.isoformat(timespec="milliseconds") + zone_text(self.zone)


def zone_text(zone: timedelta) -> str:
    """An offset as ISO 8601 writes it."""
    if not zone:
        return "Z"
    minutes = int(zone.total_seconds()) // 60
    return f"{'+' if minutes > 0 else '-'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def histogram(given: Given) -> Aggregation:
    """``histogram`` from its JSON."""
    options = given.checked(
        "field", "interval", "offset", "min_doc_count", "extended_bounds", "hard_bounds", "order", "keyed"
    )
    interval = query.needed(options, "interval", "histogram")
    if isinstance(interval, bool) or not isinstance(interval, int | float) or interval <= 0:
        raise QueryError(f"[interval] must be >0 for histogram aggregation, got {interval!r}")
    found = given.field("long", "double")
    return Histogram(
        field=found,
        interval=interval,
        offset=number(options.get("offset", 0), "offset"),
        dates=None,
        extended=bounds(options, "extended_bounds", lambda value: number(value, "extended_bounds")),
        hard=bounds(options, "hard_bounds", lambda value: number(value, "hard_bounds")),
        **shared(options, given),
    )


def date_histogram(given: Given) -> Aggregation:
    """``date_histogram`` from its JSON."""
    options = given.checked(
        "field", "fixed_interval", "offset", "min_doc_count", "extended_bounds", "hard_bounds", "order", "keyed",
        "time_zone", "format",
    )  # fmt: skip
    interval = fixed(options.get("fixed_interval"), "fixed_interval")
    if interval <= 0:
        raise QueryError("date_histogram: [fixed_interval] must be greater than 0")
    form = options.get("format", "strict_date_optional_time")
    if form not in FORMATS:
        raise QueryError(f"date_histogram: format {form!r} is not supported; one of {', '.join(FORMATS)}")
    zone = constant_zone(options.get("time_zone"), given.now_ms)
    text = str(options.get("offset", "0ms"))
    shift = fixed(text.lstrip("+-"), "offset") * (-1 if text.startswith("-") else 1)

    def when(value: Any) -> int:
        return parse(value, now_ms=given.now_ms, round_up=False, zone=options.get("time_zone"))

    return Histogram(
        field=given.field("date"),
        interval=interval,
        offset=shift - int(zone.total_seconds() * 1000),
        dates=Shown(form, zone),
        extended=bounds(options, "extended_bounds", when),
        hard=bounds(options, "hard_bounds", when),
        **shared(options, given),
    )


def shared(options: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """The options that both kinds have."""
    by, way = query.only(options.get("order", {"_key": "asc"}), "order")
    if by not in ("_key", "_count") or str(way).lower() not in ("asc", "desc"):
        raise QueryError(f"{given.kind} order: expected _key or _count, asc or desc; got {by!r}: {way!r}")
    return {
        "least": query.whole(options.get("min_doc_count", 0), "min_doc_count"),
        "order": (by, str(way).lower() == "desc"),
        "keyed": query.flag(options, "keyed"),
        "subs": given.subs,
        "meta": given.meta,
    }


def number(value: Any, name: str) -> float:
    """A numeric option."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryError(f"histogram: [{name}] must be a number, got {value!r}")
    return value


def fixed(text: Any, name: str) -> int:
    """A span of fixed length in milliseconds."""
    match = FIXED.fullmatch(str(text))
    if match is None:
        raise QueryError(f"date_histogram: [{name}] must be a number and ms, s, m, h or d (such as 5m), got {text!r}")
    return int(match[1]) * UNITS_MS[match[2]]


def bounds(options: Mapping[str, Any], name: str, read: Any) -> Bounds:
    """``extended_bounds`` or ``hard_bounds``."""
    given = query.checked(options.get(name) or {}, name, {"min", "max"})
    low, high = (None if given.get(end) is None else read(given[end]) for end in ("min", "max"))
    if low is not None and high is not None and low > high:
        raise QueryError(f"[{name}.min] of {given['min']} cannot be greater than [{name}.max] of {given['max']}")
    return Bounds(low, high)


def constant_zone(text: str | None, now_ms: int) -> timedelta:
    """The offset of a zone that has the same one all year."""
    zone, now = parse_zone(text), datetime.fromtimestamp(now_ms / 1000, UTC)
    moments = [now + timedelta(days=days) for days in (0, -91, -182, -273)]
    offsets = {moment.astimezone(zone).utcoffset() or timedelta() for moment in moments}
    if len(offsets) > 1:
        raise QueryError(f"date_histogram: time_zone {text!r} changes its offset; name one such as +01:00")
    return offsets.pop()
