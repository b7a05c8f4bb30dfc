"""Runs a tree of aggregations on one day's index, in pieces where tantivy cannot do it in one go.

- ``filters`` are refused by tantivy: each filter is a run of its own, of the query narrowed by the filter, whose
  buckets are put into those of the run without it.
- More buckets than tantivy gives at once: the day is halved by time until each piece fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import tantivy

from python_shipper.errors import QueryError
from python_shipper.store.aggregations import Aggregation, Overflow, Part
from python_shipper.store.buckets import Bucket, Buckets, Filters, merge_parts
from python_shipper.store.nodes import Bool, Interval, Node, all_of

Tree = Mapping[str, Aggregation]
LIMITS = ("bucket limit was exceeded", "memory limit was exceeded")
SHORTEST_MS = 60_000


class Day(Protocol):
    """One open day: what a run needs of it."""

    searcher: tantivy.Searcher
    columns: frozenset[str]

    def compiled(self, node: Node) -> tantivy.Query:
        """``node`` for this day's index."""

    def count(self, node: Node) -> int:
        """How many documents ``node`` finds."""


def run(day: Day, node: Node, tree: Tree, span: tuple[int, int]) -> dict[str, Part]:
    """The parts of ``tree`` for the documents of a day that ``node`` finds; ``span`` is the day in milliseconds.

    Raises:
        QueryError: more buckets within a minute than can be given.
    """
    try:
        return run_whole(day, node, tree, span)
    except Overflow:
        first, last = span
        if last - first < SHORTEST_MS:
            raise QueryError("aggs: too many distinct values; narrow the query or the aggregation") from None
        middle = (first + last) // 2
        early, late = (
            run(day, all_of((node, Interval("@timestamp", "integer", low, high))), tree, (low or first, high or last))
            for low, high in ((None, middle), (middle + 1, None))
        )
        return merge_parts(early, late, dict(tree))


def run_whole(day: Day, node: Node, tree: Tree, span: tuple[int, int]) -> dict[str, Part]:
    """The parts of ``tree``, not cut by time."""
    parts = plain(day, node, tree)
    for name, aggregation in tree.items():
        if isinstance(aggregation, Filters):
            parts[name] = filtered(day, node, aggregation, span)
        else:
            for path, inner in nested_filters(aggregation):
                graft_all(day, node, {name: aggregation}, (name, *path), inner, parts, span)
    return parts


def plain(day: Day, node: Node, tree: Tree) -> dict[str, Part]:
    """The parts of all but the filters."""
    asked = {name: request for name, sub in tree.items() if (request := sub.ask()) is not None}
    if not asked:
        return {}
    try:
        answers = day.searcher.aggregate(day.compiled(node), asked)
    except ValueError as error:
        if any(limit in str(error) for limit in LIMITS):
            raise Overflow from error
        raise
    return {name: tree[name].read(answer) for name, answer in answers.items()}


def filtered(day: Day, node: Node, filters: Filters, span: tuple[int, int]) -> Buckets:
    """The buckets of filters that stand at the top."""
    return {
        key: Bucket(day.count(narrowed), run(day, narrowed, filters.subs, span))
        for key, narrowed in narrowings(node, filters)
    }


def narrowings(node: Node, filters: Filters) -> Iterator[tuple[str, Node]]:
    """The query of each filter's bucket, by the bucket's name."""
    for key, condition in filters.filters.items():
        yield key, all_of((node, condition))
    if filters.other:
        yield filters.other, Bool(must=(node,), must_not=tuple(filters.filters.values()))


def nested_filters(aggregation: Aggregation) -> Iterator[tuple[tuple[str, ...], Filters]]:
    """The filters below an aggregation, with the names that lead to them; not those below other filters."""
    for name, sub in aggregation.subs.items():
        if isinstance(sub, Filters):
            yield (name,), sub
        else:
            yield from (((name, *path), inner) for path, inner in nested_filters(sub))


def graft_all(
    day: Day, node: Node, tree: dict[str, Aggregation], path: tuple[str, ...], filters: Filters,
    parts: dict[str, Part], span: tuple[int, int],
) -> None:  # fmt: skip
    """Put the buckets of nested filters into ``parts``: one run a filter, of the aggregations that lead to it."""
    chain = narrow_tree(tree, path, filters)
    for key, narrowed in narrowings(node, filters):
        graft(parts, run(day, narrowed, chain, span), path, key, filters)


def narrow_tree(tree: Mapping[str, Aggregation], path: tuple[str, ...], filters: Filters) -> dict[str, Aggregation]:
    """Only the aggregations on ``path``, the innermost of them with what is nested in the filters."""
    outer: Any = tree[path[0]]
    subs = filters.subs if len(path) == 2 else narrow_tree(outer.subs, path[1:], filters)
    return {path[0]: replace(outer, subs=subs)}


def graft(parts: dict[str, Part], found: dict[str, Part], path: tuple[str, ...], key: str, filters: Filters) -> None:
    """Put one filter's buckets, found with the aggregations on ``path``, below those found without the filter."""
    name, rest = path[0], path[1:]
    for outer_key, bucket in found.get(name, {}).items():
        target = parts[name][outer_key].parts
        if len(rest) == 1:
            target.setdefault(rest[0], {})[key] = bucket
        else:
            graft(target, bucket.parts, rest, key, filters)
