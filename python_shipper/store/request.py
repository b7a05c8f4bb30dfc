"""A `_search` body checked and understood: what both engines are asked, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from python_shipper.core.clock import now_ms
from python_shipper.errors import QueryError
from python_shipper.store import aggregations, query
from python_shipper.store.aggregations import Aggregation
from python_shipper.store.highlight import Highlighter
from python_shipper.store.nodes import Node

PARAMETERS = {
    "query", "aggs", "aggregations", "from", "size", "sort", "search_after", "highlight", "_source",
    "track_total_hits", "timeout",
}  # fmt: skip
MOST_HITS = 10_000
SORTABLE = ("@timestamp", "event.id")
DEFAULT_SORT = (("event.id", True),)


@dataclass(frozen=True, slots=True)
class Request:
    """One search; ``sort`` holds (field, descending), ``total`` the number up to which hits are counted."""

    query: Node
    aggs: dict[str, Aggregation]
    offset: int
    size: int
    sort: tuple[tuple[str, bool], ...]
    after: tuple[Any, ...] | None
    highlight: Highlighter | None
    source: Any
    total: int | bool
    now_ms: int


def parse(body: Mapping[str, Any]) -> Request:
    """The request in ``body``.

    Raises:
        QueryError: malformed, or outside the subset.
    """
    if not isinstance(body, Mapping):
        raise QueryError(f"search body: expected an object, got {query.shortened(body)}")
    unknown = sorted(set(body) - PARAMETERS)
    if unknown:
        raise QueryError(f"search body: [{unknown[0]}] is not supported; one of {', '.join(sorted(PARAMETERS))}")
    now = now_ms()
    found = query.parse(body.get("query"), now)
    sort = sorting(body.get("sort"))
    offset, size = page(body)
    return Request(
        query=found,
        aggs=aggregations.parse(body.get("aggs") or body.get("aggregations"), now),
        offset=offset,
        size=size,
        sort=sort,
        after=after(body.get("search_after"), sort, offset),
        highlight=Highlighter.make(body["highlight"], found) if body.get("highlight") else None,
        source=body.get("_source", True),
        total=total(body.get("track_total_hits", MOST_HITS)),
        now_ms=now,
    )


def page(body: Mapping[str, Any]) -> tuple[int, int]:
    """``from`` and ``size``."""
    offset, size = query.whole(body.get("from", 0), "from"), query.whole(body.get("size", 10), "size")
    if offset + size > MOST_HITS:
        raise QueryError(
            "Result window is too large, from + size must be less than or equal to: "
            f"[{MOST_HITS}] but was [{offset + size}]; use search_after"
        )
    return offset, size


def sorting(given: Any) -> tuple[tuple[str, bool], ...]:
    """The fields to sort by; without ``sort`` the newest ids come first."""
    if given is None or given == []:
        return DEFAULT_SORT
    keys = tuple(sort_key(one) for one in (given if isinstance(given, list) else [given]))
    names = [name for name, _ in keys]
    if len(set(names)) < len(names):
        raise QueryError("sort: a field is named twice")
    return keys


def sort_key(one: Any) -> tuple[str, bool]:
    """One sort field and whether it runs downwards."""
    name, how = (one, "asc") if isinstance(one, str) else query.only(one, "sort")
    if name not in SORTABLE:
        raise QueryError(f"sort by [{name}] is not supported; one of {', '.join(SORTABLE)}")
    details = how if isinstance(how, Mapping) else {"order": how}
    unknown = sorted(set(details) - {"order", "format", "unmapped_type", "missing"})
    order = str(details.get("order", "asc")).lower()
    if unknown or order not in ("asc", "desc") or details.get("missing", "_last") != "_last":
        raise QueryError(f"sort by [{name}]: expected an order, asc or desc; got {query.shortened(how)}")
    if details.get("format") not in (None, "epoch_millis"):
        raise QueryError(f"sort by [{name}]: format is not supported; values are milliseconds")
    return name, order == "desc"


def after(given: Any, sort: tuple[tuple[str, bool], ...], offset: int) -> tuple[Any, ...] | None:
    """The sort values of the hit after which to go on."""
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != len(sort):
        raise QueryError(f"search_after: expected a list of {len(sort)} values, one a sort field")
    if offset:
        raise QueryError("`from` parameter must be set to 0 when `search_after` is used.")
    return tuple(checked_value(name, value) for (name, _), value in zip(sort, given, strict=True))


def checked_value(name: str, value: Any) -> Any:
    """A value of ``search_after``, of its field's type."""
    if name == "@timestamp":
        if isinstance(value, str) and value.lstrip("-").isdigit():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise QueryError(f"search_after: {name} is in milliseconds since 1970, got {value!r}")
    elif not isinstance(value, str):
        raise QueryError(f"search_after: {name} is a text, got {value!r}")
    return value


def total(given: Any) -> int | bool:
    """The number up to which hits are counted; True: all, False: none."""
    if given in (True, False) and isinstance(given, bool):
        return given
    return query.whole(given, "track_total_hits")


def sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body for Elasticsearch, after the checks of :func:`parse`: with the order that both engines share."""
    asked = parse(body)
    return {**body, "sort": [{name: {"order": "desc" if down else "asc"}} for name, down in asked.sort]}
