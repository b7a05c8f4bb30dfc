"""LOGS → PROMETHEUS: counters, latency histograms and an error ratio from what the embedded store has just committed.

settings → ``encode`` (a stored document → what it counts for) → ``export`` (added and saved) → ``collect`` (a scrape).
Prometheus' far side has no ids to recognise a repetition by; how each log still counts once, and why no counter steps
back, is :mod:`~python_shipper.exporters.prometheus_counts`' promise.

Labels hold what log lines say, so they are bounded and masked: at most :data:`MOST` values a label, the first ones that
came; any further one is counted under ``other``, and how often is ``shipper_log_label_overflow_total``.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

from python_shipper.core.masking import default_masker
from python_shipper.errors import StoreError
from python_shipper.exporters import Answer
from python_shipper.exporters.prometheus_counts import HOUR, Counts, Delta, Logs, Numbers, Series, merge, plus
from python_shipper.settings import Settings

OTHER = "other"
MOST = {"service": 200, "level": 12, "operation": 100, "action": 100, "service and operation": 1_000}
LONGEST_VALUE = 120  # characters of a label's value
LONGEST_TRACE = 110  # an exemplar's labels may hold 128 characters
ERRORS = {"error", "critical", "fatal", "alert", "emergency"}
BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
BOUNDS_NS = [bound * 1_000_000 for bound in BOUNDS_MS]
BOUNDS = [*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf"]
WINDOW_SECONDS = 300
STEP_SECONDS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """What one log counts for; ``duration_ns`` is None where it has no duration."""

    id: str
    size: int
    hour: str
    service: str
    level: str
    action: str | None
    operation: str
    duration_ns: int | None
    trace_id: str | None
    timestamp: str


class PrometheusExporter:
    """Counts stored logs and answers scrapes; safe to share between threads.

    Raises:
        StoreError: the file of counters cannot be opened.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = Counts(settings.data_dir)
        self.lock = threading.Lock()
        self.waiting: dict[str, Delta] = {}
        self.documents: Counter[str] = Counter()
        self.exemplars: dict[Series, list[Observed | None]] = {}
        self.window = Window(clock)
        self.fault: str | None = None
        self.faults = 0

    def catch_up(self, logs: Logs) -> int:
        """Count what was stored and not counted when the process was killed; before the agent starts.

        A store that cannot be read is the agent's to mend: counting goes on, and the next start tries again.
        """
        try:
            return self.counts.catch_up(logs, lambda sources: self.counted(map(self.encode, sources)))
        except (StoreError, sqlite3.Error) as error:
            log.error("%s; logs that a crash kept from the counters of /metrics are counted at the next start", error)
            return 0

    def committed(self, sources: Sequence[bytes]) -> None:
        """Count what the store has just committed: a listener of :class:`~python_shipper.agent.Agent`."""
        self.export([self.encode(source) for source in sources])

    def encode(self, given: bytes) -> Observed:
        """What a stored document (JSON) counts for; the same whenever it is called."""
        document = orjson.loads(given)
        event, service = document.get("event", {}), document.get("service", {})
        action, duration = event.get("action"), event.get("duration")
        operation = document.get("christmas", {}).get("operation") or action or "none"
        return Observed(
            id=event.get("id", ""),
            size=len(given),
            hour=document["@timestamp"][:HOUR],
            service=value(service.get("name") or "unknown"),
            level=value(document.get("log.level") or "none"),
            action=None if action is None else value(action),
            operation=value(operation),
            duration_ns=duration if isinstance(duration, int) and duration >= 0 else None,
            trace_id=document.get("trace", {}).get("id"),
            timestamp=document["@timestamp"],
        )

    def export(self, items: Sequence[Observed]) -> Answer[Observed]:
        """Count the items, once and for all; they are shown when they are on disk.

        Where the disk refuses, the numbers (by series, so they are bounded) wait in memory and go with the next batch;
        what a crash takes of them the next start counts from the store.
        """
        by_hour: dict[str, list[Observed]] = {}
        for item in items:
            by_hour.setdefault(item.hour, []).append(item)
        with self.lock:
            for hour, group in by_hour.items():
                merge(self.waiting.setdefault(hour, {}), self.counted(group))
                self.documents[hour] += len(group)
            for item in items:
                self.window.add(self.admitted("service", item.service), item.level in ERRORS)
                self.remember(item)
            self.save()
        return Answer(stored=items)

    def save(self) -> None:
        """Save what waits; say once for each fault if that cannot be."""
        try:
            self.counts.add(self.waiting, self.documents)
        except sqlite3.Error as error:
            self.faults += 1
            if str(error) != self.fault:
                log.error("the counters of /metrics cannot be saved (%s); they stand still, and catch up later", error)
            self.fault = str(error)
            return
        self.waiting, self.documents, self.fault = {}, Counter(), None

    def refused(self, refusals: Sequence[tuple[Observed, str]]) -> Sequence[Observed]:
        """Nothing is ever refused here."""
        return ()

    def counted(self, items: Iterable[Observed]) -> Delta:
        """What items add to each series."""
        delta: Delta = {}
        for item in items:
            for series, numbers in self.series_of(item):
                delta[series] = plus(delta.get(series, []), numbers)
        return delta

    def series_of(self, item: Observed) -> Iterator[tuple[Series, Numbers]]:
        """The series that one item counts in, with what it adds."""
        service, level = self.admitted("service", item.service), self.admitted("level", item.level)
        over = [name for name, given, taken in (("service", item.service, service), ("level", item.level, level))
                if given != taken]  # fmt: skip
        yield ("lines", service, level), [1]
        if item.action is not None:
            action = self.admitted("action", item.action)
            over += ["action"] if action != item.action else []
            yield ("events", service, action), [1]
        if item.duration_ns is not None:
            operation = self.operation(service, item)
            over += ["operation"] if operation != item.operation else []
            buckets = [0] * len(BOUNDS)
            buckets[bisect_left(BOUNDS_NS, item.duration_ns)] = 1
            yield ("durations", service, operation), [item.duration_ns, *buckets]
        for label in over:
            yield ("overflow", label), [1]

    def operation(self, service: str, item: Observed) -> str:
        """The operation's label value; a histogram is fifteen series, so pairs of service and operation are bounded."""
        operation = self.admitted("operation", item.operation)
        pair = f"{service} {operation}"
        return operation if operation == OTHER or self.admitted("service and operation", pair) == pair else OTHER

    def admitted(self, label: str, given: str) -> str:
        """``given`` if it is among the first values of its label, else ``other``."""
        known = self.counts.values[label]
        if given in known:
            return given
        if len(known) >= MOST[label]:
            return OTHER
        known.add(given)
        return given

    def remember(self, item: Observed) -> None:
        """Keep an item as its bucket's exemplar, if it has a trace to show."""
        if item.duration_ns is None or not item.trace_id or len(item.trace_id) > LONGEST_TRACE:
            return
        service = self.admitted("service", item.service)
        found = self.exemplars.setdefault(("durations", service, self.operation(service, item)), [None] * len(BOUNDS))
        found[bisect_left(BOUNDS_NS, item.duration_ns)] = item

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        with self.lock:
            totals, exemplars = dict(self.counts.totals), {series: list(of) for series, of in self.exemplars.items()}
            ratios = self.window.ratios()
        for kind, name, text, labels in COUNTERS:
            counter = CounterMetricFamily(name, text, labels=labels)
            for series, numbers in sorted(totals.items()):
                if series[0] == kind:
                    counter.add_metric(series[1:], numbers[0])
            yield counter
        yield histogram(totals, exemplars)
        gauge = GaugeMetricFamily(
            "shipper_log_error_ratio",
            f"Share of logs at error or above among those stored in the last {WINDOW_SECONDS // 60} minutes.",
            labels=("service",),
        )
        for service, ratio in sorted(ratios.items()):
            gauge.add_metric((service,), ratio)
        yield gauge
        faults = CounterMetricFamily("shipper_log_count_faults", "Commits whose counts could not be saved at once.")
        faults.add_metric((), self.faults)
        yield faults

    def close(self) -> None:
        """Close the file of counters."""
        self.counts.close()


