"""What is stored is counted once, shown in both formats as their own parsers read them, and bounded in its labels."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from python_shipper.agent import Agent
from python_shipper.dashboard.metrics import exposition
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import prometheus
from python_shipper.exporters.prometheus import PrometheusExporter
from python_shipper.exporters.prometheus_textfile import Textfile
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.agent.test_agent import Stack, until
from tests.agent.test_agent import event as line
from tests.dashboard.sample import NOON, document

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
HOUR_MS = 3_600_000
# What promtool check metrics complains of: kinds of metric in a name, and units other than the base ones.
NOT_IN_NAMES = {
    "counter",
    "gauge",
    "histogram",
    "summary",
    "ms",
    "ns",
    "us",
    "sec",
    "milliseconds",
    "nanoseconds",
    "kb",
}
ENDINGS = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_count", "_sum"}}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def stored(data_dir: Path, *documents: tuple[Any, ...]) -> list[bytes]:
    """Put documents into the store; their sources, as a commit hands them over."""
    with closing(Writer(data_dir)) as writer:
        writer.add(documents)
        writer.commit()
    return [orjson.dumps(each[2]) for each in documents]


def source(ms: int = NOON, service: str = "orders", message: str = "m", level: str = "info", **more: Any) -> bytes:
    return orjson.dumps(document(ms, service, message, level, **more)[2])


def samples(*exporters: PrometheusExporter, accept: str = "") -> Samples:
    """A scrape, by the client's own parser: (name, labels) → value."""
    text = exposition({}, exporters, accept)[0].decode()
    parse = openmetrics if accept else parser
    families = list(parse.text_string_to_metric_families(text))
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def counter(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def lines(found: Samples) -> float:
    return sum(number for (name, _), number in found.items() if name == "shipper_log_lines_total")


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[PrometheusExporter]:
    with closing(PrometheusExporter(Settings(data_dir=tmp_path))) as exporter:
        yield exporter


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_lines_events_and_durations_are_counted(exporter: PrometheusExporter, accept: str) -> None:
    exporter.committed(
        [
            source(),
            source(level="error", event={"action": "click", "duration": 30_000_000}, christmas={"operation": "bid"}),
            source(event={"action": "click", "duration": 25_000_000}),
            source(service="ads", event={"action": "impression", "duration": 60_000_000_000}),
        ]
    )
    found = samples(exporter, accept=accept)
    assert counter(found, "shipper_log_lines_total", service="orders", level="info") == 2
    assert counter(found, "shipper_log_lines_total", service="orders", level="error") == 1
    assert counter(found, "shipper_log_events_total", service="orders", action="click") == 2
    assert counter(found, "shipper_log_error_ratio", service="orders") == pytest.approx(1 / 3)
    name, of = "shipper_log_duration_seconds", {"service": "orders", "operation": "bid"}
    assert [counter(found, f"{name}_bucket", **of, le=le) for le in ("0.025", "0.05", "+Inf")] == [0, 1, 1]
    assert counter(found, f"{name}_sum", **of) == 0.03
    assert counter(found, f"{name}_bucket", service="orders", operation="click", le="0.025") == 1
    assert counter(found, f"{name}_bucket", service="ads", operation="impression", le="10.0") == 0
    assert counter(found, f"{name}_count", service="ads", operation="impression") == 1


def test_names_are_as_promtool_wants_them(exporter: PrometheusExporter) -> None:
    exporter.committed([source(event={"action": "click", "duration": 30_000_000})])
    families = list(openmetrics.text_string_to_metric_families(exposition({}, [exporter], OPENMETRICS)[0].decode()))
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    for family in families:
        words = set(family.name.split("_"))
        assert re.fullmatch(r"shipper_log_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert not words & NOT_IN_NAMES
        assert family.type != "histogram" or family.name.endswith("_seconds")  # base units
        assert {s.name for s in family.samples} <= {family.name + ending for ending in ENDINGS[family.type]}


def test_openmetrics_shows_a_bucket_with_its_last_trace(exporter: PrometheusExporter) -> None:
    for trace in ("trace-1", "trace-2", "x" * 128):
        exporter.committed([source(event={"action": "a", "duration": 30_000_000}, trace={"id": trace})])
    text, kind = exposition({}, [exporter], OPENMETRICS)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    shown = [
        (sample.labels["le"], sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp))
        for family in openmetrics.text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.exemplar
    ]
    assert shown == [("0.05", {"trace_id": "trace-2"}, 0.03, NOON / 1000)]
    assert b"trace-" not in exposition({}, [exporter])[0]


def test_label_values_are_bounded_and_what_is_over_is_counted(
    exporter: PrometheusExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = {"service": 3, "level": 2, "operation": 3, "action": 4, "service and operation": 5}
    monkeypatch.setattr(prometheus, "MOST", most)
    many = [
        source(service=f"s{n % 10}", event={"action": f"a{n}", "duration": n}, christmas={"operation": f"o{n % 7}"})
        for n in range(70)
    ]
    exporter.committed(many)
    found = samples(exporter, accept=OPENMETRICS)
    values = {label: {dict(labels).get(label) for _, labels in found} - {None} for label in ("service", "action")}
    assert values == {"service": {"s0", "s1", "s2", "other"}, "action": {"a0", "a1", "a2", "a3", "other"}}
    pairs = {labels for name, labels in found if name == "shipper_log_duration_seconds_count"}
    assert len(pairs) <= 5 + 4
    assert lines(found) == 70
    assert sum(number for (name, _), number in found.items() if name == "shipper_log_duration_seconds_count") == 70
    assert counter(found, "shipper_log_label_overflow_total", label="service") == 49
    assert counter(found, "shipper_log_label_overflow_total", label="action") == 66


def test_label_values_are_masked_cut_and_escaped(exporter: PrometheusExporter) -> None:
    hostile = 'a"} 1\n# EOF\\n{x="'
    exporter.committed([source(service=hostile, event={"action": "call 010-1234-5678"}), source(service="x" * 500)])
    for accept in ("", OPENMETRICS):
        found = samples(exporter, accept=accept)
        assert counter(found, "shipper_log_lines_total", service=hostile, level="info") == 1
        assert counter(found, "shipper_log_lines_total", service="x" * 120, level="info") == 1
        (action,) = [dict(labels)["action"] for name, labels in found if name == "shipper_log_events_total"]
        assert "1234-5678" not in action


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusExporter]:
    with closing(PrometheusExporter(Settings(data_dir=tmp_path_factory.mktemp("shared")))) as exporter:
        yield exporter


VALUES = st.none() | st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1)


