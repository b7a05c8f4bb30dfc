"""Lines become a table of facts in DuckDB: ordinary JSON lines by its own reader, all others one by one in Python.

DuckDB gives one row a line that is not blank, all null where the line is no JSON. A row that could mean something else
than :func:`~python_shipper.analyzers.batch_lines.fact_of` makes of its line is left without a time, and its line is
read again the careful way: the quick way costs no correctness, and the careful one only time.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import orjson

from python_shipper.analyzers.batch_ecs import ecs_facts, is_ordinary
from python_shipper.analyzers.batch_files import DamagedError, is_gzip, raw_lines
from python_shipper.analyzers.batch_lines import Fact, Unread, fact_of
from python_shipper.analyzers.batch_sql import COLUMNS, facts, quoted, text
from python_shipper.core.segments import OPENED
from python_shipper.errors import ConfigurationError, ShipperError

CHUNK = 10_000  # rows carried over from Python at a time: as Python objects they take ten times their size
SAMPLES, SAMPLE_CHARACTERS = 20, 300
MOST_ODD = 0.05  # of a file's lines, before it is read as one of mixed forms
MOST_THREADS = 4  # each holds buffers of tens of MB
TABLE = COLUMNS | {"place": "BIGINT"}  # of a line that was read again: the row that the quick way gave it
DUPLICATES = """
    SELECT arg_min(rowid, coalesce(place, rowid)) AS kept, id FROM facts
    WHERE hash(id) IN (SELECT hash(id) FROM facts WHERE id IS NOT NULL GROUP BY hash(id) HAVING count(*) > 1)
    GROUP BY id HAVING count(*) > 1"""


@dataclass(slots=True)
class Sample:
    """A line that told nothing: where it stands, and its begin, as it was."""

    file: str
    line: int  # from 1, blank lines not counted
    reason: str
    text: str


@dataclass(slots=True)
class Account:
    """What became of every line that was read."""

    source: str
    files: int = 0
    bytes: int = 0
    lines: int = 0
    segment_headers: int = 0
    duplicates: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class FactTable:
    """The table `facts` in a DuckDB of its own, within ``memory``; it spills into a folder that goes with it."""

    def __init__(self, source: str, memory: str, zone: tzinfo = UTC) -> None:
        """Open an empty table.

        Raises:
            ConfigurationError: ``memory`` is no size.
        """
        self.account = Account(source)
        self._zone = zone
        self._folder = tempfile.TemporaryDirectory(prefix="shipper-analyze-")
        self.db = duckdb.connect(config={"temp_directory": self._folder.name, "threads": threads()})
        try:
            self.db.execute(f"SET memory_limit = {text(memory)}")
        except duckdb.Error as error:
            self.close()
            raise ConfigurationError(f"memory: expected a size such as 512MB or 2GB, got {memory[:80]!r}") from error
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in TABLE.items())
        self.db.execute(f"CREATE TABLE facts ({columns})")
        self._general = f"INSERT INTO facts BY NAME {facts(utc=zone is UTC)}"
        self._ecs = f"INSERT INTO facts BY NAME {ecs_facts()}"
        self._rows = 0

    def add_file(self, path: Path) -> None:
        """Read a file: quickly what is ordinary, carefully the rest; what no way can read is counted, and shown.

        Raises:
            ShipperError: the file changes while it is read.
        """
        with path.open("rb") as file:
            self.account.files += 1
            self.account.bytes += os.fstat(file.fileno()).st_size
            begin, wanted = self._rows, None
            try:
                begin, wanted = self._add_quickly(file)
            except duckdb.Error as error:  # a line beyond any bounds, or a damaged archive: every line by itself
                if isinstance(error, duckdb.OutOfMemoryException):
                    raise
            self._add_carefully(path, file, wanted, begin)

    def _add_quickly(self, file: BinaryIO) -> tuple[int, array[int]]:
        """Add a file's rows; the first of them, and the places (from 0) of those left without a time."""
        # By descriptor: the file may be renamed by its rotation meanwhile.
        given = {"file": f"/proc/self/fd/{file.fileno()}", "compression": "gzip" if is_gzip(file) else "none"}
        begin, odd = self._rows, None
        if is_ordinary(first_line(file)):
            odd = self._odd_rows(self._ecs, given)
            if len(odd) > MOST_ODD * (self._rows - begin):  # not such a file after all: once more, looking everywhere
                self.db.execute("UPDATE facts SET ts = NULL WHERE rowid >= ?", [begin])
                begin, odd = self._rows, None
        odd = self._odd_rows(self._general, given) if odd is None else odd
        self.account.lines += self._rows - begin
        return begin, odd

    def _odd_rows(self, query: str, given: dict[str, str]) -> array[int]:
        """Add rows by a query; the places of those left without a time."""
        begin = self._rows
        self._rows += self.db.execute(query, given).fetchall()[0][0]
        found = self.db.execute("SELECT rowid FROM facts WHERE rowid >= ? AND ts IS NULL ORDER BY rowid", [begin])
        odd = array("q")  # they may be all rows of a large file
        while rows := found.fetchmany(CHUNK):
            odd.extend(row - begin for (row,) in rows)
        return odd

    def _add_carefully(self, path: Path, file: BinaryIO, wanted: Sequence[int] | None, begin: int) -> None:
        """Add the lines at the places ``wanted`` of a file, whose first row is ``begin``; or all of them."""
        lines = numbered(raw_lines(file))
        if wanted is not None:
            if not wanted:
                return
            lines = chosen(lines, wanted, path)
        try:
            self._add_rows(
                (None if wanted is None else begin + place, fact)
                for place, line in lines
                if (fact := self._judged(path, place, line, wanted is None))
            )
        except DamagedError:
            self.account.damaged.append(str(path))

    def _judged(self, path: Path, place: int, line: bytes, counted: bool) -> Fact | None:
        """The facts of a line, or None and its place in the account."""
        self.account.lines += counted
        found = fact_of(line, self._zone)
        if isinstance(found, Fact):
            return found
        self.account.unread[found.reason] += 1
        if len(self.account.samples) < SAMPLES:
            shown = line[:SAMPLE_CHARACTERS].decode("utf-8", "replace")
            self.account.samples.append(Sample(str(path), place + 1, found.reason, shown))
        return None

    def add(self, found: Iterable[Fact]) -> None:
        """Add facts that come from elsewhere than a file."""
        self._add_rows(self._counted(found))

    def _counted(self, found: Iterable[Fact]) -> Iterator[tuple[None, Fact]]:
        for fact in found:
            self.account.lines += 1
            yield None, fact

    def _add_rows(self, rows: Iterable[tuple[int | None, Fact]]) -> None:
        rows = iter(rows)
        carried = Path(self._folder.name) / "rows.json"
        columns = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in TABLE.items())
        read = f"read_json({text(str(carried))}, format = 'newline_delimited', columns = {{{columns}}})"
        insert = f"INSERT INTO facts SELECT * FROM {read}"
        damage: DamagedError | None = None
        while True:
            chunk: list[tuple[int | None, Fact]] = []
            try:
                chunk.extend(islice(rows, CHUNK))
            except DamagedError as error:
                damage = error
            if not chunk:
                break
            carried.write_bytes(b"".join(encoded(place, fact) for place, fact in chunk))
            self._rows += self.db.execute(insert).fetchall()[0][0]
        with suppress(FileNotFoundError):
            carried.unlink()
        if damage:
            raise damage

    def settle(self) -> None:
        """Take out what is no record: lines without facts, headers of segments, and all but the first of an id."""
        self.db.execute("DELETE FROM facts WHERE ts IS NULL")
        self.account.segment_headers = self._deleted(f"action = {text(OPENED)}")
        self.db.execute(f"CREATE TEMP TABLE repeated AS {DUPLICATES}")
        again = "id IN (SELECT id FROM repeated) AND rowid NOT IN (SELECT kept FROM repeated)"
        if self.db.execute("SELECT count(*) FROM repeated").fetchall()[0][0]:
            self.account.duplicates = self._deleted(again)

    def _deleted(self, condition: str) -> int:
        return int(self.db.execute(f"DELETE FROM facts WHERE {condition}").fetchall()[0][0])

    def close(self) -> None:
        """Let go of memory and of the folder."""
        with suppress(AttributeError):
            self.db.close()
        self._folder.cleanup()


