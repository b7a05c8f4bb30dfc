"""Which files a path means, in which forms lines are read, and that a store of either engine tells the same story."""

from __future__ import annotations

import base64
import gzip
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from python_shipper import AdLogAnalyzer
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.analyzers.batch_anomalies import Limits, findings
from python_shipper.analyzers.batch_files import log_files
from python_shipper.core.clock import iso, now_ms
from python_shipper.errors import ConfigurationError, ShipperError
from python_shipper.store.elasticsearch import ElasticsearchStore
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer

LINE = '{"@timestamp":"2026-01-02T12:00:0%d.000Z","log.level":"info","message":"m","event":{"action":"click"}}\n'


def write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (LINE % (number % 10)).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def names(*paths: Path | str) -> list[str]:
    return [path.name for path in log_files(paths)]


def test_a_folder_means_its_log_files_without_copies(tmp_path: Path) -> None:
    shipped = ["orders.ecs.log", "orders.ecs.log.000001", "orders.1.ecs.log.gz"]
    write(tmp_path, *shipped, "orders.daily.2026-01-02.log", "orders.error.log", "deep/old.log.2.gz", "app.ndjson")
    write(tmp_path, "notes.md", "alone.error.log")
    expected = {*shipped, "old.log.2.gz", "app.ndjson", "alone.error.log"}
    assert set(names(tmp_path)) == expected
    assert AdLogAnalyzer(tmp_path).analyze_logs()["summary"]["total_records"] == len(expected)


def test_patterns_and_files_each_once(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "b.log", "c.txt")
    assert names(tmp_path / "*.log", tmp_path / "a.log", str(tmp_path / "c.txt")) == ["a.log", "b.log", "c.txt"]


@pytest.mark.parametrize("given", ["none.log", "none/*.log", "empty"])
def test_a_path_that_leads_nowhere(tmp_path: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError) as caught:
        AdLogAnalyzer(tmp_path / given).analyze_logs()
    assert str(caught.value).startswith(str(tmp_path / given)) and "\n" not in str(caught.value)


