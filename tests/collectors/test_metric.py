"""MetricCollector: what its events say, what Prometheus sees, and that memory and threads do it no harm."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from python_shipper.collectors import metric
from python_shipper.collectors.metric import MetricCollector
from python_shipper.errors import ConfigurationError
from tests.ads.conftest import Events, events, files, logger, name, nothing_bound, written  # noqa: F401  fixtures


@pytest.fixture
def metrics(logger: logging.Logger) -> Iterator[MetricCollector]:  # noqa: F811
    collector = MetricCollector(logger, interval=0)
    yield collector
    collector.close()


def told(events: Events) -> list[dict[str, Any]]:  # noqa: F811
    return [event["christmas"]["metric"] | {"labels": event.get("labels")} for event in events()]


def test_an_event_for_each_series_with_what_is_new(metrics: MetricCollector, events: Events) -> None:  # noqa: F811
    for n in range(3):
        metrics.counter("bids_total", exchange="krx")
        metrics.histogram("bid_seconds", 0.1 * (n + 1))
        metrics.gauge("queue_size", 7 - n)
    assert metrics.flush() == 3
    metrics.counter("bids_total", 2, exchange="krx")
    assert (metrics.flush(), metrics.flush()) == (1, 0)
    assert [event["event"]["kind"] for event in events()] == ["metric"] * 4
    assert told(events) == [
        {"name": "bids_total", "type": "counter", "value": 3.0, "total": 3.0, "labels": {"exchange": "krx"}},
        {"name": "bid_seconds", "type": "histogram", "unit": "s", "value": pytest.approx(0.2), "count": 3,
         "sum": pytest.approx(0.6), "min": 0.1, "max": pytest.approx(0.3), "labels": None},
        {"name": "queue_size", "type": "gauge", "value": 5.0, "labels": None},
        {"name": "bids_total", "type": "counter", "value": 2.0, "total": 5.0, "labels": {"exchange": "krx"}},
    ]  # fmt: skip


def shown(metrics: MetricCollector) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()
    registry.register(metrics)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_prometheus_sees_all_of_it(metrics: MetricCollector) -> None:
    metrics.counter("bids_total", 2, exchange='a"\\\n')
    metrics.counter("bids_total", 1)
    for seconds in (0.004, 0.005, 0.3, 99.0):
        metrics.histogram("bid_seconds", seconds)
    metrics.gauge("queue_size", -1.5)
    found = shown(metrics)
    assert found["bids_total", (("exchange", 'a"\\\n'),)] == 2 and found["bids_total", (("exchange", ""),)] == 1
    assert found["queue_size", ()] == -1.5
    assert found["bid_seconds_count", ()] == 4 and found["bid_seconds_sum", ()] == pytest.approx(99.309)
    bounds = ("0.005", "0.25", "0.5", "10.0", "+Inf")
    assert [found["bid_seconds_bucket", (("le", bound),)] for bound in bounds] == [
        2,
        2,
        3,
        3,
        4,
    ]


def test_what_is_flushed_stays_for_prometheus(metrics: MetricCollector) -> None:
    metrics.counter("bids_total")
    metrics.flush()
    assert shown(metrics)["bids_total", ()] == 1


def test_label_values_are_masked_and_bounded(metrics: MetricCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.counter("bids_total", email="kim@example.com", note="card 4111 1111 1111 1111")
    assert "kim@" not in str(shown(metrics)) and "4111 1111" not in str(shown(metrics))
    monkeypatch.setattr(metric, "MOST_SERIES", 3)
    for n in range(10):
        metrics.gauge("by_user", n, user=n)
    labels = [labels for family, labels in shown(metrics) if family == "by_user"]
    assert len(labels) == 4 and (("overflow", "true"), ("user", "")) in labels


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.counter("1x"), "metric '1x': expected letters, digits and _"),
        (lambda m: m.counter("a", -1), "metric a: a counter only rises; got -1"),
        (lambda m: m.counter("a", float("nan")), "a counter only rises"),
        (lambda m: m.gauge("a", float("inf")), "metric a: expected a finite number"),
        (lambda m: m.histogram("a", float("nan")), "metric a: expected a finite number"),
        (lambda m: m.counter("a", "many"), "metric a: expected a finite number, got 'many'"),
        (lambda m: m.gauge("a", None), "metric a: expected a finite number, got None"),
        (lambda m: m.histogram("a", 10**400), "metric a: expected a finite number, got 1000"),
        (lambda m: m.gauge([], 1), "expected letters, digits and _"),
        (lambda m: (m.counter("a"), m.gauge("a", 1)), "metric a: is a counter, not a gauge"),
        (lambda m: m.gauge("a", 1, le=1), "metric a: label 'le'"),
        (lambda m: m.gauge("a", 1, **{"a-b": 1}), "metric a: label 'a-b'"),
    ],
)
def test_what_cannot_be(metrics: MetricCollector, call: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        call(metrics)


def test_any_type_of_number_is_one(metrics: MetricCollector) -> None:
    for value in (1, 0.5, Decimal("1.5"), Fraction(1, 2)):
        metrics.counter("spend_total", value)  # type: ignore[arg-type]
    assert shown(metrics)["spend_total", ()] == 3.5


def test_bounds_that_do_not_rise() -> None:
    with pytest.raises(ConfigurationError, match="buckets"):
        MetricCollector(buckets=(1.0, 0.5))


def test_32_threads_lose_nothing(metrics: MetricCollector, events: Events) -> None:  # noqa: F811
    def work() -> None:
        for n in range(500):
            metrics.counter("bids_total")
            metrics.histogram("bid_seconds", n)
            if n % 100 == 0:
                metrics.flush()

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.flush()
    found = told(events)
    assert sum(each["value"] for each in found if each["type"] == "counter") == 16_000
    assert sum(each["count"] for each in found if each["type"] == "histogram") == 16_000


def test_a_forked_child_begins_at_zero(metrics: MetricCollector) -> None:
    metrics.counter("bids_total", 5)
    child = os.fork()
    if not child:
        metrics.counter("bids_total", 2)
        os._exit(int(shown(metrics)["bids_total", ()]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert shown(metrics)["bids_total", ()] == 5


def test_it_writes_by_itself(logger: logging.Logger, events: Events) -> None:  # noqa: F811
    collector = MetricCollector(logger, interval=0.02)
    collector.counter("bids_total")
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while not found and time.monotonic() < deadline:
        with suppress(FileNotFoundError):  # made with the first line
            found = told(events)
        time.sleep(0.01)
    collector.close()
    assert [each["value"] for each in found] == [1.0] and told(events) == found
