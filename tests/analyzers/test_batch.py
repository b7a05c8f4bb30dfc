"""The batch analyser's figures equal those of the obvious reference, over generated logs of every form."""

from __future__ import annotations

import gzip
import json
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_shipper import AdLogAnalyzer
from python_shipper.analyzers.batch_lines import Fact, fact_of
from python_shipper.analyzers.batch_sql import ALL, spellings
from python_shipper.analyzers.batch_table import FactTable
from python_shipper.contract import contract
from tests.analyzers import generated, reference

WITHIN = 0.01


def analysed(folder: Path, lines: list[bytes], packed: bool = False, **period: Any) -> dict[str, Any]:
    content = b"\n".join(lines)
    path = folder / "app.log"
    path.write_bytes(gzip.compress(content) if packed else content)
    return AdLogAnalyzer(path, memory="256MB").analyze_logs(**period)


def assert_equal(results: dict[str, Any], expected: dict[str, Any]) -> None:
    summary = results["summary"]
    for name in ("total_records", "total_events", "total_errors", "event_breakdown", "error_breakdown"):
        assert summary[name] == expected[name], name
    assert results["levels"] == expected["levels"]
    assert {row["service"]: (row["records"], row["errors"]) for row in results["services"]} == expected["services"]
    steps = ("bids", "wins", "impressions", "clicks", "conversions")
    assert {row["campaign_id"]: tuple(row[step] for step in steps) for row in results["campaigns"]} == expected[
        "campaigns"
    ]
    assert {
        row["trace_id"]: (pytest.approx(row["duration_ms"], abs=1e-5), row["records"]) for row in results["traces"]
    } == (expected["traces"])
    assert sum(row["count"] for row in results["errors"]) == expected["total_errors"]
    assert sum(bar["records"] for bar in results["timeline"]["bars"]) == expected["total_records"]
    assert set(summary["performance_summary"]) == set(expected["performance"])
    for name, exact in expected["performance"].items():
        assert summary["performance_summary"][name]["count"] == exact["count"]
        assert summary["performance_summary"][name] == pytest.approx(exact, rel=WITHIN, abs=1e-6), name


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(generated.lines(), max_size=60), packed=st.booleans())
def test_a_report_equals_the_reference(lines: list[bytes], packed: bool) -> None:
    rows, account = reference.records(lines)
    with tempfile.TemporaryDirectory() as folder:
        results = analysed(Path(folder), lines, packed)
    assert {name: results["input"][name] for name in account} == account
    assert_equal(results, reference.report(rows))


@settings(max_examples=15, deadline=None)
@given(lines=st.lists(generated.lines(), max_size=40), bounds=st.tuples(st.integers(-4000, 0), st.integers(1, 4000)))
def test_a_part_of_the_time_is_compared_with_the_part_before(lines: list[bytes], bounds: tuple[int, int]) -> None:
    noon = round(generated.NOON.timestamp() * 1000)
    start, end = (noon + seconds * 1000 for seconds in bounds)
    rows, _ = reference.records(lines)
    given_period = {name: datetime.fromtimestamp(ms / 1000, UTC) for name, ms in (("start", start), ("end", end))}
    with tempfile.TemporaryDirectory() as folder:
        results = analysed(Path(folder), lines, **given_period)
    assert_equal(results, reference.report(rows, start, end))
    before = reference.report(rows, start - (end - start), start)
    compared = results["comparison"]["previous"]
    assert [compared[name] for name in ("total_records", "total_events", "total_errors")] == [
        before[name] for name in ("total_records", "total_events", "total_errors")
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b"")), max_size=30))
def test_any_bytes_are_counted_line_by_line(lines: list[bytes]) -> None:
    lines = [b"the first line makes no archive of it", *lines]
    with tempfile.TemporaryDirectory() as folder:
        read = analysed(Path(folder), lines)["input"]
    assert read["lines"] == sum(bool(line.strip()) for line in lines)


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 10_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 100).map(lambda number: round(number, 3))
    | st.text(max_size=6)
    | st.sampled_from(
        ["", "error", "ERROR", "7", "0.5", "-3", "1e3", "true", "007", "{", "[x", "x" * 1025, "결제", " 1", "1.50"]
    )
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from(["id", "name", "x.y"]), st.integers(0, 3) | st.none(), max_size=2)
)
times = st.sampled_from(
    [
        "2026-01-02T12:00:00.000Z", "2026-01-02T12:00:00Z", "2026-01-02 12:00:00.1", "2026-01-02T12:00:00.123456+09:00",
        "2026-01-02T12:00:00,5-0330", "2026-01-02T24:00:00.000Z", "2026-02-30T12:00:00.000Z",
        "1960-01-02T12:00:00.000Z",
        "2026-01-02T12:00:60.000Z", "2026-01-02", "2026-01-02T12:00", "", "now", 1767355200000, None,
        "2026-01-02T1:00:00.0000Z",
        "2026-01-02T12:00:00.000+24:00", "0001-01-01T00:00:00.000+01:00", "9999-12-31T23:59:59.999-01:00",
    ]
)  # fmt: skip
keys = st.sampled_from([spelled for path in ALL.values() for spelled in spellings(path)]) | st.sampled_from(
    [(name,) for name in contract().short_names] + [("service",), ("error",), ("christmas",), ("event",), ("message",)]
)


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """A JSON line whose keys are spellings of the fields that count, with values of any type."""
    line: dict[str, Any] = {}
    for name in draw(st.sampled_from([("@timestamp",), ("timestamp",), ("@timestamp", "timestamp")])):
        line[name] = draw(times)
    for spelled in draw(st.lists(keys, max_size=6)):
        node = line
        for key in spelled[:-1]:
            node = node.setdefault(key, {}) if isinstance(node.get(key, {}), dict) else {}
        node[spelled[-1]] = draw(values)
    return orjson.dumps(line, option=orjson.OPT_PASSTHROUGH_SUBCLASS) if small(line) else json.dumps(line).encode()


def small(value: Any) -> bool:
    """Whether orjson can write the integers in it."""
    if isinstance(value, dict | list):
        return all(map(small, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


@settings(max_examples=150, deadline=None)
@given(st.lists(objects(), min_size=1, max_size=20))
def test_the_quick_way_makes_of_a_line_what_the_careful_way_makes(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.log"
        path.write_bytes(b"\n".join(lines))
        with closing(FactTable("files", "256MB")) as table:
            table.add_file(path)
            rows = table.db.execute("SELECT * EXCLUDE place FROM facts WHERE ts IS NOT NULL").fetchall()
    careful = [found for line in lines if isinstance(found := fact_of(line), Fact)]
    assert sorted(rows, key=repr) == sorted(map(tuple, careful), key=repr)
