"""Aggregations that give buckets: terms, histogram, date_histogram and filters, with others nested in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import fields, query, schema
from python_shipper.store.aggregations import MOST_BUCKETS, Aggregation, Given, Part
from python_shipper.store.dates import iso
from python_shipper.store.metrics import VALUED, terms_of, whole
from python_shipper.store.nodes import Node

Subs = dict[str, Aggregation]
Key = str | int | float


@dataclass(slots=True)
class Bucket:
    """The documents of one bucket: their number, and the parts of the nested aggregations."""

    count: int
    parts: dict[str, Part]


Buckets = dict[Any, Bucket]


def ask_subs(subs: Subs) -> dict[str, Any]:
    """The tantivy request for nested aggregations, as a key of the outer request."""
    asked = {name: request for name, sub in subs.items() if (request := sub.ask()) is not None}
    return {"aggs": asked} if asked else {}


def read_bucket(answer: Any, subs: Subs) -> Bucket:
    """A bucket from tantivy's."""
    if not subs:
        return Bucket(int(answer["doc_count"]), {})
    parts = {name: sub.read(answer[name]) for name, sub in subs.items() if name in answer}
    return Bucket(int(answer["doc_count"]), parts)


def merge_parts(one: dict[str, Part], other: dict[str, Part], subs: Subs) -> dict[str, Part]:
    """The nested parts of both."""
    shared = {name: subs[name].merge(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **shared}


def merge_buckets(one: Buckets, other: Buckets, subs: Subs) -> Buckets:
    """The buckets of both, by key."""
    merged = dict(one)
    for key, bucket in other.items():
        known = merged.get(key)
        if known is not None:
            bucket = Bucket(known.count + bucket.count, merge_parts(known.parts, bucket.parts, subs))
        merged[key] = bucket
    return merged


def show_bucket(bucket: Bucket, subs: Subs) -> dict[str, Any]:
    """A bucket's number and nested aggregations as Elasticsearch shows them."""
    if not subs:
        return {"doc_count": bucket.count}
    return {"doc_count": bucket.count, **show_parts(bucket.parts, subs)}


def show_parts(parts: dict[str, Part], subs: Subs) -> dict[str, Any]:
    """Aggregations as Elasticsearch shows them."""
    return {
        name: {**({"meta": sub.meta} if sub.meta else {}), **sub.show(parts.get(name))} for name, sub in subs.items()
    }


EMPTY = Bucket(0, {})


@dataclass(frozen=True, slots=True)
class Terms:
    """``terms``: parts are all values with their buckets, so the top ones are exact over several days."""

    field: schema.Field | None
    size: int
    order: tuple[tuple[str, bool], ...]
    least: int
    missing: Any
    include: frozenset[Any] | None
    exclude: frozenset[Any]
    subs: Subs
    meta: Any

    @classmethod
    def make(cls, given: Given) -> Terms:
        """From its JSON; hints about execution have no effect on an exact answer."""
        options = given.checked(
            "field", "size", "order", "min_doc_count", "missing", "include", "exclude",
            "shard_size", "shard_min_doc_count", "show_term_doc_count_error", "execution_hint", "collect_mode",
        )  # fmt: skip
        size, least = (
            query.whole(options.get("size", 10), "size"),
            query.whole(options.get("min_doc_count", 1), "min_doc_count"),
        )
        if not size:
            raise QueryError("[size] must be greater than 0. Found [0] in [terms]")
        if not least:
            raise QueryError("terms: min_doc_count 0 is not supported")
        found = given.field(*VALUED)
        missing = options.get("missing")
        if missing is not None and found and found.type == "flattened_key":
            raise QueryError(f"terms: missing is not supported for [{found.path}], a key of a flattened field")
        return cls(
            found,
            size,
            orders(options.get("order"), given.subs),
            least,
            None if missing is None or found is None else stored_key(found, missing),
            listed(options, "include", found),
            listed(options, "exclude", found) or frozenset(),
            given.subs,
            given.meta,
        )

    def ask(self) -> dict[str, Any] | None:
        if self.field is None:
            return None
        missing = {} if self.missing is None else {"missing": self.missing}
        return {**terms_of(self.field, missing), **ask_subs(self.subs)}

    def read(self, answer: Any) -> Buckets:
        return {found["key"]: read_bucket(found, self.subs) for found in whole(answer) if self.wanted(found["key"])}

    def wanted(self, key: Any) -> bool:
        """Whether ``include`` and ``exclude`` leave a value."""
        return (self.include is None or key in self.include) and key not in self.exclude

    def merge(self, one: Buckets, other: Buckets) -> Buckets:
        return merge_buckets(one, other, self.subs)

    def show(self, part: Buckets | None) -> dict[str, Any]:
        found = sorted(((k, b) for k, b in (part or {}).items() if b.count >= self.least), key=lambda item: item[0])
        for name, down in reversed(self.order):
            found.sort(key=self.ranked(name, down), reverse=down)
        rest = sum(bucket.count for _, bucket in found[self.size :])
        shown = [{**shown_key(self.field, key), **show_bucket(b, self.subs)} for key, b in found[: self.size]]
        return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": rest, "buckets": shown}

    def ranked(self, name: str, down: bool) -> Callable[[tuple[Key, Bucket]], Any]:
        """What one part of the order compares; a bucket without the figure comes last."""
        if name in SIMPLE_ORDERS:
            return SIMPLE_ORDERS[name]
        sub, _, figure = name.partition(".")

        def value(item: tuple[Key, Bucket]) -> tuple[bool, float]:
            metric: Any = self.subs[sub]
            found = metric.value(item[1].parts.get(sub), figure)
            return (found is not None) == down, found or 0.0

        return value


SIMPLE_ORDERS: dict[str, Callable[[tuple[Key, Bucket]], Any]] = {
    "_count": lambda item: item[1].count,
    "_key": lambda item: item[0],
}


def orders(given: Any, subs: Subs) -> tuple[tuple[str, bool], ...]:
    """The parts of an ``order``, each a name and whether it runs downwards."""
    if given is None:
        return (("_count", True),)
    found = tuple(query.only(one, "order") for one in (given if isinstance(given, list) else [given]))
    for name, way in found:
        sub = name.partition(".")[0]
        if name not in SIMPLE_ORDERS and not hasattr(subs.get(sub), "value"):
            raise QueryError(f"order: [{name}] is neither _count, _key nor a metric nested in this aggregation")
        if str(way).lower() not in ("asc", "desc"):
            raise QueryError(f"order: expected asc or desc for [{name}], got {way!r}")
    return tuple((name, str(way).lower() == "desc") for name, way in found)


def listed(options: Mapping[str, Any], name: str, found: schema.Field | None) -> frozenset[Any] | None:
    """The values of ``include`` or ``exclude``."""
    values = options.get(name)
    if values is None or found is None:
        return None
    if not isinstance(values, list):
        raise QueryError(f"terms: [{name}] must be a list of values; expressions and partitions are not supported")
    return frozenset(stored_key(found, value) for value in values)


def stored_key(found: schema.Field, value: Any) -> Key:
    """A value of a request as tantivy's buckets name it."""
    if found.type in fields.TEXTUAL:
        return fields.column(found)[1] + fields.text(value, found)
    if found.type == "boolean":
        return fields.boolean(value, found)
    return str(value) if found.type == "ip" else fields.number(value, found)


def shown_key(found: schema.Field | None, key: Key) -> dict[str, Any]:
    """A bucket's key as Elasticsearch shows it."""
    if found is None:
        return {"key": key}
    if found.type == "flattened_key":
        return {"key": str(key).partition("\0")[2]}
    if found.type == "double":
        return {"key": float(key)}
    if found.type == "date":
        return {"key": key, "key_as_string": iso(int(key))}
    return {"key": key, "key_as_string": "true" if key else "false"} if found.type == "boolean" else {"key": key}


@dataclass(frozen=True, slots=True)
class Filters:
    """``filters``: each filter is a search of its own, made by :mod:`~python_shipper.store.aggregate`."""

    filters: dict[str, Node]
    named: bool
    other: str | None
    subs: Subs
    meta: Any

    @classmethod
    def make(cls, given: Given) -> Filters:
        """From its JSON."""
        options = given.checked("filters", "other_bucket", "other_bucket_key", "keyed")
        bodies = query.needed(options, "filters", "filters")
        named = isinstance(bodies, Mapping)
        if isinstance(bodies, list):
            bodies = {str(place): body for place, body in enumerate(bodies)}
        if not isinstance(bodies, Mapping) or not bodies:
            raise QueryError("filters: [filters] must be an object or a list of queries")
        nodes = {str(name): query.parse(body, given.now_ms) for name, body in bodies.items()}
        other = options.get("other_bucket_key") or ("_other_" if query.flag(options, "other_bucket") else None)
        if options.get("keyed", True) is not True:
            raise QueryError("filters: keyed must be true")
        return cls(nodes, named, other, given.subs, given.meta)

    def ask(self) -> dict[str, Any] | None:
        return None

    def read(self, answer: Any) -> Buckets:
        raise AssertionError("filters are never asked of tantivy")

    def merge(self, one: Buckets, other: Buckets) -> Buckets:
        return merge_buckets(one, other, self.subs)

    def show(self, part: Buckets | None) -> dict[str, Any]:
        names = [*self.filters, *([self.other] if self.other else [])]
        shown = {name: show_bucket((part or {}).get(name, EMPTY), self.subs) for name in names}
        return {"buckets": shown if self.named else list(shown.values())}


def too_many(count: int) -> QueryError:
    """The refusal of an answer with too many buckets."""
    return QueryError(
        f"Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but was [{count}]"
    )
