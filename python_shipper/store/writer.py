"""Keeps documents exactly once: the one writer of the embedded store, with a tantivy index for each family and UTC day.

Commit order and recovery. The caller reads lines, adds their documents, calls :meth:`Writer.commit`, and only then
moves its own checkpoint on. Whatever happens between, the checkpoint is never ahead of the store:

1. Killed before a commit: the days hold what they held at their last commit; the caller reads again from its
   checkpoint.
2. Killed between the commits of two days, or after the commits and before the checkpoint: the caller reads lines that
   are already stored. Their ids are found (one ``term_set_query`` a batch) and counted as known.
3. The checkpoint is lost or damaged: reading everything again has the same end. :meth:`Writer.watermarks` tells how far
   each segment of a file was committed, from the columns ``_segment`` and ``_offset`` of the open days.
4. A commit fails (disk full): all that was not committed is dropped here, a StoreError is raised, and the caller reads
   again from its checkpoint once there is room.
5. A day's index is damaged (torn by the disk, not by a kill): its folder is set aside as ``<day>.damaged-<n>``, named
   in :attr:`Writer.set_aside`, and a new one begun; the caller reads again what its files still hold. Where the damage
   shows only when ids are looked up, a StoreError is raised besides, as after a failed commit.

The first document of an id in an index wins, as with Elasticsearch's ``op_type: create``; a later one with other
content is counted as differing. Content is compared without ``log.file`` and ``log.offset``: rotation renames files.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import math
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
import tantivy

from python_shipper.errors import StoreError, StoreLockedError
from python_shipper.store import analysis, schema
from python_shipper.store.columns import begin, columns, identity, order
from python_shipper.store.days import Day, day_of, kept_days, store_root, tree_size
from python_shipper.store.failures import told
from python_shipper.store.retention import beyond_budget, expired_days, on_hold

T = TypeVar("T")
Row = tuple[str, str, dict[str, Any], int, int]  # index, id, document; its line's segment, and where that line ends
Placed = tuple[int, int, Row]  # its position among those added, and the place of its id
Committed = Callable[[list[bytes]], None]
LOG_INDICES = "christmas-logs-"
HEAP_BYTES = 50_000_000  # a writer cuts a new segment when its heap is full; tantivy wants at least 15 MB
LIMITS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOMEM, errno.EIO}
NOWHERE = -1  # below all places
MOST_BUCKETS = 65_000  # tantivy gives no more
DROPPED = ".dropped"
OPEN_DAYS = 4  # writers open at once: today, yesterday, and two that a backlog brings


@dataclass(frozen=True, slots=True)
class Added:
    """What became of added documents; ``refused`` holds (position in the sequence, reason) of those no column takes."""

    stored: int = 0
    known: int = 0
    differing: int = 0
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class OpenDay:
    """One day's index with its writer; ``fresh`` has the uncommitted sources by index and id.

    No committed id of an index has a place (:func:`~python_shipper.store.columns.order`) above ``highest``, so one
    above it need not be looked up; ``reached`` has the highest places of the uncommitted ones.
    """

    index: tantivy.Index
    writer: tantivy.IndexWriter
    searcher: tantivy.Searcher
    highest: dict[str, float]
    reached: dict[str, int] = field(default_factory=dict)
    fresh: dict[tuple[str, str], bytes] = field(default_factory=dict)


class Writer:
    """The store's only writer; a lock on ``DATA_DIR/store/.writer.lock`` keeps a second one out."""

    def __init__(self, data_dir: Path, committed: Committed | None = None) -> None:
        """Take the lock; ``committed`` is given the new log documents' sources after the commit that keeps them.

        It must not raise.

        Raises:
            StoreError: another process writes here, or the folder cannot be written.
        """
        self.root = store_root(data_dir)
        self.committed = committed
        self.days: dict[Day, OpenDay] = {}
        self.set_aside: list[Path] = []
        self.lock = locked(self.root)

    def add(self, documents: Sequence[Row]) -> Added:
        """Store the documents whose ids are new: rows as :data:`Row`; searchable after :meth:`commit`.

        Raises:
            StoreError: an index name is not ours, or the disk refuses; nothing since the last commit is kept.
        """
        by_day: dict[Day, list[Placed]] = defaultdict(list)
        for position, row in enumerate(documents):
            by_day[day_of(row[0])].append((position, order(row[1]), row))
        parts = [self.guarded(lambda d=day, r=rows: self.add_to_day(d, r)) for day, rows in by_day.items()]  # type: ignore[misc]
        return Added(
            sum(part.stored for part in parts),
            sum(part.known for part in parts),
            sum(part.differing for part in parts),
            tuple(sorted(refusal for part in parts for refusal in part.refused)),
        )

    def add_to_day(self, day: Day, rows: list[Placed]) -> Added:
        """The rows of one day."""
        opened = self.opened(day)
        fresh, highest, reached = opened.fresh, opened.highest, opened.reached
        asked = [row[1] for _, place, row in rows if place <= highest.get(row[0], NOWHERE)]
        known = self.known(day, opened, asked) if asked else {}
        stored = differing = 0
        refused = []
        for position, place, (name, key_id, document, segment, offset) in rows:
            key = (name, key_id)
            source = orjson.dumps(document)
            earlier = known.get(key) or fresh.get(key)
            if earlier is not None:
                differing += not same(earlier, source)
                continue
            try:
                opened.writer.add_document(columns(name, document, source, segment, offset, place))
            except (TypeError, ValueError, OverflowError) as error:
                refused.append((position, f"{type(error).__name__}: {error}"))
                continue
            fresh[key] = source
            if place > reached.get(name, NOWHERE):
                reached[name] = place
            stored += 1
        return Added(stored, len(rows) - stored - len(refused), differing, tuple(refused))

    def known(self, day: Day, opened: OpenDay, ids: list[str]) -> dict[tuple[str, str], bytes]:
        """The committed documents among ``ids``; a day that cannot be read is set aside.

        Its files are mapped into memory, so what fails here is their content and not the disk.
        """
        try:
            with told(f"{day.folder(self.root)}: this day was set aside"):
                return stored_sources(opened, ids)
        except StoreError:
            self.days.clear()
            self.set_aside.append(aside(day.folder(self.root)))
            raise

    def commit(self) -> None:
        """Make all that was added durable and searchable.

        Raises:
            StoreError: the disk refuses; nothing since the last commit is kept.
        """
        for opened in self.days.values():
            if opened.fresh:
                self.guarded(lambda o=opened: self.commit_day(o))  # type: ignore[misc]

    def commit_day(self, opened: OpenDay) -> None:
        """Commit one day, hand over what is new in its logs, and look at it anew."""
        opened.writer.commit()
        fresh, opened.fresh = opened.fresh, {}
        for name, place in opened.reached.items():
            opened.highest[name] = max(opened.highest.get(name, NOWHERE), place)
        if self.committed:
            sources = [source for (name, _), source in fresh.items() if name.startswith(LOG_INDICES)]
            if sources:
                self.committed(sources)
        opened.index.reload()
        opened.searcher = opened.index.searcher()

    def watermarks(self) -> dict[int, int]:
        """For each segment the highest committed end offset, over the open days' indices."""
        highest: dict[int, int] = {}
        request = {
            "s": {
                "terms": {"field": schema.SEGMENT, "size": MOST_BUCKETS},
                "aggs": {"o": {"max": {"field": schema.OFFSET}}},
            }
        }
        for opened in self.days.values():
            buckets = opened.searcher.aggregate(tantivy.Query.all_query(), request)["s"]["buckets"]
            for found in buckets:
                segment, offset = int(found["key"]), int(found["o"]["value"])
                highest[segment] = max(offset, highest.get(segment, 0))
        return highest

    def opened(self, day: Day) -> OpenDay:
        """The open day, opened now if need be; the one used longest ago makes room."""
        opened = self.days.pop(day, None)
        if opened is None:
            while len(self.days) >= OPEN_DAYS:
                self.close_day(next(iter(self.days)))
            opened = self.open_day(day)
        self.days[day] = opened
        return opened

    def open_day(self, day: Day) -> OpenDay:
        """Open or begin a day's index; a damaged one is set aside."""
        folder = day.folder(self.root)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            index, searcher = open_index(folder)
            with told(str(folder)):
                highest = highest_places(searcher)
        except (ValueError, OSError, StoreError) as error:
            if not (folder / "meta.json").exists() or not is_damage(error):
                raise
            self.set_aside.append(aside(folder))
            folder.mkdir(mode=0o700)
            index, searcher = open_index(folder)
            highest = highest_places(searcher)
        writer = index.writer(HEAP_BYTES, 1)  # no writer: no room or in use, never damage
        return OpenDay(index, writer, searcher, highest)

    def close_day(self, day: Day) -> None:
        """Commit and close one day, its merges finished, its memory given back."""
        opened = self.days.pop(day)
        self.commit_day(opened)
        opened.writer.wait_merging_threads()
        give_memory_back()

    def drop(self, day: Day) -> None:
        """Delete a day with all its indices; it is gone at once for readers, and again if it comes back."""
        opened = self.days.pop(day, None)
        if opened is not None:
            opened.writer.rollback()
            del opened
        folder = day.folder(self.root)
        self.sweep()
        folder.rename(folder.with_name(folder.name + DROPPED))  # a reader's watching thread makes a lock file in it
        self.sweep()

    def sweep(self) -> None:
        """Delete the files of dropped days, also what a killed process left of them."""
        for folder in self.root.glob(f"*/*{DROPPED}"):
            shutil.rmtree(folder)

    def drop_expired(self, now_ms: int) -> list[Day]:
        """Delete the days past the age in ``ilm_policies/`` but those on hold, and tell which."""
        self.guarded(self.sweep)
        return self.drop_all(expired_days(self.droppable(), now_ms))

    def drop_beyond(self, limit_bytes: int, now_ms: int) -> list[Day]:
        """Delete what must go for the store to fit into ``limit_bytes`` (0: no limit), and tell which days of logs."""
        if not limit_bytes or (excess := tree_size(self.root) - limit_bytes) <= 0:
            return []
        for folder in sorted(self.root.glob("*/*.damaged-*")):
            if excess > 0:
                excess -= tree_size(folder)
                shutil.rmtree(folder)
        sizes = {day: tree_size(day.folder(self.root)) for day in self.droppable()}
        return self.drop_all(beyond_budget(sizes, excess, now_ms))

    def droppable(self) -> list[Day]:
        """The days on disk that are not on hold."""
        return [day for day in self.kept() if not on_hold(day.folder(self.root))]

    def drop_all(self, days: list[Day]) -> list[Day]:
        """Delete these days."""
        for day in days:
            self.guarded(lambda d=day: self.drop(d))  # type: ignore[misc]
        return days

    def kept(self) -> list[Day]:
        """The days on disk, oldest first."""
        return kept_days(self.root)

    def guarded(self, work: Callable[[], T]) -> T:
        """Do ``work``; if the engine fails, forget all that is not committed and say so."""
        try:
            with told(f"{self.root}: nothing since the last commit is kept: cannot write the store"):
                return work()
        except StoreError:
            self.days.clear()
            raise

    def close(self) -> None:
        """Commit, finish merges and release the lock."""
        try:
            for day in list(self.days):
                self.guarded(lambda d=day: self.close_day(d))  # type: ignore[misc]
        finally:
            os.close(self.lock)


