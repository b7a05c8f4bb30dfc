"""The best documents of several day indices in one order, and how a hit is shown.

tantivy sorts by one column. Where two are asked for, the first gives the best ``limit`` documents, and those that share
the last one's value are looked up again in the order of the second, so the result is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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
    return Terms(name, (value,)) if name == schema.ID else Interval(name, "integer", value, value)


class Day(Protocol):
    """One open day: what the search below needs of it."""

    searcher: tantivy.Searcher

    def compiled(self, node: Node) -> Query:
        """``node`` for this day's index."""


class Candidate(NamedTuple):
    """A document that may be among the best: the value of the first column it is sorted by, and where it is."""

    key: int
    day: Day
    address: tantivy.DocAddress


def candidates(day: Day, node: Node, sort: Sort, limit: int) -> tuple[list[Candidate], int]:
    """The first ``limit`` documents of a day that ``node`` finds, in the order of ``sort``, and how many it finds."""
    pairs, count = ranked(day, node, columns(sort), limit)
    return [Candidate(key, day, address) for key, address in pairs], count


def columns(sort: Sort) -> Sort:
    """The columns to sort by: before ids their numbers, by which tantivy sorts a hundred times faster than by text."""
    return tuple(one for name, down in sort for one in ([(schema.ORDER, down)] * (name == schema.ID) + [(name, down)]))


def ranked(day: Day, node: Node, keys: Sort, limit: int) -> tuple[list[tuple[Any, tantivy.DocAddress]], int]:
    """The first ``limit`` documents by several columns, each with its value of the first, and how many there are."""
    (name, down), rest = keys[0], keys[1:]
    order = tantivy.Order.Desc if down else tantivy.Order.Asc
    found: Any = day.searcher.search(day.compiled(node), limit, order_by_field=name, order=order)
    pairs = list(found.hits)
    if rest and len(pairs) == limit:
        last = pairs[-1][0]
        pairs = [pair for pair in pairs if pair[0] != last]
        ties, _ = ranked(day, Bool(must=(node, exactly(name, last))), rest, limit - len(pairs))
        pairs += [(last, address) for _, address in ties]
    return pairs, int(found.count)


def best(found: list[Candidate], sort: Sort, offset: int, size: int) -> list[Hit]:
    """The hits from ``offset`` on, at most ``size``, among the candidates of all days."""
    found = sorted(found, key=lambda one: one.key, reverse=sort[0][1])
    if offset >= len(found) or not size:
        return []
    first, last = found[offset].key, found[min(offset + size, len(found)) - 1].key
    before = next(place for place, one in enumerate(found) if one.key == first)
    after = next((place for place in range(offset, len(found)) if one_beyond(found[place].key, last, sort[0][1])), None)
    hits = sorted_hits([shown(one, sort) for one in found[before:after]], sort)
    return hits[offset - before :][:size]


def one_beyond(key: int, last: int, down: bool) -> bool:
    """Whether a value comes after ``last`` in the order."""
    return key < last if down else key > last


def sorted_hits(hits: list[Hit], sort: Sort) -> list[Hit]:
    """``hits`` in the order of ``sort``, by stable sorting from the last key to the first."""
    for place, (_, down) in reversed(list(enumerate(sort))):
        hits = sorted(hits, key=lambda hit: hit.values[place], reverse=down)
    return hits


def shown(found: Candidate, sort: Sort) -> Hit:
    """A found document, with its sort values from its source."""
    row: Any = found.day.searcher.doc(found.address)
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
