"""search, trace and indices print what the store holds; what a log line says stays text."""

import json

import pytest

from tests.cli.conftest import Shipper
from tests.dashboard.sample import TRACE


def test_search_shows_matching_lines_oldest_first(shipper: Shipper) -> None:
    said = shipper("search", "level:error", "--since", "1h")
    assert said.code == 0
    words = [line.split(" ", 2)[2].split() for line in said.out.splitlines()]
    assert [row[:2] for row in words] == [["ERROR", "analysis_engine"], ["ERROR", "orders"], ["ERROR", "gateway"]]
    assert said.out.startswith("2026-11-22 12:00:00.020 ERROR")
    assert "ValueError: too few prices" in said.out
    assert f"trace={TRACE}" in said.out
    assert said.err.startswith("3 lines in ")


def test_search_says_when_there_is_more(shipper: Shipper) -> None:
    said = shipper("search", "tick", "--limit", "2")
    assert [line.split("tick ")[1] for line in said.out.splitlines()] == ["148 of a calm day", "149 of a calm day"]
    assert "150 lines in " in said.err
    assert "the newest 2 shown; --limit shows more" in said.err


def test_search_as_json_gives_one_document_a_line(shipper: Shipper) -> None:
    said = shipper("search", "service:orders rejected", "--json")
    (document,) = map(json.loads, said.out.splitlines())
    assert document["message"] == "order rejected"
    assert document["_index"] == "christmas-logs-orders-2026.11.22"
    assert document["event"]["id"] == document["_id"]
    assert said.err == ""


def test_search_keeps_to_its_time_range(shipper: Shipper) -> None:
    assert shipper("search", "", "--since", "1m").out == ""
    window = ("--since", "2026-11-22T12:00:00Z", "--until", "2026-11-22T12:00:00.006Z")
    assert len(shipper("search", *window).out.splitlines()) == 2


def test_control_characters_and_markup_stay_text(shipper: Shipper, filled: object) -> None:
    from python_shipper.cli.printing import visible

    assert visible("\x1b[31mred\x1b[0m\n[bold]x[/bold]\u202e\x00") == "\\x1b[31mred\\x1b[0m⏎[bold]x[/bold]\\x202e\\x00"
    assert "<script>document.title" in shipper("search", "level:warning").out


def test_trace_shows_services_by_caller_with_the_error_in_full(shipper: Shipper) -> None:
    said = shipper("trace", TRACE)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == f"Trace {TRACE}  3 services, 5 lines, 3 errors, 50 ms"
    assert [line.split("█")[0].rstrip() for line in lines[3:6]] == ["gateway", "  orders", "    analysis_engine"]
    assert [line.split()[-2:] for line in lines[3:6]] == [["50", "ms"], ["35", "ms"], ["0", "ms"]]
    told = [line for line in lines[6:] if line.strip().startswith("+")]
    assert [line.split()[0:2] for line in told] == [
        ["+0", "ms"],
        ["+5.0", "ms"],
        ["+20", "ms"],
        ["+40", "ms"],
        ["+50", "ms"],
    ]
    assert told[2].split()[2:] == [
        "ERROR",
        "analysis_engine",
        "MACD",
        "computation",
        "failed",
        "ValueError:",
        "too",
        "few",
        "prices",
    ]
    assert any(line.strip() == "ValueError: too few prices" for line in lines)
    assert any(line.strip() == "Traceback (most recent call last):" for line in lines)


def test_trace_as_json(shipper: Shipper) -> None:
    found = json.loads(shipper("trace", TRACE, "--json").out)
    assert [span["service"] for span in found["spans"]] == ["gateway", "orders", "analysis_engine"]
    assert len(found["events"]) == 5


def test_indices(shipper: Shipper) -> None:
    said = shipper("indices")
    rows = [line.split()[:2] for line in said.out.splitlines()[1:]]
    assert rows == [
        [f"christmas-logs-{name}-2026.11.22", n]
        for name, n in (("analysis_engine", "1"), ("gateway", "2"), ("orders", "153"))
    ]
    assert [row["documents"] for row in json.loads(shipper("indices", "--json").out)] == [1, 2, 153]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "level:("), ["level"]),
        (("search", "x", "--since", "yesterday"), ["--since", "'yesterday'", "1h"]),
        (("search", "x", "--limit", "0"), ["--limit", "greater than or equal to 1"]),
        (("search", "--nope"), ["--nope", "shipper --help"]),
        (("serach",), ["serach", "search"]),
        (("trace", "unknown-id"), ["unknown-id", "no line has this id"]),
        (("trace", " "), ["trace id", "empty"]),
        (("trace",), ["ID"]),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    shipper: Shipper, arguments: tuple[str, ...], words: list[str]
) -> None:
    said = shipper(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("shipper: ")
    assert said.err.count("\n") == 1
    assert all(word in said.err for word in words), said.err
