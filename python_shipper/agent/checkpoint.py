"""Remembers across restarts how far each segment has been read, and keeps the ledger of what became of its lines.

It is written after the store's commit, never before, in one SQLite transaction (WAL): a position and the counts that go
with it are saved together or not at all. So it can only be behind the store. What it is behind is read again after a
crash, and the ids, which come out the same, tell the store what it has already. Losing it costs time and the ledger's
history, never a line: a damaged one is moved aside, and everything still on disk is read again.

``indices`` says how many documents the store held in each index when it was last committed. An index that comes back
with fewer has lost some, and the agent reads the segments from their beginnings.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_shipper.agent.segment import Counts, Segment
from python_shipper.core.database import open_database
from python_shipper.core.segments import Header
from python_shipper.errors import StoreError

NAME = "checkpoint.sqlite3"
SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
  number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, head_length INTEGER NOT NULL,
  slot TEXT NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
  offset INTEGER NOT NULL, seam TEXT NOT NULL, sequence INTEGER, lines_before INTEGER,
  lines INTEGER NOT NULL, stored INTEGER NOT NULL, known INTEGER NOT NULL, dead_letters INTEGER NOT NULL,
  cut INTEGER NOT NULL, gone INTEGER NOT NULL, changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS indices (
  name TEXT PRIMARY KEY, stored INTEGER NOT NULL, dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS slots (
  slot TEXT PRIMARY KEY, lines INTEGER NOT NULL, stored INTEGER NOT NULL, known INTEGER NOT NULL,
  dead_letters INTEGER NOT NULL, cut INTEGER NOT NULL
) STRICT;
"""
COLUMNS = (
    "number, fingerprint, head_length, path, device, inode, offset, seam, sequence, lines_before,"
    " lines, stored, known, dead_letters, cut, gone"
)
SAVE = f"REPLACE INTO segments ({COLUMNS}, slot, changed_ms) VALUES ({', '.join('?' * 18)})"  # noqa: S608  constants
LOAD = f"SELECT {COLUMNS} FROM segments"  # noqa: S608
COUNTS = "lines, stored, known, dead_letters, cut"
FOLD = f"""
INSERT INTO slots SELECT slot, {", ".join(f"sum({name})" for name in COUNTS.split(", "))}
FROM segments WHERE gone = 1 AND changed_ms < ? GROUP BY slot
ON CONFLICT (slot) DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS.split(", "))}
"""  # noqa: S608


class Checkpoint:
    """The file ``checkpoint.sqlite3`` in the data folder.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, data_dir: Path) -> None:
        consequence = "everything still in log files is read again, nothing is stored twice"
        self.connection, self.rebuilt = open_database(data_dir / NAME, SCHEMA, f"{LOAD} LIMIT 1", consequence)

    def load(self) -> list[Segment]:
        """Every segment that is remembered, with its position and counts."""
        return [segment_from(row) for row in self.connection.execute(LOAD)]

    def save(self, segments: Iterable[Segment], stored: Mapping[str, int], now_ms: int) -> None:
        """Save positions and counts, and add the ``stored`` documents to their indices, in one transaction."""
        with self.connection:
            self.connection.executemany(SAVE, [row_of(segment, now_ms) for segment in segments])
            self.connection.executemany(
                "INSERT INTO indices (name, stored) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET stored = stored + excluded.stored, dropped = 0",
                stored.items(),
            )

    def indices(self) -> dict[str, tuple[int, bool]]:
        """Index name → documents when last committed, and whether retention has dropped it since."""
        return indices_of(self.connection)

    def set_indices(self, stored: Mapping[str, int]) -> None:
        """Take over what the store says it holds."""
        with self.connection:
            self.connection.executemany(
                "INSERT INTO indices (name, stored) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET stored = excluded.stored, dropped = 0",
                stored.items(),
            )

    def drop_indices(self, names: Iterable[str]) -> None:
        """Remember that retention has dropped these indices; their counts stay."""
        with self.connection:
            self.connection.executemany("UPDATE indices SET dropped = 1 WHERE name = ?", [(name,) for name in names])

    def rewind(self) -> None:
        """Forget positions and counts, so that everything on disk is read again."""
        with self.connection:
            self.connection.execute(
                "UPDATE segments SET offset = 0, seam = '', lines = 0, stored = 0, known = 0, dead_letters = 0, cut = 0"
            )

    def forget(self, before_ms: int) -> list[int]:
        """Add up, for each slot, what is known of segments gone since before ``before_ms``; tells their numbers."""
        with self.connection:
            self.connection.execute(FOLD, (before_ms,))
            query = "DELETE FROM segments WHERE gone = 1 AND changed_ms < ? RETURNING number"
            return [number for (number,) in self.connection.execute(query, (before_ms,)).fetchall()]

    def folded(self) -> Counter[str]:
        """The sums over all slots of what `forget` has added up."""
        names = COUNTS.split(", ")
        query = f"SELECT {', '.join(f'coalesce(sum({name}), 0)' for name in names)} FROM slots"  # noqa: S608
        return Counter(dict(zip(names, self.connection.execute(query).fetchone(), strict=True)))

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the checkpoint says, for a reader beside the agent; ``slots`` are the counts of segments long gone."""

    segments: list[Segment]
    slots: dict[str, Counts]
    indices: dict[str, tuple[int, bool]]


def read_ledger(data_dir: Path) -> Ledger | None:
    """The ledger in ``data_dir``; None where there is none (yet).

    Raises:
        StoreError: the file is damaged.
    """
    path = data_dir / NAME
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            connection.execute("BEGIN")
            return Ledger(
                [segment_from(row) for row in connection.execute(LOAD)],
                {slot: Counts(*counts) for slot, *counts in connection.execute(f"SELECT slot, {COUNTS} FROM slots")},  # noqa: S608
                indices_of(connection),
            )
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}; start the embedded stack, which repairs it") from error


def indices_of(connection: sqlite3.Connection) -> dict[str, tuple[int, bool]]:
    """Index name → documents when last committed, and whether retention has dropped it since."""
    rows = connection.execute("SELECT name, stored, dropped FROM indices")
    return {name: (stored, bool(dropped)) for name, stored, dropped in rows}


def row_of(segment: Segment, now_ms: int) -> tuple[object, ...]:
    """The row of a segment, in the order of ``COLUMNS``."""
    s, c = segment, segment.counts
    sequence, before = s.header or (None, None)
    place = (s.number, s.fingerprint, s.head_length, s.path, s.device, s.inode, s.offset, s.seam, sequence, before)
    return (*place, c.lines, c.stored, c.known, c.dead_letters, c.cut, int(s.gone), s.slot, now_ms)


def segment_from(row: tuple[Any, ...]) -> Segment:
    """The segment of a row."""
    *place, sequence, before = row[:10]
    segment = Segment(*place)
    segment.header = None if sequence is None else Header(sequence, before)
    segment.counts, segment.gone = Counts(*row[10:15]), bool(row[15])
    return segment
