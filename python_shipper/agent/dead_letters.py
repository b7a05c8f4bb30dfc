"""Keeps what could not be stored as a log, byte for byte, until someone has fixed the reason and replays it.

The searchable document (masked text, reason, file, offset) is in `christmas-dead-letters-*` like any other. The raw
bytes are copied to ``spool/dead_letters.sqlite3`` (0600) before that, because the segment they stand in will be rotated
away. The spool also fixes the index of a dead letter: read again after a crash on the next day, it lands on itself.

The spool holds ``MOST_BYTES`` of raw bytes. Beyond that a dead letter is still stored and listed, its bytes stay in the
segment only, and an ERROR says so. A full disk is another matter: then nothing is read on until there is room.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from python_shipper.agent.pipeline import Pipeline, Routed, Source
from python_shipper.core.clock import now_ms
from python_shipper.core.database import open_database
from python_shipper.errors import StoreError, StoreLockedError
from python_shipper.settings import Settings
from python_shipper.store import DEAD_LETTERS, Store

if TYPE_CHECKING:
    from python_shipper.store.writer import Writer

MOST_BYTES = 268_435_456
PREFIX = DEAD_LETTERS.removesuffix("*")
SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
  id TEXT PRIMARY KEY, place TEXT NOT NULL, reason TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL,
  offset INTEGER NOT NULL, kept_ms INTEGER NOT NULL, state TEXT NOT NULL, raw BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS letters_asked ON letters (state) WHERE state = 'asked';
"""
Add = Callable[[Sequence[Routed]], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """A line that became a dead letter: its raw bytes, where it stood, and the document made of it."""

    raw: bytes
    source: Source
    routed: Routed

    @property
    def reason(self) -> str:
        """Why it could not be stored as a log."""
        return str(self.routed.document["christmas"]["dead_letter"]["reason"])


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter as it is listed; ``state`` is kept (can be replayed), asked, replayed, or gone (no raw bytes)."""

    id: str
    timestamp: str
    reason: str
    service: str | None
    index: str | None
    path: str | None
    offset: int | None
    message: str
    state: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many dead letters were replayed into the logs, and how many are dead letters still."""

    replayed: int = 0
    still: int = 0


class Spool:
    """The raw bytes of dead letters, in the data folder.

    Raises:
        StoreError: the file cannot be opened or written, or the disk is full.
    """

    def __init__(self, data_dir: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path = data_dir / "spool" / "dead_letters.sqlite3"
        self.most_bytes = most_bytes
        self.full = False
        consequence = "the dead letters are still listed; raw bytes are only in it and in the log files"
        self.connection, _ = open_database(self.path, SCHEMA, "SELECT place FROM letters LIMIT 1", consequence)
        self.bytes = self.sum_of_bytes()

    def sum_of_bytes(self) -> int:
        """The raw bytes that are kept."""
        (total,) = self.connection.execute("SELECT coalesce(sum(length(raw)), 0) FROM letters").fetchone()
        return int(total)

    def keep(self, letters: Sequence[Letter], at_ms: int) -> list[Routed]:
        """Keep the raw bytes; the documents, each with the index in which its letter was kept first."""
        with self.connection:
            return [self.keep_one(letter, at_ms) for letter in letters]

    def keep_one(self, letter: Letter, at_ms: int) -> Routed:
        """Keep one letter, inside a transaction."""
        routed, source = letter.routed, letter.source
        row = self.connection.execute("SELECT place FROM letters WHERE id = ?", (routed.id,)).fetchone()
        if row:
            return routed._replace(index=row[0])
        raw = letter.raw if self.has_room(len(letter.raw)) else None
        self.bytes += len(raw or b"")
        self.connection.execute(
            "INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, 'kept', ?)",
            (routed.id, routed.index, letter.reason, source.path, source.fingerprint, source.offset, at_ms, raw),
        )
        return routed

    def has_room(self, size: int) -> bool:
        """Whether ``size`` more bytes fit; says so once when they no longer do."""
        full = self.bytes + size > self.most_bytes
        if full and not self.full:
            log.error(
                "%s is full (%d bytes): dead letters are stored and listed, but their raw bytes stay in the log files"
                " only, until those are rotated away; replay or delete what is there",
                self.path,
                self.bytes,
            )
        self.full = full
        return not full

    def ask(self, ids: Sequence[str] | None) -> list[str]:
        """Ask whoever writes the store to replay these dead letters (default: all); the ids of those that can be."""
        kept = {row[0] for row in self.rows("SELECT id FROM letters WHERE state = 'kept' AND raw IS NOT NULL")}
        chosen = sorted(kept if ids is None else kept.intersection(ids))
        with self.connection:
            self.connection.executemany("UPDATE letters SET state = 'asked' WHERE id = ?", [(i,) for i in chosen])
        return chosen

    def asked(self, size: int) -> list[tuple[str, bytes, Source]]:
        """Up to ``size`` letters that wait to be replayed: id, raw bytes and source."""
        rows = self.rows("SELECT id, raw, path, fingerprint, offset FROM letters WHERE state = 'asked' LIMIT ?", [size])
        return [(letter, raw, Source(path, fingerprint, offset)) for letter, raw, path, fingerprint, offset in rows]

    def settle(self, replayed: Iterable[str], still: Iterable[str]) -> None:
        """Note what became of letters that were asked for; the raw bytes of replayed ones are deleted."""
        with self.connection:
            self.connection.executemany(
                "UPDATE letters SET state = 'replayed', raw = NULL WHERE id = ?", [(letter,) for letter in replayed]
            )
            self.connection.executemany("UPDATE letters SET state = 'kept' WHERE id = ?", [(i,) for i in still])
        self.bytes = self.sum_of_bytes()

    def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Id → kept, asked, replayed, or gone (its raw bytes are not here), for those that are known."""
        query = "SELECT id, iif(raw IS NULL AND state = 'kept', 'gone', state) FROM letters WHERE id = ?"
        return dict(row for letter in ids for row in self.rows(query, [letter]))

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query."""
        return self.connection.execute(query, values).fetchall()

    def expire(self, before_ms: int) -> None:
        """Delete letters kept before ``before_ms``: their documents are past retention too."""
        with self.connection:
            self.connection.execute("DELETE FROM letters WHERE kept_ms < ?", (before_ms,))
        self.bytes = self.sum_of_bytes()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def replay_asked(spool: Spool, pipeline: Pipeline, add: Add, at_ms: int, size: int = 500) -> Replayed:
    """Send the letters that were asked for through the pipeline again; ``add`` stores and commits the good ones."""
    letters = [(letter, pipeline.process(raw, source, at_ms)) for letter, raw, source in spool.asked(size)]
    good = [(letter, routed) for letter, routed in letters if not routed.index.startswith(PREFIX)]
    still = [letter for letter, routed in letters if routed.index.startswith(PREFIX)]
    if good:
        add([routed for _, routed in good])
    if letters:
        spool.settle([letter for letter, _ in good], still)
    return Replayed(len(good), len(still))


def replay(settings: Settings, ids: Sequence[str] | None = None, wait_seconds: float = 30.0) -> Replayed:
    """Replay dead letters (default: all) through today's contract, by the running agent, or here if none runs.

    Raises:
        StoreError: the store or the spool cannot be used, or the agent has not answered within ``wait_seconds``.
    """
    with closing(Spool(settings.data_dir)) as spool:
        asked = spool.ask(ids)
        deadline = time.monotonic() + wait_seconds
        while asked and spool.asked(1) and not replay_here(settings, spool):
            if time.monotonic() > deadline:
                raise StoreError("dead letters still wait for the agent; see `shipper status`, then replay again")
            time.sleep(0.1)
        states = list(spool.states(asked).values())
        return Replayed(states.count("replayed"), states.count("kept"))


def replay_here(settings: Settings, spool: Spool) -> bool:
    """Replay all that is asked for, unless an agent holds the store; whether that could be done."""
    from python_shipper.store.writer import Writer  # listing must not need the search engine installed

    try:
        writer = Writer(settings.data_dir)
    except StoreLockedError:
        return False
    with closing(writer):
        pipeline = Pipeline()
        while spool.asked(1):
            replay_asked(spool, pipeline, adder(writer), now_ms())
    return True


def adder(writer: Writer) -> Add:
    """A function that stores documents and commits."""

    def add(documents: Sequence[Routed]) -> None:
        # Segment 0 is none: a replay must not move the mark up to which a segment's lines are stored.
        writer.add([(routed.index, routed.id, routed.document, 0, 0) for routed in documents])
        writer.commit()

    return add


def list_(settings: Settings, store: Store, size: int = 100) -> list[DeadLetter]:
    """The newest dead letters, newest first, on either engine; a spool, where there is one, tells what can be replayed.

    Raises:
        StoreError: the store or the spool cannot be read.
    """
    body = {"query": {"match_all": {}}, "size": size, "sort": [{"@timestamp": "desc"}]}
    hits = store.search(DEAD_LETTERS, body)["hits"]["hits"]
    states: dict[str, str] = {}
    if (settings.data_dir / "spool").is_dir():
        with closing(Spool(settings.data_dir)) as spool:
            states = spool.states([hit["_id"] for hit in hits])
    return [listed(hit, states.get(hit["_id"], "gone")) for hit in hits]


def listed(hit: dict[str, Any], state: str) -> DeadLetter:
    """A dead letter as it is listed, from its document."""
    document = hit["_source"]
    letter, file = document["christmas"]["dead_letter"], document.get("log", {})
    return DeadLetter(
        id=hit["_id"],
        timestamp=document["@timestamp"],
        reason=letter["reason"],
        service=document.get("service", {}).get("name"),
        index=letter.get("index"),
        path=file.get("file", {}).get("path"),
        offset=file.get("offset"),
        message=document["message"],
        state=state,
    )
