"""Rows in, files out, rows back: each id once, each document word for word, the same bytes from the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest

from python_shipper.core.clock import iso
from python_shipper.core.ulid import new_ulid
from python_shipper.exporters import ExportError, parquet
from python_shipper.exporters.parquet import Table, rows_of
from tests.dashboard.sample import NOON

ODD = {"": "", "ü": ["\n", '"', "\\", "\u2028", {}], "n": [0.1, -0.0, 1e300, 2**53 + 1, None, True], "'--": "é"}


def documents(count: int) -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            letter := new_ulid(NOON + number),
            {
                "@timestamp": iso(NOON + number),
                "log.level": "info",
                "message": f"line {number}",
                "event": {"id": letter, "duration": number},
                "trace": {"id": f"t{number}"},
                "christmas": {"extra": ODD},
            },
        )
        for number in range(count)
    ]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with closing(Table(tmp_path)) as table:
        yield table


def back(paths: list[Path], form: str) -> list[tuple[str, dict[str, Any]]]:
    return [(row.id, json.loads(row.document)) for path in paths for some in rows_of(path, form) for row in some]


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_documents_come_back_as_they_were(table: Table, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "STAGED_BYTES", 3_000)
    given = documents(100)
    table.add(reversed(given))
    paths = [path for path, _ in table.parts(form, 40)]
    assert [path.name.split(".")[0] for path in paths] == ["part-00000", "part-00001", "part-00002"]
    assert back(paths, form) == given


def test_of_an_id_the_first_stays(table: Table, tmp_path: Path) -> None:
    (first, document), second = documents(2)
    table.add([(first, {"message": "archived earlier"}), second])
    ((path, rows),) = list(table.parts("parquet", 10))
    (tmp_path / "other").mkdir()
    with closing(Table(tmp_path / "other")) as other:
        other.add([(first, document)])
        other.add_file(path, "parquet")
        contents = other.contents()
        ((united, _),) = list(other.parts("parquet", 10))
    assert (rows, contents.rows, contents.first_id, contents.last_id) == (2, 2, first, second[0])
    assert contents.ids_sha256 == sha256(f"{first}\n{second[0]}\n".encode()).hexdigest()
    assert back([united], "parquet") == [(first, document), second]


@pytest.mark.parametrize("at_once", [2, 1])
def test_an_id_that_is_there_twice_is_an_error(table: Table, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FETCHED_ROWS", at_once)
    table.add(documents(1) * 2)
    with pytest.raises(ExportError, match="is there twice"):
        table.contents()


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    given, made = documents(500), []
    for name, rows in (("a", given), ("b", given[::-1])):
        (tmp_path / name).mkdir()
        with closing(Table(tmp_path / name)) as table:
            table.add(rows)
            made.append([path.read_bytes() for path, _ in table.parts("parquet", 300)])
    assert made[0] == made[1]


def test_columns_can_be_asked_by_others(table: Table) -> None:
    table.add(documents(3))
    ((path, _),) = list(table.parts("parquet", 10))
    asked = "SELECT max(timestamp), min(level), max(duration_ns), list(trace_id ORDER BY id) FROM read_parquet(?)"
    moment, level, duration, traces = duckdb.execute(asked, [str(path)]).fetchone()
    assert (
        iso(round(moment.timestamp() * 1000)) if moment.tzinfo else moment.isoformat()
    ) == "2026-11-22T12:00:00.002000"
    assert (level, duration, traces) == ("info", 2, ["t0", "t1", "t2"])
    kinds = duckdb.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [str(path)]).fetchall()
    assert kinds == [("ZSTD",)]


def test_an_empty_table(table: Table) -> None:
    table.add([])
    assert table.contents().rows == 0
    assert list(table.parts("parquet", 10)) == []
