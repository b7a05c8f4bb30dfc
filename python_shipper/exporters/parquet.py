"""One service's day as rows on disk, each id once, and the files of an archive made of them: Parquet or NDJSON.

DuckDB does the work, out of memory where a day is larger than that. A row is the stored document as text, word for
word, beside columns for what is asked most, so that Athena, Spark, polars or DuckDB itself can ask without unpacking
JSON. The same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson

from python_shipper.exporters import ExportError

MEMORY = "512MB"
STAGED_BYTES = 16_777_216
LONGEST_OBJECT = 33_554_432
FETCHED_ROWS = 2_000
FORMATS = {
    "parquet": ("parquet", "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000"),
    "ndjson": ("ndjson.zst", "FORMAT json, COMPRESSION zstd"),
}
# column → its type, and the field of the document
COLUMNS = {
    "timestamp": ("TIMESTAMP_MS", "@timestamp"),
    "level": ("VARCHAR", "log.level"),
    "service_name": ("VARCHAR", "service.name"),
    "message": ("VARCHAR", "message"),
    "trace_id": ("VARCHAR", "trace.id"),
    "user_id": ("VARCHAR", "user.id"),
    "event_action": ("VARCHAR", "event.action"),
    "duration_ns": ("BIGINT", "event.duration"),
    "error_type": ("VARCHAR", "error.type"),
    "order_id": ("VARCHAR", "christmas.order.id"),
    "campaign_id": ("VARCHAR", "christmas.campaign.id"),
}
KINDS = {"VARCHAR": str, "TIMESTAMP_MS": str, "BIGINT": int}
TABLE = ", ".join(["id VARCHAR", *(f"{name} {kind}" for name, (kind, _) in COLUMNS.items()), "document VARCHAR"])
NAMES = ", ".join(["id", *COLUMNS, "document"])
FIELDS = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in NAMES.split(", ")) + "}"
READ = {
    "parquet": f"SELECT {NAMES} FROM read_parquet(?)",  # noqa: S608  constants
    "ndjson": f"SELECT {NAMES} FROM read_json(?, format = 'newline_delimited', compression = 'zstd',"  # noqa: S608
    f" columns = {FIELDS}, maximum_object_size = {LONGEST_OBJECT})",
}
STAGED = (
    f"INSERT INTO rows SELECT {NAMES} FROM read_json(?, format = 'newline_delimited',"  # noqa: S608
    f" columns = {FIELDS}, maximum_object_size = ?)"
)
NEW = "INSERT INTO rows SELECT * FROM ({}) WHERE id NOT IN (SELECT id FROM rows)"


class Row(NamedTuple):
    """One document: its id and itself as JSON text."""

    id: str
    document: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table holds: number of rows, the first and last id, and a hash of all ids in order."""

    rows: int
    first_id: str | None
    last_id: str | None
    ids_sha256: str


class Table:
    """The rows of one service's day, in a folder that the caller deletes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        limits: dict[str, Any] = {"memory_limit": MEMORY, "threads": 2, "temp_directory": str(folder)}
        self.connection = duckdb.connect(str(folder / "rows.duckdb"), config=limits)
        self.connection.execute(f"CREATE TABLE rows ({TABLE})")

    def add(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Add documents, each id once."""
        lines = (staged_line(letter, document) for letter, document in rows)
        staged = self.folder / "staged.ndjson"
        for some in staged_parts(lines):
            staged.write_bytes(b"".join(some))
            # DuckDB takes memory by the longest object that it is told of.
            self.connection.execute(STAGED, [str(staged), max(map(len, some)) + 1])

    def add_file(self, path: Path, form: str) -> None:
        """Add the rows of a file of an archive; of an id that is there already the first stays."""
        self.connection.execute(NEW.format(READ[form]), [str(path)])

    def contents(self) -> Contents:
        """What is in the table now.

        Raises:
            ExportError: an id is there twice.
        """
        digest, rows, first, last = hashlib.sha256(), 0, None, None
        cursor = self.connection.execute("SELECT id FROM rows ORDER BY id")
        while some := cursor.fetchmany(FETCHED_ROWS):
            ids = [letter for (letter,) in some]
            if len({last, *ids}) != len(ids) + 1:
                raise ExportError(f"an id between {ids[0]} and {ids[-1]} is there twice; nothing was written")
            digest.update("".join(f"{letter}\n" for letter in ids).encode())
            rows += len(ids)
            first, last = first or ids[0], ids[-1]
        return Contents(rows, first, last, digest.hexdigest())

    def parts(self, form: str, rows_a_part: int) -> Iterator[tuple[Path, int]]:
        """Write the rows, by id, into files of at most ``rows_a_part``; each file with its number of rows."""
        ending, options = FORMATS[form]
        names = NAMES if form == "parquet" else NAMES.replace("document", "document::JSON AS document")
        self.connection.execute("CREATE OR REPLACE TABLE ordered AS SELECT * FROM rows ORDER BY id")
        (total,) = self.connection.execute("SELECT count(*) FROM ordered").fetchone() or (0,)
        for number, start in enumerate(range(0, total, rows_a_part)):
            path = self.folder / f"part-{number:05}.{ending}"
            within = f"rowid >= {start} AND rowid < {start + rows_a_part}"
            some = f"SELECT {names} FROM ordered WHERE {within} ORDER BY id"  # noqa: S608
            self.connection.execute(f"COPY ({some}) TO '{quoted(path)}' ({options})")
            yield path, count(path, form)

    def close(self) -> None:
        """Close the table's file."""
        self.connection.close()


def staged_line(letter: str, document: dict[str, Any]) -> bytes:
    """A row as JSON: the document as text, and the columns by its fields where these have the right type."""
    row: dict[str, Any] = {"id": letter, "document": orjson.dumps(document).decode()}
    for name, (kind, path) in COLUMNS.items():
        found = value(document, path)
        row[name] = found if type(found) is KINDS[kind] else None
    return orjson.dumps(row) + b"\n"


def value(document: dict[str, Any], path: str) -> Any:
    """The value at a path, whose keys may be dotted (``log.level``) or nested; None where there is none."""
    found: Any = document.get(path)
    if found is None:
        found = document
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
    return found


def staged_parts(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines in lists of about ``STAGED_BYTES``."""
    some: list[bytes] = []
    held = 0
    for line in lines:
        some.append(line)
        held += len(line)
        if held >= STAGED_BYTES:
            yield some
            some, held = [], 0
    if some:
        yield some


def rows_of(path: Path, form: str) -> Iterator[list[Row]]:
    """The rows of a file of an archive, some at a time.

    Raises:
        duckdb.Error: it is no such file.
    """
    with duckdb.connect(config={"memory_limit": MEMORY, "threads": 1}) as connection:
        cursor = connection.execute(f"SELECT id, document FROM ({READ[form]})", [str(path)])  # noqa: S608
        while some := cursor.fetchmany(FETCHED_ROWS):
            yield [Row(*row) for row in some]


def count(path: Path, form: str) -> int:
    """How many rows a file of an archive has, by reading it."""
    with duckdb.connect() as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM ({READ[form]})", [str(path)]).fetchone() or (0,)  # noqa: S608
        return int(found)


def quoted(path: Path) -> str:
    """A path within an SQL text."""
    return str(path).replace("'", "''")
