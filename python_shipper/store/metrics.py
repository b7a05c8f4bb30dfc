"""Aggregations that give numbers: stats and its single figures, percentiles, cardinality.

Tolerances, both against the exact figure: percentiles lie within 0.8 % (values are counted in logarithmic buckets, 64
an octave; whole numbers below 128 are exact), cardinality is exact. Elasticsearch estimates both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import fields, query, schema
from python_shipper.store.aggregations import ALL, Aggregation, Given, Overflow
from python_shipper.store.columns import bucket_bounds
from python_shipper.store.dates import iso

NUMERIC = ("long", "double", "date", "boolean")
VALUED = (*NUMERIC, "keyword", "wildcard", "ip", "flattened", "flattened_key")
PERCENTS = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
SHOWN: dict[str, Callable[[float], str]] = {
    "date": lambda value: far_iso(int(value)),
    "boolean": lambda value: "true" if value else "false",
}


CYCLE_MS = 146_097 * 86_400_000  # 400 years, after which the calendar repeats


def far_iso(ms: int) -> str:
    """``ms`` since 1970 in ISO 8601; a sum of dates lies beyond the year 9999, which is written with a sign."""
    cycles, rest = divmod(ms, CYCLE_MS)
    near = iso(rest)
    year = int(near[:4]) + 400 * cycles
    return f"{year:04d}{near[4:]}" if 0 <= year <= 9999 else f"{year:+d}{near[4:]}"


@dataclass(frozen=True, slots=True)
class Totals:
    """What stats are made of: the number of values, their sum, least and greatest."""

    count: int
    sum: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Stats:
    """``stats``, ``min``, ``max``, ``avg`` and ``sum``: all from the same totals."""

    kind: str
    field: schema.Field | None
    missing: float | None
    meta: Any
    subs: dict[str, Aggregation]

    @classmethod
    def make(cls, given: Given) -> Stats:
        """From its JSON."""
        given.no_subs()
        missing = given.checked("field", "missing").get("missing")
        found = given.field(*NUMERIC)
        return cls(given.kind, found, missing_number(found, missing), given.meta, given.subs)

    def ask(self) -> dict[str, Any] | None:
        if self.field is None:
            return None
        missing = {} if self.missing is None else {"missing": self.missing}
        return {"stats": {"field": self.field.path, **missing}}

    def read(self, answer: Any) -> Totals | None:
        return Totals(int(answer["count"]), answer["sum"], answer["min"], answer["max"]) if answer["count"] else None

    def merge(self, one: Totals | None, other: Totals | None) -> Totals | None:
        if one is None or other is None:
            return one or other
        least, most = min(one.min, other.min), max(one.max, other.max)
        return Totals(one.count + other.count, one.sum + other.sum, least, most)

    def show(self, part: Totals | None) -> dict[str, Any]:
        if self.kind == "stats":
            return self.show_all(part)
        value = self.figure(part)
        return {"value": value, **self.texts({"value": value} if part else {})}

    def figure(self, part: Totals | None) -> float | None:
        """The one figure asked for."""
        if part is None:
            return 0.0 if self.kind == "sum" else None
        return float({"min": part.min, "max": part.max, "sum": part.sum, "avg": part.sum / part.count}[self.kind])

    def show_all(self, part: Totals | None) -> dict[str, Any]:
        """All figures."""
        if part is None:
            return {"count": 0, "min": None, "max": None, "avg": None, "sum": 0.0}
        figures = {"min": part.min, "max": part.max, "avg": part.sum / part.count, "sum": part.sum}
        return {"count": part.count, **figures, **self.texts(figures)}

    def texts(self, figures: dict[str, Any]) -> dict[str, str]:
        """Figures of dates and booleans as text too."""
        form = SHOWN.get(self.field.type) if self.field else None
        return {f"{name}_as_string": form(value) for name, value in figures.items()} if form else {}

    def value(self, part: Totals | None, name: str) -> float | None:
        """The figure that a terms aggregation sorts by."""
        shown = self.show(part)
        key = name or "value"
        if key not in shown:
            raise QueryError(f"order: the metric {self.kind} has no [{name or 'value'}]")
        return shown[key]  # type: ignore[no-any-return]


def missing_number(found: schema.Field | None, missing: Any) -> float | None:
    """The value that stands for a missing number."""
    return None if missing is None or found is None else float(fields.number(missing, found))


@dataclass(frozen=True, slots=True)
class ValueCount:
    """``value_count``: how many values, of any type."""

    field: schema.Field | None
    meta: Any
    subs: dict[str, Aggregation]

    @classmethod
    def make(cls, given: Given) -> ValueCount:
        """From its JSON."""
        given.no_subs()
        given.checked("field")
        found = given.field(*VALUED)
        if found and found.type == "flattened_key":
            raise QueryError(f"value_count of [{found.path}], a key of a flattened field, is not supported")
        return cls(found, given.meta, given.subs)

    def ask(self) -> dict[str, Any] | None:
        return {"value_count": {"field": self.field.path}} if self.field else None

    def read(self, answer: Any) -> int:
        return int(answer["value"])

    def merge(self, one: int, other: int) -> int:
        return one + other

    def show(self, part: int | None) -> dict[str, Any]:
        return {"value": part or 0}

    def value(self, part: int | None, name: str) -> float:
        """The figure that a terms aggregation sorts by."""
        return float(part or 0)


@dataclass(frozen=True, slots=True)
class Cardinality:
    """``cardinality``: how many distinct values, exactly; parts are sets of them."""

    field: schema.Field | None
    missing: Any
    meta: Any
    subs: dict[str, Aggregation]

    @classmethod
    def make(cls, given: Given) -> Cardinality:
        """From its JSON; ``precision_threshold`` has no effect on an exact count."""
        given.no_subs()
        missing = given.checked("field", "precision_threshold", "missing").get("missing")
        return cls(given.field(*VALUED), missing, given.meta, given.subs)

    def ask(self) -> dict[str, Any] | None:
        return terms_of(self.field, {} if self.missing is None else {"missing": self.missing}) if self.field else None

    def read(self, answer: Any) -> frozenset[Any]:
        return frozenset(found["key"] for found in whole(answer))

    def merge(self, one: frozenset[Any], other: frozenset[Any]) -> frozenset[Any]:
        return one | other

    def show(self, part: frozenset[Any] | None) -> dict[str, Any]:
        return {"value": len(part or ())}

    def value(self, part: frozenset[Any] | None, name: str) -> float:
        """The figure that a terms aggregation sorts by."""
        return float(len(part or ()))


def terms_of(found: schema.Field, more: dict[str, Any]) -> dict[str, Any]:
    """The tantivy request for all distinct values of a field."""
    column, prefix = fields.column(found)
    include = {"include": f"{prefix}(?s:.)*"} if prefix else {}
    return {"terms": {"field": column, "size": ALL, "segment_size": ALL, **include, **more}}


def whole(answer: Any) -> list[Any]:
    """The buckets of a tantivy terms answer, if it has them all."""
    if answer["sum_other_doc_count"]:
        raise Overflow
    return list(answer["buckets"])


def is_percent(value: Any) -> bool:
    """Whether ``value`` is a number from 0 to 100."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