@effort(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), VALUES, st.integers(-(2**63), 2**63 - 1)), max_size=8))
def test_any_texts_and_numbers_make_a_scrape_that_both_parsers_read(
    shared: PrometheusExporter, rows: list[tuple[str, Any, int]]
) -> None:
    before = lines(samples(shared))
    shared.committed([source(service=s, event={"action": a, "duration": d}) for s, a, d in rows])
    assert lines(samples(shared)) == lines(samples(shared, accept=OPENMETRICS)) == before + len(rows)


def test_the_error_ratio_is_that_of_the_last_five_minutes(tmp_path: Path) -> None:
    now = [0.0]
    with closing(PrometheusExporter(Settings(data_dir=tmp_path), clock=lambda: now[0])) as one:
        one.committed([source(level="critical")])
        now[0] = 200.0
        one.committed([source(), source(service="calm")])
        assert counter(samples(one), "shipper_log_error_ratio", service="orders") == 0.5
        now[0] = 310.0
        assert counter(samples(one), "shipper_log_error_ratio", service="orders") == 0.0
        now[0] = 600.0
        assert not [name for name, _ in samples(one) if name == "shipper_log_error_ratio"]


def test_numbers_are_the_same_after_a_restart_and_labels_known_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    with closing(PrometheusExporter(settings)) as one:
        one.committed([source(service=f"s{n}", event={"duration": n, "action": "a"}) for n in range(5)])
        before = samples(one)
    monkeypatch.setitem(prometheus.MOST, "service", 5)
    with closing(PrometheusExporter(settings)) as again:
        again.committed([source(service="new"), source(service="s4")])
        after = samples(again)
    assert all(after[key] >= number for key, number in before.items() if "ratio" not in key[0])
    assert counter(after, "shipper_log_lines_total", service="s4", level="info") == 2
    assert counter(after, "shipper_log_lines_total", service="other", level="info") == 1


def test_what_was_stored_and_not_counted_is_counted_at_the_next_start(tmp_path: Path) -> None:
    settings, store = Settings(data_dir=tmp_path), TantivyStore.open(tmp_path)
    with closing(PrometheusExporter(settings)) as one:
        assert one.catch_up(store) == 0
        one.committed(stored(tmp_path, *(document(NOON + n, "orders", "counted") for n in range(30))))
        one.committed(stored(tmp_path, document(NOON + HOUR_MS, "orders", "an hour later")))
        before = samples(one)
    missed = [
        document(NOON + 50 + n, "orders", "missed", "error", event={"duration": 9_000_000, "action": "click"})
        for n in range(20)
    ]
    stored(tmp_path, *missed, document(NOON + 30 * HOUR_MS, "ads", "another day"))
    with closing(PrometheusExporter(settings)) as again:
        assert again.catch_up(store) == 21
        after = samples(again, accept=OPENMETRICS)
        assert again.catch_up(store) == 0
        assert lines(after) == 52 == lines(samples(again))
    assert all(after[key] >= number for key, number in before.items() if "ratio" not in key[0])
    assert counter(after, "shipper_log_lines_total", service="orders", level="error") == 20
    assert counter(after, "shipper_log_duration_seconds_count", service="orders", operation="click") == 20
    assert counter(after, "shipper_log_lines_total", service="ads", level="info") == 1


