"""The embedded store's reader: answers Elasticsearch's `_search` from the day indices on local disk.

Any number of processes read while one writes (:mod:`~python_shipper.store.writer`). A day's index is opened when a
request first needs it, and looked at anew when its ``meta.json`` has changed, so a commit is seen by the next request.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy
from tantivy import Query

from python_shipper.errors import StoreError
from python_shipper.store import IndexInfo, analysis, hits, request, schema
from python_shipper.store.aggregate import run
from python_shipper.store.buckets import merge_parts, show_parts
from python_shipper.store.compile import Compiler
from python_shipper.store.days import DAY_MS, Day, Pattern, named_days, store_root, tree_size
from python_shipper.store.failures import told
from python_shipper.store.nodes import All, Bool, Node, Nothing, Terms, all_of, time_span
from python_shipper.store.request import Request

OPEN_DAYS = 64  # readers kept open; each is a few memory maps
ALL_TERMS = 65_000  # buckets that tantivy gives at most


@dataclass(slots=True)
class OpenDay:
    """One day's index as last seen: ``stamp`` tells its meta.json apart from later ones."""

    day: Day
    index: tantivy.Index
    searcher: tantivy.Searcher
    columns: frozenset[str]
    stamp: tuple[int, int, int]

    def renewed(self, stamp: tuple[int, int, int]) -> OpenDay:
        """The same index at its last commit."""
        self.index.reload()
        return OpenDay(self.day, self.index, self.index.searcher(), self.columns, stamp)

    def compiled(self, node: Node) -> Query:
        """``node`` for this day's index."""
        return Compiler(self.index, self.searcher, self.columns).query(node)

    def count(self, node: Node) -> int:
        """How many documents ``node`` finds."""
        found: Any = self.searcher.search(self.compiled(node), 1)
        return int(found.count)

    def names(self) -> dict[str, int]:
        """The indices of this day, with their numbers of documents."""
        aggs = {"names": {"terms": {"field": schema.INDEX, "size": ALL_TERMS, "segment_size": ALL_TERMS}}}
        buckets = self.searcher.aggregate(Query.all_query(), aggs)["names"]["buckets"]
        return {bucket["key"]: int(bucket["doc_count"]) for bucket in buckets}


class TantivyStore:
    """The :class:`~python_shipper.store.Store` on local disk; safe to share between threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.days: OrderedDict[Day, OpenDay] = OrderedDict()
        self.lock = threading.Lock()

    @classmethod
    def open(cls, data_dir: Path) -> TantivyStore:
        """The store under ``data_dir``; one that holds nothing yet is an empty store."""
        return cls(store_root(data_dir))

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`python_shipper.store.Store.search`."""
        started = time.perf_counter()
        wanted, asked = Pattern.parse(index), request.parse(body)
        with told(f"{self.root}: cannot read the store"):
            days = [(day, self.narrowed(day, wanted, asked.query)) for day in self.matching(wanted, asked.query)]
            found = {"hits": self.hits(days, asked), **self.aggregations(days, asked)}
        took = round((time.perf_counter() - started) * 1000)
        shards = {"total": len(days), "successful": len(days), "skipped": 0, "failed": 0}
        return {"took": took, "timed_out": False, "_shards": shards, **found}

    def aggregations(self, days: list[tuple[OpenDay, Node]], asked: Request) -> dict[str, Any]:
        """The ``aggregations`` object, if any are asked for: the days' parts merged."""
        if not asked.aggs:
            return {}
        merged: dict[str, Any] = {}
        for day, node in days:
            span = (day.day.start_ms, day.day.start_ms + DAY_MS - 1)
            merged = merge_parts(merged, run(day, node, asked.aggs, span), asked.aggs)
        return {"aggregations": show_parts(merged, asked.aggs)}

    def hits(self, days: list[tuple[OpenDay, Node]], asked: Request) -> dict[str, Any]:
        """The ``hits`` object."""
        wanted, found, total = asked.offset + asked.size, [], 0
        for day, node in days:
            if not wanted:
                total += day.count(node)
                continue
            after = [hits.beyond(asked.sort, asked.after)] if asked.after else []
            some, count = hits.candidates(day, all_of((node, *after)), asked.sort, wanted)
            found += some
            total += day.count(node) if after and asked.total is not False else count
        best = hits.best(found, asked.sort, asked.offset, asked.size)
        return {**counted(total, asked.total), "max_score": None, "hits": [hits.answer(hit, asked) for hit in best]}

    def narrowed(self, day: OpenDay, wanted: Pattern, node: Node) -> Node:
        """``node``, with a condition on the index name where a day holds other indices too."""
        if wanted.takes_all_of(day.day):
            return node
        names = tuple(name for name in day.names() if wanted.matches(name))
        return Bool(must=(Terms(schema.INDEX, names), node)) if names else Nothing()

    def matching(self, wanted: Pattern, node: Node) -> list[OpenDay]:
        """The days, opened, that may hold an index of the pattern and documents in the query's time, oldest first."""
        low, high = time_span(node)
        named = set(named_days(self.root))
        with self.lock:
            for day in self.days.keys() - named:
                del self.days[day]  # deleted by retention: let go of its memory and its watching thread
        days = (day for day in named if low - DAY_MS < day.start_ms <= high)
        asked = sorted(day for day in days if wanted.may_match(day))
        return [opened for day in asked if (opened := self.opened(day)) is not None]

    def opened(self, day: Day) -> OpenDay | None:
        """A day as it is on disk now; None if it has just been deleted."""
        folder = day.folder(self.root)
        try:
            stamp = stamped(folder)
            with self.lock, told(f"{folder}: cannot read this day"):
                known = self.days.pop(day, None)
                if known is None:
                    known = open_day(day, folder, stamp)
                elif known.stamp != stamp:
                    known = known.renewed(stamp)
                self.days[day] = known
                while len(self.days) > OPEN_DAYS:
                    self.days.popitem(last=False)
                return known
        except (FileNotFoundError, StoreError):
            if (folder / "meta.json").exists():
                raise
            return None

    def indices(self, pattern: str = "christmas-*") -> list[IndexInfo]:
        """See :meth:`python_shipper.store.Store.indices`; a day's size is shared among its indices by documents."""
        wanted, found = Pattern.parse(pattern), []
        with told(f"{self.root}: cannot read the store"):
            for day in self.matching(wanted, All()):
                names = day.names()
                size, total = tree_size(day.day.folder(self.root)), max(sum(names.values()), 1)
                found += [IndexInfo(n, count, size * count // total) for n, count in names.items() if wanted.matches(n)]
        return sorted(found, key=lambda info: info.name)

    def close(self) -> None:
        """Let go of the open days."""
        with self.lock:
            self.days.clear()


def counted(total: int, limit: int | bool) -> dict[str, Any]:
    """The ``total`` of a response, as far as ``track_total_hits`` asks for it."""
    if limit is False:
        return {}
    if limit is True or total <= limit:
        return {"total": {"value": total, "relation": "eq"}}
    return {"total": {"value": limit, "relation": "gte"}}


def stamped(folder: Path) -> tuple[int, int, int]:
    """What tells one state of an index from another."""
    status = (folder / "meta.json").stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def open_day(day: Day, folder: Path, stamp: tuple[int, int, int]) -> OpenDay:
    """Open a day's index for reading."""
    meta = json.loads((folder / "meta.json").read_bytes())
    index = tantivy.Index.open(str(folder))
    index.register_tokenizer(analysis.NAME, analysis.splitter())
    return OpenDay(day, index, index.searcher(), frozenset(column["name"] for column in meta["schema"]), stamp)