@dataclass(frozen=True, slots=True)
class Percentiles:
    """``percentiles``: parts are counts by logarithmic bucket, which merge exactly."""

    field: schema.Field | None
    percents: tuple[float, ...]
    keyed: bool
    meta: Any
    subs: dict[str, Aggregation]

    @classmethod
    def make(cls, given: Given) -> Percentiles:
        """From its JSON; ``tdigest`` has no effect."""
        given.no_subs()
        options = given.checked("field", "percents", "keyed", "tdigest")
        percents = options.get("percents", PERCENTS)
        if not isinstance(percents, list | tuple) or not percents or not all(map(is_percent, percents)):
            raise QueryError(f"percentiles: [percents] must be a list of numbers from 0 to 100, got {percents!r}")
        found = given.field("long", "double")
        if found and not schema.has_percentiles(found):
            raise QueryError(f"percentiles of [{found.path}] are not kept: it numbers things, it measures nothing")
        keyed = query.flag(options, "keyed", True)
        return cls(found, tuple(float(p) for p in percents), keyed, given.meta, given.subs)

    def ask(self) -> dict[str, Any] | None:
        if self.field is None:
            return None
        return {"terms": {"field": self.field.path + schema.BUCKET, "size": ALL, "segment_size": ALL}}

    def read(self, answer: Any) -> Counter[int]:
        return Counter({int(found["key"]): int(found["doc_count"]) for found in whole(answer)})

    def merge(self, one: Counter[int], other: Counter[int]) -> Counter[int]:
        return one + other

    def show(self, part: Counter[int] | None) -> dict[str, Any]:
        figures = [(percent, self.figure(part, percent)) for percent in self.percents]
        if self.keyed:
            return {"values": {str(percent): figure for percent, figure in figures}}
        return {"values": [{"key": percent, "value": figure} for percent, figure in figures]}

    def figure(self, part: Counter[int] | None, percent: float) -> float | None:
        """One percentile, between the two values next to its rank."""
        if not part:
            return None
        rank = percent / 100 * (part.total() - 1)
        low = self.at(part, int(rank))
        return low + (self.at(part, int(rank) + 1) - low) * (rank % 1) if rank % 1 else low

    def at(self, part: Counter[int], rank: int) -> float:
        """The value of the given rank, from 0."""
        seen = 0
        for index in sorted(part):
            if seen + part[index] > rank:
                return self.inside(index, (rank - seen + 0.5) / part[index])
            seen += part[index]
        raise AssertionError("a rank is below the number of values")

    def inside(self, index: int, share: float) -> float:
        """The value ``share`` of the way through a bucket; a bucket of one whole number is that number."""
        low, high = bucket_bounds(index)
        whole_numbers = self.field is not None and self.field.type == "long"
        if whole_numbers and abs(high - low) <= 1:
            return float(low)
        return low + (high - low) * (share if index > 0 else 1 - share)

    def value(self, part: Counter[int] | None, name: str) -> float | None:
        """The percentile that a terms aggregation sorts by."""
        try:
            return self.figure(part, float(name))
        except ValueError as error:
            raise QueryError(f"order: percentiles have no [{name}]; name one, such as latency.95") from error