def test_counting_begins_with_the_file_and_goes_on_in_hours_that_were_there_before(tmp_path: Path) -> None:
    settings, store = Settings(data_dir=tmp_path), TantivyStore.open(tmp_path)
    stored(tmp_path, *(document(NOON + n, "orders", "before") for n in range(10)))
    with closing(PrometheusExporter(settings)) as one:
        assert one.catch_up(store) == 0
        one.committed(stored(tmp_path, document(NOON + 20, "orders", "new")))
        assert lines(samples(one)) == 1
    with closing(PrometheusExporter(settings)) as again:
        assert again.catch_up(store) == 0
        assert lines(samples(again)) == 1


def test_a_day_that_retention_drops_takes_nothing_from_the_totals(tmp_path: Path) -> None:
    settings, store = Settings(data_dir=tmp_path), TantivyStore.open(tmp_path)
    day_ms = 24 * HOUR_MS
    with closing(PrometheusExporter(settings)) as one:
        one.catch_up(store)
        for day in (0, 60):
            one.committed(stored(tmp_path, document(NOON + day * day_ms, "orders", "a day's")))
    with closing(Writer(tmp_path)) as writer:
        assert len(writer.drop_expired(NOON + 60 * day_ms)) == 1
    with closing(PrometheusExporter(settings)) as again:
        assert again.catch_up(store) == 0
        assert lines(samples(again)) == 2
        assert [hour[:10] for (hour,) in again.counts.connection.execute("SELECT hour FROM hours")] == ["2027-01-21"]


def test_a_full_disk_holds_counters_still_and_takes_nothing(exporter: PrometheusExporter, caplog: Any) -> None:
    exporter.committed([source()])
    pages = exporter.counts.connection.execute("PRAGMA page_count").fetchone()[0]
    exporter.counts.connection.execute(f"PRAGMA max_page_count = {pages}")
    for n in range(60):
        exporter.committed([source(service=f"service {n} " + "x" * 100)])
    assert lines(samples(exporter)) < 61
    assert caplog.text.count("cannot be saved") == 1
    assert counter(samples(exporter), "shipper_log_count_faults_total") > 0
    exporter.counts.connection.execute("PRAGMA max_page_count = 100000")
    exporter.committed([source()])
    assert lines(samples(exporter)) == 62


def test_killed_between_the_stores_commit_and_the_counters_the_next_start_makes_up_for_it(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    with closing(PrometheusExporter(stack.settings)) as one:
        one.catch_up(stack.store)
    stack.write("orders.ecs.log", *(line(str(n)) for n in range(50)))
    pid = os.fork()
    if not pid:
        agent = Agent(stack.settings, committed=[lambda _: os._exit(9)])
        agent.start()
        time.sleep(20)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    missed = len(stack.stored())
    with closing(PrometheusExporter(stack.settings)) as again:
        assert again.catch_up(stack.store) == missed > 0
        stack.agent = Agent(stack.settings, committed=[again.committed])
        stack.agent.start()
        stack.write("orders.ecs.log", *(line(str(n)) for n in range(5)))
        until(lambda: len(stack.stored()) == 55)
        stack.agent.stop()
        assert lines(samples(again)) == 55


def test_the_textfile_is_whole_at_every_moment_and_readable_by_others(tmp_path: Path) -> None:
    path, content = tmp_path / "shipper.prom", [b"a" * 100_000]
    file = Textfile(path, lambda: content[0], every_seconds=0.001)
    file.start()
    seen: set[bytes] = set()
    reader = threading.Thread(target=lambda: seen.update(path.read_bytes() for _ in range(300)))
    reader.start()
    content[0] = b"b" * 200_000
    reader.join()
    content[0] = b"the last"
    file.close()
    assert seen <= {b"a" * 100_000, b"b" * 200_000}
    assert path.read_bytes() == b"the last"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_said_once_and_tried_again(tmp_path: Path, caplog: Any) -> None:
    folder, content = tmp_path / "collector", [b"first"]
    folder.mkdir()
    file = Textfile(folder / "shipper.prom", lambda: content[0], every_seconds=0.01)
    (folder / "shipper.prom").unlink()
    folder.rmdir()
    file.start()
    until(lambda: "tried again" in caplog.text)
    folder.mkdir()
    until((folder / "shipper.prom").exists)
    file.close()
    assert caplog.text.count("tried again") == 1


def test_a_number_that_cannot_be_had_does_not_end_the_textfile(tmp_path: Path, caplog: Any) -> None:
    turns = iter([lambda: b"first", lambda: 1 / 0, lambda: 1 / 0])
    file = Textfile(tmp_path / "shipper.prom", lambda: next(turns, lambda: b"again")(), every_seconds=0.01)  # type: ignore[arg-type,return-value]
    file.start()
    until(lambda: (tmp_path / "shipper.prom").read_bytes() == b"again")
    file.close()
    assert caplog.text.count("division by zero; it is tried again") == 1


@pytest.mark.parametrize("name", ["shipper.txt", "no/such/folder.prom"])
def test_a_wrong_textfile_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PROMETHEUS_TEXTFILE: .*; "):
        Textfile(tmp_path / name, lambda: b"")