def locked(root: Path) -> int:
    """An open, exclusively locked ``.writer.lock`` in ``root``.

    Raises:
        StoreLockedError: another process holds it.
        StoreError: it cannot be made.
    """
    path = root / ".writer.lock"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; DATA_DIR must be a folder this user can write") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreLockedError(f"{path}: another process writes this store; stop it first (shipper down)") from error
    return lock


def open_index(folder: Path) -> tuple[tantivy.Index, tantivy.Searcher]:
    """The index in ``folder``, begun if there is none, as it was last committed."""
    begun = (folder / "meta.json").exists()
    index = tantivy.Index.open(str(folder)) if begun else begin(folder)
    index.register_tokenizer(analysis.NAME, analysis.splitter())
    index.reload()
    return index, index.searcher()


def highest_places(searcher: tantivy.Searcher) -> dict[str, float]:
    """The highest place of an id in each index of a day: exact, for places have 50 bits.

    A day whose schema is older than the column has no bound.
    """
    by = {"terms": {"field": schema.INDEX, "size": MOST_BUCKETS}, "aggs": {"o": {"max": {"field": schema.ORDER}}}}
    buckets = searcher.aggregate(tantivy.Query.all_query(), {"i": by})["i"]["buckets"]
    highest = ((found["key"], found["o"]["value"]) for found in buckets)
    return {name: math.inf if place is None else float(place) for name, place in highest}


