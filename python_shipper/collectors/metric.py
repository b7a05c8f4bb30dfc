"""Measurements by name and labels: counters, gauges and histograms, as ECS metric events and for Prometheus."""

from __future__ import annotations

import atexit
import bisect
import logging
import math
import os
import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from python_shipper.core.logger import LoggerLike, as_logger
from python_shipper.core.masking import default_masker
from python_shipper.core.plain import safe_text
from python_shipper.errors import ConfigurationError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")  # what Prometheus takes, without the colon that it keeps for rules
LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,99}")
# Prometheus' own defaults for seconds: https://prometheus.github.io/client_python/instrumenting/histogram/
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
MOST_SERIES = 1_000  # of a name; further label values share one series
OVERFLOW = (("overflow", "true"),)
LABEL_CHARACTERS = 200
INTERVAL_SECONDS = 60.0
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Series:
    """One metric with one set of labels: all since the start, and what is new since its last event."""

    value: float = 0.0  # a counter's total, a gauge's value, a histogram's sum
    count: int = 0
    buckets: list[int] = field(default_factory=list)  # by upper bound, the last without one
    new_value: float = 0.0
    new_count: int = 0
    least: float = math.inf
    most: float = -math.inf


@dataclass(slots=True)
class Named:
    """One name: its kind, its unit, and its series by labels."""

    kind: str
    unit: str | None
    series: dict[Labels, Series] = field(default_factory=dict)


class MetricCollector:
    """Counts and measures; safe to share between threads, and in a forked child from zero on.

    An event for each series with news is written every ``interval`` seconds and at the end of the process. As a
    collector of ``prometheus_client`` it shows all series: ``REGISTRY.register(metrics)``.
    """

    def __init__(
        self,
        logger: LoggerLike = "python_shipper.metrics",
        *,
        interval: float = INTERVAL_SECONDS,
        buckets: Sequence[float] = BUCKETS,
    ) -> None:
        """Prepare.

        Args:
            logger: what the events are written to, at INFO.
            interval: seconds between events; 0: only by :meth:`flush`.
            buckets: rising upper bounds of histograms, in the unit of what they observe.

        Raises:
            ConfigurationError: the bounds do not rise.
        """
        if list(buckets) != sorted(set(buckets)):
            raise ConfigurationError("metrics: buckets: expected rising upper bounds")
        self._log, self._interval, self._bounds = as_logger(logger), interval, tuple(buckets)
        self._lock, self._writing = threading.RLock(), threading.RLock()  # over what is counted; over a flush
        self._named: dict[str, Named] = {}
        self._timer: threading.Thread | None = None
        self._stop = threading.Event()
        _collectors.add(self)

    def counter(self, name: str, value: float = 1, **labels: object) -> None:
        """Add ``value`` (not negative) to a counter.

        Raises:
            ConfigurationError: a name or value that cannot be, or the name is of another kind.
        """
        value = number(name, value)
        if not value >= 0 or math.isinf(value):
            raise ConfigurationError(f"metric {name}: a counter only rises; got {value!r}")
        with self._lock:
            series = self._series(name, COUNTER, labels)
            series.value += value
            series.new_value += value
            series.new_count += 1

    def gauge(self, name: str, value: float, **labels: object) -> None:
        """Set a gauge to ``value``.

        Raises:
            ConfigurationError: a name or value that cannot be, or the name is of another kind.
        """
        value = number(name, value)
        if not math.isfinite(value):
            raise ConfigurationError(f"metric {name}: expected a finite number, got {value!r}")
        with self._lock:
            series = self._series(name, GAUGE, labels)
            series.value, series.new_count = value, series.new_count + 1

    def histogram(self, name: str, value: float, unit: str | None = "s", **labels: object) -> None:
        """Observe ``value``, in ``unit`` (seconds).

        Raises:
            ConfigurationError: a name or value that cannot be, or the name is of another kind.
        """
        value = number(name, value)
        if not math.isfinite(value):
            raise ConfigurationError(f"metric {name}: expected a finite number, got {value!r}")
        with self._lock:
            series = self._series(name, HISTOGRAM, labels, unit)
            series.buckets = series.buckets or [0] * (len(self._bounds) + 1)
            series.buckets[bisect.bisect_left(self._bounds, value)] += 1
            series.value, series.count = series.value + value, series.count + 1
            series.new_value, series.new_count = series.new_value + value, series.new_count + 1
            series.least, series.most = min(series.least, value), max(series.most, value)

    def flush(self) -> int:
        """Write an event for each series with news, after what another thread is writing; how many there were."""
        with self._writing:
            with self._lock:
                events = [
                    taken(name, named, labels, series)
                    for name, named in self._named.items()
                    for labels, series in named.series.items()
                    if series.new_count
                ]
            for words, fields in events:
                self._log.log(logging.INFO, words, **fields)
        return len(events)

    def collect(self) -> Iterator[Metric]:
        """All series, as ``prometheus_client`` asks its collectors for them."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        families: dict[str, type[Any]] = {
            COUNTER: CounterMetricFamily,
            GAUGE: GaugeMetricFamily,
            HISTOGRAM: HistogramMetricFamily,
        }
        with self._lock:
            for name, named in self._named.items():
                keys = sorted({key for labels in named.series for key, _ in labels})
                family = families[named.kind](name, name.replace("_", " "), labels=keys)
                for labels, series in named.series.items():
                    found = dict(labels)
                    values = [found.get(key, "") for key in keys]
                    if named.kind == HISTOGRAM:
                        family.add_metric(values, self._cumulated(series), series.value)
                    else:
                        family.add_metric(values, series.value)
                yield family

    def describe(self) -> list[Metric]:
        """Nothing beforehand: names come with their first measurement."""
        return []

    def close(self) -> None:
        """Write what is new, and no longer by itself."""
        self._stop.set()
        self.flush()
        _collectors.discard(self)

    def _cumulated(self, series: Series) -> list[tuple[str, int]]:
        total, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), series.buckets, strict=True):
            total += count
            found.append((bound, total))
        return found

    def _series(self, name: str, kind: str, labels: dict[str, object], unit: str | None = None) -> Series:
        named = self._named.get(name) if isinstance(name, str) else None
        if named is None:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ConfigurationError(f"metric {name!r:.80}: expected letters, digits and _, not a digit first")
            named = self._named[name] = Named(kind, unit)
            self._start()
        elif named.kind != kind:
            raise ConfigurationError(f"metric {name}: is a {named.kind}, not a {kind}; give the {kind} another name")
        key = tuple(sorted((label, shown(label, value)) for label, value in labels.items()))
        if key not in named.series:
            if bad := [label for label in labels if not LABEL.fullmatch(label) or label == "le"]:
                raise ConfigurationError(f"metric {name}: label {bad[0]!r:.80}: expected letters, digits and _")
            key = key if len(named.series) < MOST_SERIES else OVERFLOW
        return named.series.setdefault(key, Series())

    def _start(self) -> None:
        """Begin to write by itself, with the first measurement of this process."""
        if self._timer is None and self._interval > 0 and not self._stop.is_set():
            self._timer = threading.Thread(target=self._run, name="python-shipper-metrics", daemon=True)
            self._timer.start()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self.flush()

    def _reset(self) -> None:
        """In a forked child: what was measured before the fork is the parent's to tell."""
        self._lock, self._writing, self._named, self._timer = threading.RLock(), threading.RLock(), {}, None