def test_a_damaged_archive_gives_what_was_before_the_damage(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join((LINE % (n % 10)).encode() for n in range(50_000)))
    (tmp_path / "app.log.gz").write_bytes(packed[: len(packed) // 2])
    found = AdLogAnalyzer(tmp_path).analyze_logs()
    assert found["input"]["damaged_files"] == [str(tmp_path / "app.log.gz")]
    assert 0 < found["summary"]["total_records"] < 50_000


def test_bad_lines_are_counted_by_reason_and_shown_masked(tmp_path: Path) -> None:
    bad = b'no log line of kim@example.com\n{"message":"no time"}\n{"@timestamp":"soon"}\n[1]\n\n'
    (tmp_path / "app.log").write_bytes(bad + (LINE % 1).encode())
    read = AdLogAnalyzer(tmp_path / "app.log").analyze_logs()["input"]
    assert (read["lines"], read["unparsable"]) == (5, 4)
    assert read["unparsable_by_reason"] == {
        "not_recognised": 1, "no_timestamp": 1, "bad_timestamp": 1, "not_object": 1,
    }  # fmt: skip
    assert [sample["line"] for sample in read["samples"]] == [1, 2, 3, 4]
    assert "no log line" in read["samples"][0]["text"] and "kim@" not in read["samples"][0]["text"]


START = now_ms() - 3_600_000
STEPS = ("bid", "impression", "click", "conversion")
PLAIN = [
    ("2026-01-02 12:00:00,123 - ads.bids - ERROR - bid failed event_type=bid error_type=TimeoutError duration_ms=250",
     {"timestamp": "2026-01-02T12:00:00.123Z", "level": "ERROR", "module": "ads.bids", "event_type": "bid",
      "error_type": "TimeoutError", "duration_ms": 250.0}),
    ("2026-01-02T21:00:00+09:00 INFO ads: clicked ad_id='ad-1', event_type: click, user_id=u1",
     {"timestamp": "2026-01-02T12:00:00.000Z", "level": "INFO", "ad_id": "ad-1", "event_type": "click",
      "user_id": "u1"}),
    ("[2026-01-02 12:00:00] [WARNING] slow operation=charge took 1.5 s",
     {"timestamp": "2026-01-02T12:00:00.000Z", "level": "WARNING", "operation": "charge", "duration": 1.5}),
    ('127.0.0.1 - - [02/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 200', {"timestamp": "2026-01-02T12:00:00.000Z"}),
    ("2026/01/02 12:00:00 CRITICAL ValueError: too few prices",
     {"timestamp": "2026-01-02T12:00:00.000Z", "level": "CRITICAL", "error_type": "ValueError"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), PLAIN, ids=range(len(PLAIN)))
def test_a_line_of_text(line: str, expected: dict[str, Any]) -> None:
    found = AdLogAnalyzer("x").parse_log_line(line)
    assert found is not None
    assert {name: found.get(name) for name in expected} == expected


def test_the_nine_flat_keys_are_always_there() -> None:
    found = AdLogAnalyzer("x").parse_log_line(LINE % 1)
    nine = {"timestamp", "level", "service", "module", "message", "trace_id", "user_id", "order_id", "duration"}
    assert found is not None and nine <= set(found) and found["level"] == "INFO" and found["order_id"] is None
    assert AdLogAnalyzer("x").parse_log_line("what?") is None


def test_a_zone_for_times_without_one(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("2026-01-02 21:00:00 INFO a: event_type=click\n")
    found = AdLogAnalyzer(tmp_path, timezone="Asia/Seoul").analyze_logs("2026-01-02T21:00:00", "2026-01-02T21:00:01")
    assert found["period"]["from"] == "2026-01-02T12:00:00.000Z" and found["summary"]["total_events"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timezone": "Moon"}, "timezone: expected a name such as UTC or Asia/Seoul, got 'Moon'"),
        ({"memory": "lots"}, "memory: expected a size such as 512MB or 2GB, got 'lots'"),
    ],
)
def test_a_wrong_argument(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    write(tmp_path, "a.log")
    with pytest.raises(ConfigurationError, match=words):
        AdLogAnalyzer(tmp_path, **arguments).analyze_logs()


def test_times_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="start: expected a time"):
        AdLogAnalyzer("x").analyze_logs("soon")
    with pytest.raises(ConfigurationError, match=r"its start .* is not before its end"):
        AdLogAnalyzer("x").analyze_logs("2026-01-02", "2026-01-01")
    with pytest.raises(ConfigurationError, match="name either paths of log files or a store"):
        AdLogAnalyzer()


def day(count: int) -> list[bytes]:
    """Lines of the last hour: events, errors with stacks, durations, campaigns, traces."""
    return [orjson.dumps(line(n, START + n * 1000)) for n in range(count)]


def line(n: int, ms: int) -> dict[str, Any]:
    failed = n % 7 == 0
    found = {
        "@timestamp": iso(ms),
        "log.level": "error" if failed else "info",
        "message": f"m{n % 3}",
        "ecs.version": "9.4.0",
        "service": {"name": f"s{n % 2}"},
        "event": {"id": f"{n:026d}", "action": STEPS[n % 4], "duration": n * 10**6},
        "trace": {"id": f"{n % 50:032x}"},
        "christmas": {"campaign": {"id": f"c{n % 3}"}, "operation": f"op{n % 5}"},
    }
    stack = f'File "a.py", line {n}, in f'
    return found | ({"error": {"type": f"E{n % 2}", "stack_trace": stack}} if failed else {})


def rows(lines: list[bytes]) -> list[Any]:
    source = Source("/logs/a.ecs.log", "f" * 64, 0)
    routed = [Pipeline().process(line, source, now_ms()) for line in lines]
    return [(each.index, each.id, each.document, 1, 100) for each in routed]


def same(stored: dict[str, Any], read: dict[str, Any]) -> None:
    names = ("summary", "events", "errors", "performance", "anomalies", "services", "levels", "campaigns", "traces")
    assert {name: stored[name] for name in names} == {name: read[name] for name in names}


@pytest.fixture
def read(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "app.log").write_bytes(b"\n".join(day(500)))
    found = AdLogAnalyzer(tmp_path / "app.log").analyze_logs()
    assert found["summary"]["total_records"] == 500
    return found


def test_the_embedded_store_tells_the_same_story(tmp_path: Path, read: dict[str, Any]) -> None:
    with closing(Writer(tmp_path / "data")) as writer:
        assert writer.add(rows(day(500))).stored == 500
        writer.commit()
    with closing(TantivyStore.open(tmp_path / "data")) as store:
        same(AdLogAnalyzer(store=store).analyze_logs(), read)
        told: list[tuple[int, int]] = []
        part = AdLogAnalyzer(store=store, told=lambda done, of: told.append((done, of)))
        assert part.analyze_logs(read["period"]["from"])["comparison"]["previous"]["total_records"] == 0
        assert told[-1] == (500, 500)


@pytest.mark.slow
def test_elasticsearch_tells_the_same_story(read: dict[str, Any]) -> None:
    from elasticsearch import Elasticsearch
    from elasticsearch.helpers import bulk

    from tests.stack import elasticsearch

    with elasticsearch.running() as server:
        server.apply()
        authority = base64.b64encode(f"admin:{elasticsearch.PASSWORD}".encode()).decode()
        headers = {"authorization": f"Basic {authority}"}
        client = Elasticsearch(server.url, headers=headers, ca_certs=str(server.authority), request_timeout=60)
        actions = [{"_op_type": "create", "_index": i, "_id": d, "_source": s} for i, d, s, _, _ in rows(day(500))]
        bulk(client, actions, refresh=True)
        with closing(ElasticsearchStore(client, server.url)) as store:
            same(AdLogAnalyzer(store=store).analyze_logs(), read)


def test_anomalies_have_severity_threshold_and_evidence(read: dict[str, Any]) -> None:
    rate = next(each for each in read["anomalies"] if each["type"] == "high_error_rate")
    assert (rate["value"], rate["threshold"], rate["of"], rate["severity"]) == (
        round(72 / 500, 6),
        0.05,
        "events",
        "error",
    )
    assert len(rate["evidence"]) == 5
    assert not [each for each in read["anomalies"] if each["type"] == "slow_response"]
    told = findings(read)
    assert (told[0].kind, told[0].evidence) == ("high_error_rate", tuple(rate["evidence"]))


def test_limits_are_the_callers(tmp_path: Path, read: dict[str, Any]) -> None:
    strict = AdLogAnalyzer(tmp_path / "app.log", limits=Limits(error_rate=1.0, p95_ms=400.0)).analyze_logs()
    slow = {each["operation"] for each in strict["anomalies"]}
    assert slow == {f"op{n}" for n in range(5)} and {each["type"] for each in strict["anomalies"]} == {"slow_response"}
    with pytest.raises(ConfigurationError, match="limit error_rate"):
        Limits(error_rate=-1)


def test_a_file_that_is_shortened_while_it_is_read_is_said(tmp_path: Path) -> None:
    from python_shipper.analyzers.batch_table import chosen

    with pytest.raises(ShipperError, match="has become shorter while it was read"):
        list(chosen(iter([(0, b"a")]), [0, 5], tmp_path))


def test_new_errors_are_those_that_the_period_before_did_not_have(tmp_path: Path) -> None:
    line = '{"@timestamp":"2026-01-02T%02d:30:00Z","log.level":"error","error":{"type":"%s","message":"m"}}\n'
    (tmp_path / "a.log").write_text(line % (11, "Old") + line % (12, "Old") + line % (12, "New"))
    found = AdLogAnalyzer(tmp_path).analyze_logs("2026-01-02T12:00:00Z", "2026-01-02T13:00:00Z")
    assert [row["error_type"] for row in found["new_errors"]] == ["New"]
    assert found["comparison"]["change"]["total_errors"] == 1.0
