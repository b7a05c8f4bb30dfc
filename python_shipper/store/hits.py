"""The best documents of several day indices in one order, and how a hit is shown.

tantivy sorts by one column. Where two are asked for, the first gives the best ``limit`` documents, and those that share
the last one's value are looked up again in the order of the second, so the result is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import tantivy
from tantivy import Query

from python_shipper.errors import QueryError
from python_shipper.store import patterns, schema
from python_shipper.store.columns import identity, milliseconds
from python_shipper.store.nodes import Bool, Interval, Node, Span, Terms
from python_shipper.store.request import Request

Sort = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One found document: its sort values, index name, and JSON source."""

    values: tuple[Any, ...]
    index: str
    source: dict[str, Any]


def beyond(sort: Sort, values: Sequence[Any]) -> Node:
    """The documents that come after a hit with these sort ``values``."""
    (name, down), value = sort[0], values[0]
    rest = side(name, down, value)
    if len(sort) == 1:
        return rest
    same = Bool(must=(exactly(name, value), beyond(sort[1:], values[1:])))
    return Bool(should=(rest, same), minimum=1)


def side(name: str, down: bool, value: Any) -> Node:
    """The documents whose ``name`` lies strictly beyond ``value``."""
    if name == "@timestamp":
        return Interval(name, "integer", None if down else value + 1, value - 1 if down else None)
    return Span(name, None, value, high_included=False) if down else Span(name, value, None, low_included=False)


def exactly(name: str, value: Any) -> Node:
    """The documents whose ``name`` is ``value``."""
    return Interval(name, "integer", value, value) if name == "@timestamp" else Terms(name, (value,))


class Day(Protocol):
    """One open day: what the search below needs of it."""

    searcher: tantivy.Searcher

    def compiled(self, node: Node) -> Query:
        """``node`` for this day's index."""


def best(day: Day, node: Node, sort: Sort, limit: int) -> list[Hit]:
    """The first ``limit`` documents of a day that ``node`` finds, in the order of ``sort``."""
    if limit == 0:
        return []
    first = top(day, node, sort[0], limit)
    hits = [shown(day, address, sort) for _, address in first]
    if len(sort) > 1 and len(first) == limit:
        last = first[-1][0]
        hits = [hit for hit in hits if hit.values[0] != last]
        ties = Bool(must=(node, exactly(sort[0][0], last)))
        hits += [shown(day, address, sort) for _, address in top(day, ties, sort[1], limit - len(hits))]
    return sorted_hits(hits, sort)


def top(day: Day, node: Node, key: tuple[str, bool], limit: int) -> list[tuple[Any, tantivy.DocAddress]]:
    """The first ``limit`` values of one column, with where they are."""
    order = tantivy.Order.Desc if key[1] else tantivy.Order.Asc
    found = day.searcher.search(day.compiled(node), limit, count=False, order_by_field=key[0], order=order)
    return list(found.hits)


def sorted_hits(hits: list[Hit], sort: Sort) -> list[Hit]:
    """``hits`` in the order of ``sort``, by stable sorting from the last key to the first."""
    for place, (_, down) in reversed(list(enumerate(sort))):
        hits = sorted(hits, key=lambda hit: hit.values[place], reverse=down)
    return hits


def shown(day: Day, address: tantivy.DocAddress, sort: Sort) -> Hit:
    """A found document, with its sort values from its source."""
    row: Any = day.searcher.doc(address)
    source = orjson.loads(row.get_first(schema.SOURCE))
    values = (identity(source) if name == schema.ID else milliseconds(source["@timestamp"]) for name, _ in sort)
    return Hit(tuple(values), row.get_first(schema.INDEX), source)


def answer(hit: Hit, request: Request) -> dict[str, Any]:
    """A hit as Elasticsearch shows it."""
    shown_hit: dict[str, Any] = {"_index": hit.index, "_id": identity(hit.source), "_score": None}
    source = filtered(hit.source, request.source)
    if source is not None:
        shown_hit["_source"] = source
    if request.highlight and (marked := request.highlight.show(hit.source)):
        shown_hit["highlight"] = marked
    shown_hit["sort"] = list(hit.values)
    return shown_hit


def filtered(source: dict[str, Any], wanted: Any) -> dict[str, Any] | None:
    """``source`` by the ``_source`` parameter; None if it is not asked for."""
    if wanted in (True, False):
        return source if wanted else None
    includes, excludes = source_patterns(wanted)
    return kept(source, "", includes, excludes)


def source_patterns(wanted: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The patterns to include and to exclude of a ``_source`` parameter.

    Raises:
        QueryError: not a name, a list of names, or an object of includes and excludes.
    """
    if isinstance(wanted, Mapping) and not set(wanted) - {"includes", "excludes", "include", "exclude"}:
        parts = (wanted.get("includes", wanted.get("include")), wanted.get("excludes", wanted.get("exclude")))
        return names(parts[0]), names(parts[1])
    if isinstance(wanted, str | list):
        return names(wanted), ()
    raise QueryError(f"_source: expected true, false, names, or includes and excludes; got {wanted!r}")


def names(given: Any) -> tuple[str, ...]:
    """A parameter that is one name or a list of them."""
    found = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise QueryError(f"_source: expected names, got {given!r}")
    return tuple(found)


def kept(node: dict[str, Any], path: str, includes: Sequence[str], excludes: Sequence[str]) -> dict[str, Any]:
    """The part of a source that the patterns leave; a pattern also covers what lies below it."""
    left: dict[str, Any] = {}
    for name, value in node.items():
        here = path + name
        if covered(here, excludes):
            continue
        if not includes or covered(here, includes):
            inner = kept(value, f"{here}.", (), excludes) if isinstance(value, dict) and excludes else value
        elif isinstance(value, dict):
            inner = kept(value, f"{here}.", includes, excludes)
        else:
            continue
        if inner != {} or value == {}:
            left[name] = inner
    return left


def covered(path: str, given: Sequence[str]) -> bool:
    """Whether a pattern matches ``path`` or an object above it."""
    return any(patterns.simple_match(pattern, path) or patterns.simple_match(f"{pattern}.*", path) for pattern in given)