def threads() -> int:
    """As many threads as there are processors, up to what the memory is meant for."""
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def first_line(file: BinaryIO) -> bytes:
    """The first line that is not blank, or none where that cannot be read; the file stays at its begin."""
    try:
        return next(raw_lines(file), b"")
    except DamagedError:
        return b""
    finally:
        file.seek(0)


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their places."""
    return enumerate(lines)


def chosen(lines: Iterator[tuple[int, bytes]], wanted: Sequence[int], path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines at the places ``wanted``, which rise.

    Raises:
        ShipperError: the file has fewer lines by now.
    """
    left = iter(wanted)
    next_place = next(left)
    for place, line in lines:
        if place == next_place:
            yield place, line
            try:
                next_place = next(left)
            except StopIteration:
                return
    raise ShipperError(f"{path}: has become shorter while it was read; analyse it when nothing truncates it")


def encoded(place: int | None, fact: Fact) -> bytes:
    """A row as a line for DuckDB."""
    row: dict[str, Any] = {**dict(zip(COLUMNS, fact, strict=True)), "place": place}
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # half a surrogate pair in a text
        clean = {
            key: value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if isinstance(value, str)
            else value
            for key, value in row.items()
        }
        return orjson.dumps(clean, option=orjson.OPT_APPEND_NEWLINE)


Progress = Callable[[int, int], None]
__all__ = ["Account", "FactTable", "Progress", "Sample", "Unread"]
