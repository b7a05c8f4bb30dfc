"""Keeps what the Prometheus exporter has counted, so that no counter steps back over a crash and each log counts once.

What is promised. Each commit of the store is counted in one SQLite transaction, synced to disk, and only what that
transaction has saved is shown: no scrape sees a number that a crash could take back. A crash between the store's commit
and ours leaves logs stored and not counted. So numbers are also kept by the hour of the logs' time, with the hour's
documents; at the next start, before anything is shown, hours in which the store holds another number are counted anew
from the store, and what is more than before is added. At the end the counters equal the store's logs, and each sample
is at least the one before. Two limits:

- counting begins with the file: hours of which the store held logs at that moment are not counted anew after a crash;
- logs that the store lost (a damaged day) and reads again from the files are counted again.

Retention takes nothing from a counter: the hours of a dropped day are forgotten, the totals stay.
"""

from __future__ import annotations

import json  # orjson refuses integers beyond 64 bits, which a sum of nanoseconds may be
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from python_shipper.core.database import open_database

NAME = "prometheus.sqlite3"
SCHEMA = """
CREATE TABLE IF NOT EXISTS values_known (label TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (label, value)) STRICT;
CREATE TABLE IF NOT EXISTS totals (series TEXT PRIMARY KEY, numbers TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS hourly (
  hour TEXT NOT NULL, series TEXT NOT NULL, numbers TEXT NOT NULL, PRIMARY KEY (hour, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hours (hour TEXT PRIMARY KEY, documents INTEGER NOT NULL, whole INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS begun (at TEXT NOT NULL) STRICT;
"""
LOGS = "christmas-logs-*"
PAGE = 5_000
HOUR = len("2026-01-31T23")

Series = tuple[str, ...]
Numbers = list[int]
Delta = dict[Series, Numbers]

log = logging.getLogger(__name__)


class Index(Protocol):
    """One index of a store."""

    @property
    def name(self) -> str:
        """Its name, which ends with its UTC day."""

    @property
    def documents(self) -> int:
        """How many documents it holds."""


