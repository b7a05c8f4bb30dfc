"""The geometry of the pages' pictures: lines over time by level, and a trace's spans on one time axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from python_shipper.store.traces import Span, Trace, is_failure, time_ms

BARS = 90
WIDTH, HEIGHT = 900.0, 84.0
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
# From the axis upwards, worst first, so that errors share one baseline and can be compared.
CLASSES = ("error", "warning", "info", "debug")
CLASS_OF = {"critical": "error", "fatal": "error", "warn": "warning", "notice": "info", "trace": "debug"}


@dataclass(frozen=True, slots=True)
class Part:
    """One level's part of a bar: its colour class and its rectangle."""

    css: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """The lines of one interval, which begins at ``start_ms``; x and width in the picture's units."""

    start_ms: int
    end_ms: int
    x: float
    width: float
    total: int
    errors: int
    parts: list[Part]

    @property
    def label(self) -> str:
        """When it begins, for people: UTC, to the second."""
        return datetime.fromtimestamp(self.start_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Lines over time: the bars and the tallest bar's count."""

    bars: list[Bar]
    most: int
    step_s: int

    @property
    def step_label(self) -> str:
        """The interval of one bar, for people."""
        unit, name = next(
            each for each in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")) if self.step_s % each[0] == 0
        )
        return f"{self.step_s // unit} {name}"


@dataclass(frozen=True, slots=True)
class SpanBar:
    """A span on the trace's time axis, in percent of its length, and its errors' places."""

    span: Span
    x: float
    width: float
    errors: list[float]


def step_s(since_ms: int, until_ms: int) -> int:
    """The shortest interval of the table that gives at most 90 bars, in seconds."""
    wanted = (until_ms - since_ms) / 1000 / BARS
    return next((step for step in STEPS_S if step >= wanted), STEPS_S[-1] * max(1, round(wanted / STEPS_S[-1])))


def aggregation(step: int) -> dict[str, Any]:
    """The Elasticsearch aggregation that the histogram is drawn from."""
    by_level = {"terms": {"field": "log.level", "size": 10}}
    over_time = {"field": "@timestamp", "fixed_interval": f"{step}s", "min_doc_count": 1}
    return {"over_time": {"date_histogram": over_time, "aggs": {"by_level": by_level}}}


def histogram(buckets: Iterable[dict[str, Any]], since_ms: int, until_ms: int, step: int) -> Histogram:
    """The histogram of the aggregation's buckets between two times."""
    filled = [bucket for bucket in buckets if bucket["doc_count"]]
    most = max((bucket["doc_count"] for bucket in filled), default=0)
    first = since_ms // (step * 1000) * step * 1000
    scale = WIDTH / max(1, until_ms - first)
    return Histogram([bar(bucket, first, scale, step * 1000, most) for bucket in filled], most, step)


def bar(bucket: dict[str, Any], first_ms: int, scale: float, step_ms: int, most: int) -> Bar:
    """One bucket's bar; a level that is present is never thinner than a pixel."""
    counts = dict.fromkeys(CLASSES, 0)
    for level in bucket["by_level"]["buckets"]:
        counts[level_class(level["key"])] += level["doc_count"]
    counts["info"] += bucket["doc_count"] - sum(counts.values())
    parts, top = [], HEIGHT
    for css in CLASSES:
        height = max(1.5, counts[css] / most * (HEIGHT - 4)) if counts[css] else 0.0
        top -= height
        parts += [Part(css, round(top, 2), round(height, 2))] if height else []
    start = int(bucket["key"])
    x, width = round((start - first_ms) * scale, 2), round(max(1.0, step_ms * scale - 1), 2)
    return Bar(start, start + step_ms, x, width, bucket["doc_count"], counts["error"], parts)


def level_class(level: str | None) -> str:
    """The colour class of a level; an unknown or missing one looks like info."""
    name = CLASS_OF.get(level or "", level)
    return name if name in CLASSES else "info"


def timeline(trace: Trace) -> list[SpanBar]:
    """The spans of a trace on its time axis."""
    length = trace.duration_ms or 1.0

    def percent(ms: float) -> float:
        return round((ms - trace.start_ms) / length * 100, 3)

    return [
        SpanBar(
            span,
            percent(span.start_ms),
            max(0.4, round(span.duration_ms / length * 100, 3)),
            [percent(time_ms(hit)) for hit in span.hits if is_failure(hit)],
        )
        for span in trace.spans
    ]
