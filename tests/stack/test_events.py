"""Events of the stream on Redis are analysed in the embedded process, each once, through restarts of either side."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from python_shipper.ads.logging_system import stream
from python_shipper.ads.stream import Stream, new_event
from python_shipper.alerts import Alerts
from python_shipper.analyzers.real_time_stream import ecs_of
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.stack.analysis import Analysis
from python_shipper.stack.client import ask
from python_shipper.stack.embedded import wait_for
from python_shipper.stack.events import EventFeed, feed
from python_shipper.store.tantivy import TantivyStore
from tests.ads.redis_server import RedisServer
from tests.stack.test_analysis import UP_TO_DATE, found, kinds, open_alerts
from tests.stack.test_embedded import free_port

redis = pytest.mark.needs("redis")
NOW = "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    ("data", "level", "outcome", "rest"),
    [
        ({"price": 1.5, "duration_ms": 12.5}, "info", "success", {"event": {"duration": 12_500_000}}),
        ({"level": "ERROR", "trace_id": "t1"}, "error", "failure", {"trace": {"id": "t1"}}),
        ({"error": "no bid"}, "error", "failure", {"error": {"message": "no bid"}}),
        ({"error": "", "error_message": ""}, "info", "success", {}),
        ({"error_type": "TimeoutError"}, "error", "failure", {"error": {"type": "TimeoutError"}}),
        ({"event.outcome": "failure", "operation": "other"}, "info", "failure", {}),
        ("a text", "info", "success", {}),
        (None, "info", "success", {}),
    ],
)
def test_an_event_in_ecs_terms(data: object, level: str, outcome: str, rest: dict[str, dict[str, object]]) -> None:
    found = ecs_of({"timestamp": NOW, "type": "bid", "id": "x", "data": data})
    assert (found["@timestamp"], found["log.level"], found["service"]) == (NOW, level, {"name": "log_stream"})
    assert found["event"] == {"action": "bid", "outcome": outcome, **rest.pop("event", {})}
    assert {name: found[name] for name in rest} == rest


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", durable=True) as server:
        yield server


@pytest.fixture
def writer(server: RedisServer) -> Iterator[Stream]:
    writer = stream(server.url, 1.0, 60.0)
    yield writer
    writer.close(5.0)


@pytest.fixture
def begin(tmp_path: Path, server: RedisServer) -> Iterator[Callable[[], EventFeed]]:
    """Feeds with an analysis on the same folder, stopped at the end."""
    settings = Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", redis_url=server.url)
    with closing(TantivyStore.open(settings.data_dir)) as store, ExitStack() as begun:

        def start() -> EventFeed:
            alerts = Alerts.open(settings)
            begun.callback(alerts.stop)
            analysis = Analysis(settings, alerts, lambda: UP_TO_DATE)
            analysis.start(store)
            begun.callback(analysis.stop)
            events = EventFeed(server.url, analysis)
            events.start()
            begun.callback(events.stop)
            return events

        yield start


def seen(events: EventFeed) -> int:
    return int(events.analysis.status()["analysis"]["events_total"])


@redis
def test_events_that_fail_are_found(begin: Callable[[], EventFeed], writer: Stream) -> None:
    events = begin()
    for number in range(60):
        writer.put(new_event("bid", {"duration_ms": 5, "error_type": "TimeoutError"} if number % 3 else {}))
    assert wait_for(lambda: "high_error_rate" in kinds(events.analysis), 60)
    assert wait_for(lambda: seen(events) == 60, 60)
    (row,) = [row for row in events.analysis.findings()["last_minute"] if row["operation"] == "bid"]
    assert (row["service"], row["error_ratio"]) == ("log_stream", round(2 / 3, 4))


@redis
def test_nothing_is_lost_or_comes_twice(
    begin: Callable[[], EventFeed], server: RedisServer, writer: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    first = begin()
    for count in (1, 2):
        writer.put(new_event("click", {}))
        assert wait_for(lambda count=count: seen(first) == count, 60)  # type: ignore[misc]
        first.analysis.save()
    server.kill()
    assert wait_for(lambda: "does not answer as it should" in str(first.analysis.stream), 60)
    server.start()
    writer.put(new_event("click", {}))
    assert wait_for(lambda: seen(first) == 3, 60)
    assert wait_for(lambda: first.analysis.stream == "read", 60)
    second = begin()  # the first is not stopped: what it has not saved is read again, and what it has is not
    assert wait_for(lambda: seen(second) == 3, 60)
    second.stop()
    second.analysis.stop()
    writer.put(new_event("click", {}))
    third = begin()
    assert wait_for(lambda: seen(third) == 4, 60)
    assert "does not answer as it should" in caplog.text


@redis
def test_what_another_program_put_there_is_read_and_what_is_old_is_not(
    begin: Callable[[], EventFeed], server: RedisServer
) -> None:
    with server.client() as client:
        client.xadd("log_stream", {"event": b"{}"}, id="1-1")
        client.xadd("log_stream", {"what": b"\xff"})
        client.xadd("log_stream", {"event": b'{"timestamp": 7, "type": ["bid"], "data": [1]}'})
        events = begin()
        assert wait_for(lambda: seen(events) == 2, 60)
        assert events.analysis.status()["analysis"]["faults_total"] == 0


def operations(settings: Settings, url: str) -> set[str | None]:
    return {row["operation"] for row in ask(settings, url, "/api/findings")["last_minute"]}


@pytest.mark.slow
@redis
def test_the_embedded_process_follows_the_stream_through_a_kill(
    tmp_path: Path, server: RedisServer, writer: Stream
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", log_dir=tmp_path / "logs", api_port=free_port(), redis_url=server.url
    )
    key = ("high_error_rate", "log_stream", "bid")
    embedded.up(settings, lambda _: None)
    try:
        url = embedded.status(settings)["url"]
        deadline = time.monotonic() + 60
        while key not in (opened := found(settings, url)) and time.monotonic() < deadline:
            writer.put(new_event("bid", {"error_type": "TimeoutError"}))
            time.sleep(0.02)
        since = opened[key]["since"]
        assert wait_for(lambda: "|".join(key) in open_alerts(settings), 60)
        os.kill(embedded.status(settings)["pid"], signal.SIGKILL)
        assert wait_for(lambda: not embedded.running(settings), 30)
        embedded.up(settings, lambda _: None)
        status = embedded.status(settings)
        assert found(settings, status["url"])[key]["since"] == since
        assert wait_for(lambda: embedded.status(settings)["analysis"]["stream"] == "read", 60)
        writer.put(new_event("click", {}))
        assert wait_for(lambda: "click" in operations(settings, status["url"]), 60)
    finally:
        embedded.down(settings, lambda _: None)


def test_without_an_address_there_is_no_feed_and_a_wrong_one_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs")
    alerts = Alerts.open(settings)
    analysis = Analysis(settings, alerts, lambda: UP_TO_DATE)
    assert feed(settings, analysis) is None and not caplog.text
    assert "stream" not in analysis.status()["analysis"]
    assert feed(replace(settings, redis_url="http://localhost"), analysis) is None
    assert "events of the stream are not analysed" in caplog.text
    assert "redis_url" in analysis.status()["analysis"]["stream"]
    alerts.stop()