class Logs(Protocol):
    """What is asked of the log store."""

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A `_search` response."""

    def indices(self, pattern: str = ...) -> Sequence[Index]:
        """The indices that match."""


class Counts:
    """The file ``prometheus.sqlite3`` in the data folder, and its totals in memory.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, data_dir: Path) -> None:
        consequence = "the counters of /metrics begin at zero again"
        self.connection, _ = open_database(data_dir / NAME, SCHEMA, "SELECT series FROM totals LIMIT 1", consequence)
        self.connection.execute("PRAGMA synchronous = FULL")
        rows = self.connection.execute("SELECT series, numbers FROM totals")
        self.totals: Delta = {series_of(series): json.loads(numbers) for series, numbers in rows}
        self.values: dict[str, set[str]] = defaultdict(set)
        for label, value in self.connection.execute("SELECT label, value FROM values_known"):
            self.values[label].add(value)

    def add(self, by_hour: Mapping[str, Delta], documents: Mapping[str, int]) -> None:
        """Save what was counted, by hour, and how many documents that were; shown once it is on disk.

        Raises:
            sqlite3.Error: the disk refuses; nothing of it is saved.
        """
        gained: Delta = {}
        for delta in by_hour.values():
            merge(gained, delta)
        with self.connection:
            for hour, delta in by_hour.items():
                merged = {series: plus(self.hour(hour, series), more) for series, more in delta.items()}
                self.save_hour(hour, merged)
                self.connection.execute(
                    "INSERT INTO hours VALUES (?, ?, 1) ON CONFLICT (hour)"
                    " DO UPDATE SET documents = documents + excluded.documents",
                    (hour, documents[hour]),
                )
            totals = self.save_totals(gained)
        self.totals |= totals

    def save_totals(self, gained: Delta) -> Delta:
        """Write the totals with ``gained`` added, and the label values known by now; the new totals."""
        totals = {series: plus(self.totals.get(series, []), more) for series, more in gained.items()}
        rows = [(text_of(series), json.dumps(numbers)) for series, numbers in totals.items()]
        self.connection.executemany("REPLACE INTO totals VALUES (?, ?)", rows)
        known = ((label, value) for label, values in self.values.items() for value in values)
        self.connection.executemany("INSERT OR IGNORE INTO values_known VALUES (?, ?)", known)
        return totals

    def save_hour(self, hour: str, numbers: Delta) -> None:
        """Write the numbers of one hour's series."""
        rows = [(hour, text_of(series), json.dumps(each)) for series, each in numbers.items()]
        self.connection.executemany("REPLACE INTO hourly VALUES (?, ?, ?)", rows)

    def hour(self, hour: str, series: Series) -> Numbers:
        """What was counted of one series in one hour."""
        query = "SELECT numbers FROM hourly WHERE hour = ? AND series = ?"
        found = self.connection.execute(query, (hour, text_of(series))).fetchone()
        return json.loads(found[0]) if found else []

    def catch_up(self, logs: Logs, count: Callable[[Iterable[bytes]], Delta]) -> int:
        """Count what the store holds and a crash kept from being counted; how many documents that were.

        To be called while nobody writes the store.

        Raises:
            StoreError: the store cannot be read.
            sqlite3.Error: the disk refuses.
        """
        held = documents_by_day(logs)
        self.forget(held)
        first = self.connection.execute("SELECT 1 FROM begun").fetchone() is None
        missed = 0
        for day, documents in held.items():
            if documents == self.counted(day):
                continue
            for hour, found in documents_by_hour(logs, day).items():
                missed += self.leave(hour, found) if first else self.recount(hour, found, logs, count)
        if first:
            with self.connection:
                self.connection.execute("INSERT INTO begun VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))")
        elif missed:
            log.warning("%d stored logs were not counted before a crash, and are now", missed)
        return missed

    def counted(self, day: str) -> int:
        """The documents of a day (``yyyy-mm-dd``) that were counted."""
        query = "SELECT coalesce(sum(documents), 0) FROM hours WHERE hour >= ? AND hour < ?"
        return int(self.connection.execute(query, (f"{day}T", f"{day}U")).fetchone()[0])

    def leave(self, hour: str, documents: int) -> int:
        """Remember an hour that was in the store before counting began."""
        with self.connection:
            self.connection.execute("REPLACE INTO hours VALUES (?, ?, 0)", (hour, documents))
        return 0

    def recount(self, hour: str, documents: int, logs: Logs, count: Callable[[Iterable[bytes]], Delta]) -> int:
        """Count one hour anew if it holds another number than was counted; how many documents more."""
        query = "SELECT documents, whole FROM hours WHERE hour = ?"
        known, whole = self.connection.execute(query, (hour,)).fetchone() or (0, 1)
        if known == documents:
            return 0
        if not whole:
            return self.leave(hour, documents)
        now = count(sources_of(logs, hour))
        rows = self.connection.execute("SELECT series, numbers FROM hourly WHERE hour = ?", (hour,))
        before = {series_of(series): json.loads(numbers) for series, numbers in rows}
        gained = {series: minus(numbers, before.get(series, [])) for series, numbers in now.items()}
        with self.connection:
            self.connection.execute("DELETE FROM hourly WHERE hour = ?", (hour,))
            self.save_hour(hour, now)
            self.connection.execute("REPLACE INTO hours VALUES (?, ?, 1)", (hour, documents))
            totals = self.save_totals({series: more for series, more in gained.items() if any(more)})
        self.totals |= totals
        return max(0, documents - known)

    def forget(self, kept: Iterable[str]) -> None:
        """Let go of the hours of days that the store holds no more; the totals stay."""
        gone = {day for (day,) in self.connection.execute("SELECT DISTINCT substr(hour, 1, 10) FROM hours")} - set(kept)
        with self.connection:
            for table in ("hours", "hourly"):
                rows = [(f"{day}T", f"{day}U") for day in gone]
                self.connection.executemany(f"DELETE FROM {table} WHERE hour >= ? AND hour < ?", rows)  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def documents_by_day(logs: Logs) -> Counter[str]:
    """UTC day (``yyyy-mm-dd``) → log documents in the store."""
    days: Counter[str] = Counter()
    for index in logs.indices(LOGS):
        days[index.name[-10:].replace(".", "-")] += index.documents
    return days


def documents_by_hour(logs: Logs, day: str) -> dict[str, int]:
    """Hour (``yyyy-mm-ddThh``) → log documents in the store, of one day."""
    found = {}
    for number in range(24):
        hour = f"{day}T{number:02}"
        body = {"query": within(hour), "size": 0, "track_total_hits": True}
        if documents := logs.search(LOGS, body)["hits"]["total"]["value"]:
            found[hour] = int(documents)
    return found


def within(hour: str) -> dict[str, Any]:
    """The query for one hour's documents."""
    return {"range": {"@timestamp": {"gte": f"{hour}:00:00.000Z", "lte": f"{hour}:59:59.999Z"}}}


def sources_of(logs: Logs, hour: str) -> Iterator[bytes]:
    """Every log document of one hour."""
    after: dict[str, Any] = {}
    while True:
        body = {"query": within(hour), "size": PAGE, "sort": [{"event.id": "asc"}], "track_total_hits": False}
        hits = logs.search(LOGS, body | after)["hits"]["hits"]
        yield from (orjson.dumps(hit["_source"]) for hit in hits)
        if len(hits) < PAGE:
            return
        after = {"search_after": hits[-1]["sort"]}


def merge(into: Delta, more: Delta) -> None:
    """Add ``more`` to ``into``."""
    for series, numbers in more.items():
        into[series] = plus(into.get(series, []), numbers)


def plus(one: Numbers, other: Numbers) -> Numbers:
    """The sums, place by place; an empty list is all zeros."""
    return [a + b for a, b in zip(one, other, strict=True)] if one else list(other)


def minus(one: Numbers, other: Numbers) -> Numbers:
    """The differences, place by place, but nothing below zero: counters only grow."""
    return [max(0, a - b) for a, b in zip(one, other, strict=True)] if other else list(one)


def text_of(series: Series) -> str:
    """A series as the file has it."""
    return orjson.dumps(series).decode()


def series_of(text: str) -> Series:
    """The series of :func:`text_of`."""
    return tuple(orjson.loads(text))