def give_memory_back() -> None:
    """What threads have freed, to the machine: glibc keeps it for their like, and each day has threads of its own."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have no such function
    if trim:
        trim(0)


def is_damage(error: Exception) -> bool:
    """Whether an index's files are wrong, rather than the disk or the process at a limit (often told as text only)."""
    told = {int(number) for number in re.findall(r"\(os error ([0-9]+)\)", str(error))}
    return not (isinstance(error, OSError) and error.errno) and not told & LIMITS


def stored_sources(opened: OpenDay, ids: Iterable[str]) -> dict[tuple[str, str], bytes]:
    """The committed documents among ``ids``: (index, id) → source."""
    wanted = list(set(ids))
    query = tantivy.Query.term_set_query(opened.index.schema, schema.ID, wanted)
    limit = len(wanted) + 1
    while len(hits := opened.searcher.search(query, limit=limit, count=False).hits) == limit:
        limit *= 4  # one id in several indices of the day
    return {(index, identity(orjson.loads(source))): source for index, source in kept_of(opened.searcher, hits)}


def kept_of(searcher: tantivy.Searcher, hits: Any) -> Iterable[tuple[str, bytes]]:
    """Index name and source of found documents."""
    for _, address in hits:
        row: Any = searcher.doc(address)
        yield row.get_first(schema.INDEX), row.get_first(schema.SOURCE)


def same(one: bytes, other: bytes) -> bool:
    """Whether two sources of one id say the same, wherever they were read."""
    return one == other or comparable(orjson.loads(one)) == comparable(orjson.loads(other))


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """The content that makes two documents of one id the same or not."""
    log = document.get("log")
    if not isinstance(log, dict):
        return document
    return {**document, "log": {name: value for name, value in log.items() if name not in ("file", "offset")}}


def aside(folder: Path) -> Path:
    """Rename a damaged day's folder to the first free ``<day>.damaged-<n>``, and tell its new name."""
    number = 1
    while (target := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    return folder.rename(target)