def number(name: object, value: Any) -> float:
    """A measured value, which may be of any type of number.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f"metric {name!s:.80}: expected a finite number, got {value!r:.80}") from None


def shown(label: str, value: object) -> str:
    """A label's value: text, masked by its name and content, cut."""
    return safe_text(default_masker().value(label, safe_text(value)))[:LABEL_CHARACTERS]


def taken(name: str, named: Named, labels: Labels, series: Series) -> tuple[str, dict[str, Any]]:
    """The words and fields of a series' event; what was new is new no longer."""
    figures: dict[str, Any] = {"name": name, "type": named.kind, "unit": named.unit, "value": series.new_value}
    if named.kind == COUNTER:
        figures["total"] = series.value
    elif named.kind == GAUGE:
        figures["value"] = series.value
    else:
        figures |= {"value": series.new_value / series.new_count, "sum": series.new_value, "count": series.new_count}
        figures |= {"min": series.least, "max": series.most}
    series.new_value, series.new_count = 0.0, 0
    series.least, series.most = math.inf, -math.inf
    fields = {f"christmas.metric.{key}": value for key, value in figures.items() if value is not None}
    told = {"labels": dict(labels)} if labels else {}
    return f"{name} {figures['value']:g}", {"event.kind": "metric", "event.action": "metric", **fields, **told}


_collectors: weakref.WeakSet[MetricCollector] = weakref.WeakSet()


def _after_fork() -> None:
    for collector in list(_collectors):
        collector._reset()


def _at_exit() -> None:
    for collector in list(_collectors):
        collector.flush()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
