"""The analysis in the embedded process: from a line in a file to a finding and an alert, through kill -9."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from python_shipper.agent import Agent
from python_shipper.alerts import Alerts
from python_shipper.core.clock import iso, now_ms, parsed_ms
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.stack.analysis import MOST_WAITING_BYTES, Analysis
from python_shipper.stack.client import ask
from python_shipper.store.tantivy import TantivyStore
from tests.stack.test_embedded import free_port

MINUTE = 60_000  # ms
HOUR = 3600  # seconds
LONG = os.environ.get("FAULTS") == "long"
UP_TO_DATE = {"state": "running", "lag_seconds": 0.0}


def source(at_ms: int, *, service: str = "orders", failed: bool = False, ms: float = 20) -> bytes:
    document: dict[str, Any] = {
        "@timestamp": iso(at_ms),
        "log.level": "error" if failed else "info",
        "message": "order rejected" if failed else "order executed",
        "service": {"name": service},
        "trace": {"id": f"{service}-{at_ms}"},
        "event": {"duration": int(ms * 1e6), "outcome": "failure" if failed else "success"},
        "christmas": {"operation": "POST /orders"},
    }
    return orjson.dumps(document)


def history(until_ms: int, seconds: int = 600, rate: int = 5, **more: Any) -> list[bytes]:
    """What is usual: durations between 10 and 30 ms, no errors."""
    times = range(until_ms - seconds * 1000, until_ms, 1000 // rate)
    return [source(at, ms=10 + at // 200 % 20, **more) for at in times]


def burst(at_ms: int, count: int = 40) -> list[bytes]:
    return [source(at_ms + number * 50, failed=number % 4 > 0) for number in range(count)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", api_port=free_port(), stack="embedded")


@pytest.fixture
def begin(settings: Settings) -> Iterator[Callable[[], Analysis]]:
    """Analyses on the same folder, all of them stopped at the end."""
    begun: list[Analysis] = []
    with closing(TantivyStore.open(settings.data_dir)) as store:

        def start() -> Analysis:
            begun.append(Analysis(settings, Alerts.open(settings), lambda: UP_TO_DATE))
            begun[-1].start(store)
            return begun[-1]

        yield start
        for each in begun:
            each.stop()
            each.alerts.stop()


def kinds(analysis: Analysis) -> set[str]:
    return {finding["kind"] for finding in analysis.findings()["open"]}


def open_alerts(settings: Settings) -> dict[str, int]:
    """Open alerts by key, with how often each was found."""
    alerts = Alerts.open(settings)
    try:
        return {alert.key: alert.count for alert in alerts.outbox.alerts_where("state = ?", "open")}
    finally:
        alerts.stop()


def test_a_burst_becomes_an_alert_and_its_end_ends_it(settings: Settings, begin: Callable[[], Analysis]) -> None:
    now, analysis = now_ms(), begin()
    analysis.listen(history(now - 5 * MINUTE) + burst(now - 5 * MINUTE))
    assert embedded.wait_for(lambda: "high_error_rate|orders|" in open_alerts(settings), 60)
    (since,) = {each["since"] for each in analysis.findings()["open"] if each["operation"] is None}
    assert parsed_ms(since) <= now - 5 * MINUTE + 5000
    gauges = {sample.labels["kind"]: sample.value for metric in analysis.collect() for sample in metric.samples}
    assert gauges["high_error_rate"] >= 1
    analysis.listen(history(now - 2 * MINUTE, 170))
    assert embedded.wait_for(lambda: not kinds(analysis) and not open_alerts(settings), 60)
    assert {"high_error_rate"} <= {finding["kind"] for finding in analysis.findings()["ended"]}


def test_the_last_events_before_a_pause_are_judged_without_waiting_for_more(begin: Callable[[], Analysis]) -> None:
    now, analysis = now_ms(), begin()
    analysis.listen(history(now - 2000))
    analysis.listen([source(now - 1500 + number, failed=True) for number in range(60)])
    assert embedded.wait_for(lambda: "high_error_rate" in kinds(analysis), 60)


def test_silence_shows_as_time_passes(begin: Callable[[], Analysis]) -> None:
    now, analysis = now_ms(), begin()
    analysis.listen(history(now - 95_000))
    assert embedded.wait_for(lambda: kinds(analysis) == {"silence"}, 60)


def test_what_is_just_read_may_not_be_stored_yet(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("python_shipper.stack.analysis.SETTLED_SECONDS", HOUR)
    alerts, status = Alerts.open(settings), dict(UP_TO_DATE)
    analysis = Analysis(settings, alerts, lambda: status)
    alerts.stop()
    for lag_seconds in (0.0, 2.0, 0.0):
        status["lag_seconds"] = lag_seconds
        assert not analysis.agent_is_up_to_date()
    analysis.behind_at -= HOUR
    assert analysis.agent_is_up_to_date()
    status["state"] = "fault"
    assert not analysis.agent_is_up_to_date()


def test_after_a_crash_open_findings_are_known_and_end(settings: Settings, begin: Callable[[], Analysis]) -> None:
    now, first = now_ms(), begin()
    first.listen(history(now - 5 * MINUTE) + burst(now - 5 * MINUTE))
    assert embedded.wait_for(lambda: "high_error_rate|orders|" in open_alerts(settings), 60)
    second = begin()  # the first is not stopped: what it has not saved is lost to the second
    assert kinds(second) == kinds(first)
    assert open_alerts(settings)["high_error_rate|orders|"] > 1
    second.listen(history(now - 2 * MINUTE, 170))
    assert embedded.wait_for(lambda: not kinds(second) and not open_alerts(settings), 60)


def test_what_a_crash_kept_from_it_is_taken_from_the_store(settings: Settings, begin: Callable[[], Analysis]) -> None:
    now, first = now_ms(), begin()
    first.listen(history(now - 2 * MINUTE))
    first.stop()  # a first that ran on would see silence when the wall clock tells it to, and save that
    settings.log_dir.mkdir()
    (settings.log_dir / "orders.ecs.log").write_bytes(
        b"".join(line + b"\n" for line in history(now - 2 * MINUTE, 20) + burst(now - 2 * MINUTE))
    )
    agent = Agent(settings)
    agent.start()
    assert embedded.wait_for(lambda: agent.status()["lines_total"] >= 140, 60)
    agent.stop()
    second = begin()
    assert "high_error_rate" in kinds(second)
    assert second.status()["analysis"]["events_total"] == first.status()["analysis"]["events_total"] + 40


def test_what_does_not_fit_is_left_out_and_counted(settings: Settings) -> None:
    alerts = Alerts.open(settings)
    analysis = Analysis(settings, alerts, lambda: UP_TO_DATE)  # not started: nothing is taken out
    part = [b" " * 1_000_000] * 16
    for _ in range(6):
        analysis.listen(part)
    status = analysis.status()["analysis"]
    alerts.stop()
    assert (status["waiting_bytes"], status["left_out_total"]) == (MOST_WAITING_BYTES, 2 * 16)


def test_a_fault_is_counted_and_it_goes_on(begin: Callable[[], Analysis], caplog: pytest.LogCaptureFixture) -> None:
    now, analysis = now_ms(), begin()
    analysis.listen([b"not JSON"])
    assert embedded.wait_for(lambda: analysis.status()["analysis"]["faults_total"] == 1, 60)
    assert "analysis: " in caplog.text and "it goes on" in caplog.text
    analysis.listen(history(now))
    assert embedded.wait_for(lambda: analysis.status()["analysis"]["events_total"] == 3000, 60)


class Writer:
    """Two services that log at a steady rate into files of the log folder."""

    def __init__(self, settings: Settings) -> None:
        settings.log_dir.mkdir()
        names = ("orders", "gateway")
        self.files = {name: (settings.log_dir / f"{name}.ecs.log").open("ab", buffering=0) for name in names}
        for name, file in self.files.items():
            file.write(b"".join(line + b"\n" for line in history(now_ms(), service=name)))

    def write(self, *, failing: bool = False, step: float = 1, pause: float = 0.05) -> None:
        """A line of each: of ``failing`` orders three in four fail, the gateway takes ``step`` times as long."""
        now = now_ms()
        self.files["orders"].write(source(now, failed=failing and now % 4 > 0) + b"\n")
        self.files["gateway"].write(source(now, service="gateway", ms=20 * step) + b"\n")
        time.sleep(pause)


def found(settings: Settings, url: str) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    opened = ask(settings, url, "/api/findings")["open"]
    return {(finding["kind"], finding["service"], finding["operation"]): finding for finding in opened}


@pytest.mark.slow
def test_from_a_line_to_a_finding_through_a_kill(settings: Settings, tmp_path: Path) -> None:
    thresholds = tmp_path / "analysis.yml"
    thresholds.write_text("findings: {clear_seconds: 3600}\n")
    settings = replace(settings, analysis_file=thresholds)
    writer = Writer(settings)
    wanted = {("high_error_rate", "orders", "POST /orders"), ("latency_step", "gateway", "POST /orders")}
    embedded.up(settings, lambda _: None)
    try:
        url = embedded.status(settings)["url"]
        for _ in range(60):
            writer.write()
        assert found(settings, url) == {}
        began, deadline = now_ms(), time.monotonic() + 60
        while not wanted <= (seen := found(settings, url)).keys() and time.monotonic() < deadline:
            for _ in range(10):
                writer.write(failing=True, step=10)
        assert wanted <= seen.keys()
        if LONG:  # on a machine that does little else; how long it takes is also measured by benchmarks/realtime.py
            assert {key for key in wanted if parsed_ms(seen[key]["since"]) - began > 5000} == set()
        # An alert comes after the state was saved, a finding before it.
        alerting = {"|".join(map(str, key)) for key in wanted}
        assert embedded.wait_for(lambda: alerting <= open_alerts(settings).keys(), 60)
        os.kill(embedded.status(settings)["pid"], signal.SIGKILL)
        assert embedded.wait_for(lambda: not embedded.running(settings), 30)
        embedded.up(settings, lambda _: None)
        again = found(settings, embedded.status(settings)["url"])
        assert {key: again[key]["since"] for key in wanted} == {key: seen[key]["since"] for key in wanted}
        assert alerting <= open_alerts(settings).keys()
        embedded.down(settings, lambda _: None)
        thresholds.write_text("findings: {clear_seconds: 1}\n")
        embedded.up(settings, lambda _: None)
        for _ in range(3000):
            writer.write(pause=0.001)
        assert embedded.wait_for(lambda: not found(settings, url) and not open_alerts(settings), 120)
    finally:
        embedded.down(settings, lambda _: None)