# kind of series, metric, what it says, labels
COUNTERS = (
    ("lines", "shipper_log_lines", "Stored logs.", ("service", "level")),
    ("events", "shipper_log_events", "Stored logs with an event.action.", ("service", "action")),
    ("overflow", "shipper_log_label_overflow", "Times that a label's value was counted as other.", ("label",)),
)


def histogram(totals: Delta, exemplars: dict[Series, list[Observed | None]]) -> Metric:
    """The durations, each bucket with the last trace that fell into it since the start."""
    text = "event.duration of stored logs in seconds, by christmas.operation or else event.action."
    family = HistogramMetricFamily("shipper_log_duration_seconds", text, labels=("service", "operation"))
    for series, (nanoseconds, *buckets) in sorted(totals.items()):
        if series[0] != "durations":
            continue
        shown: list[Any] = []
        below = 0
        for bound, number, seen in zip(BOUNDS, buckets, exemplars.get(series) or [None] * len(BOUNDS), strict=True):
            below += number
            shown.append((bound, below, exemplar(seen)))
        family.add_metric(series[1:], shown, nanoseconds / 1_000_000_000)
    return family


def exemplar(seen: Observed | None) -> Exemplar | None:
    """The trace that an item belongs to, as OpenMetrics shows it."""
    if seen is None or seen.duration_ns is None or seen.trace_id is None:
        return None
    moment = datetime.fromisoformat(seen.timestamp).timestamp()
    return Exemplar({"trace_id": seen.trace_id}, seen.duration_ns / 1_000_000_000, moment)


def value(given: object) -> str:
    """A label's value of what a document says: a text, masked, of bounded length."""
    return default_masker().text(str(given))[:LONGEST_VALUE]


class Window:
    """Logs and errors by service over the last minutes, in steps; in memory only."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.steps: deque[tuple[int, Counter[tuple[str, bool]]]] = deque()

    def add(self, service: str, is_error: bool) -> None:
        """Count one log now."""
        step = int(self.clock() // STEP_SECONDS)
        if not self.steps or self.steps[-1][0] != step:
            self.steps.append((step, Counter()))
            self.expire(step)
        self.steps[-1][1][service, is_error] += 1

    def expire(self, step: int) -> None:
        """Let go of steps that are out of the window."""
        while self.steps and self.steps[0][0] <= step - WINDOW_SECONDS // STEP_SECONDS:
            self.steps.popleft()

    def ratios(self) -> dict[str, float]:
        """Service → share of errors, for services with logs in the window."""
        self.expire(int(self.clock() // STEP_SECONDS))
        sums: Counter[tuple[str, bool]] = Counter()
        for _, counter in self.steps:
            sums.update(counter)
        services = {service for service, _ in sums}
        return {each: sums[each, True] / (sums[each, True] + sums[each, False]) for each in services}
