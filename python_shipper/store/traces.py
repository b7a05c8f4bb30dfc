"""One transaction across services: its lines in time order, and which service's part was called from which.

A part (span) is what one service logged under one ``span.id``. Its caller is the span that ``labels.parent_span_id``
names; where no such span is in the trace, the shortest other one that it lies within in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import LOGS, Store
from python_shipper.store.logs import Hit, value

MOST_LINES = 10_000
FAILURES = {"error", "critical", "fatal"}
SLACK_MS = 2  # clocks of one machine, cut to whole milliseconds


@dataclass(slots=True, eq=False)
class Span:
    """One service's part of a trace; times in ms since 1970, ``depth`` 0 for a part that nobody called."""

    id: str
    service: str
    start_ms: float
    end_ms: float
    hits: list[Hit]
    parent: Span | None = None
    depth: int = 0

    @property
    def failed(self) -> bool:
        """Whether a line of it is an error."""
        return any(is_failure(hit) for hit in self.hits)

    @property
    def duration_ms(self) -> float:
        """From the first to the last that is known of it."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Trace:
    """A transaction: ``spans`` with callers before those they called, ``lines`` as (span, hit) in time order."""

    id: str
    total: int
    spans: list[Span] = field(default_factory=list)
    lines: list[tuple[Span, Hit]] = field(default_factory=list)

    @property
    def start_ms(self) -> float:
        """When its first span began, in ms since 1970."""
        return min((span.start_ms for span in self.spans), default=0)

    @property
    def duration_ms(self) -> float:
        """From its first span's begin to its last one's end."""
        return max((span.end_ms for span in self.spans), default=0) - self.start_ms

    @property
    def services(self) -> list[str]:
        """The services that took part, callers first."""
        return list(dict.fromkeys(span.service for span in self.spans))

    @property
    def failures(self) -> list[Hit]:
        """The lines of level error or worse."""
        return [hit for _, hit in self.lines if is_failure(hit)]


def find_trace(store: Store, trace_id: str) -> Trace:
    """The trace of that id, from all services and days; without lines where nothing has it.

    Raises:
        QueryError: the id is empty.
        StoreError: the store cannot be read.
    """
    if not trace_id.strip():
        raise QueryError("trace id: empty; give the id that a line shows as trace.id")
    query = {"term": {"trace.id": trace_id.strip()}}
    body = {"query": query, "sort": [{"event.id": "asc"}], "size": MOST_LINES, "track_total_hits": True}
    found = store.search(LOGS, body)["hits"]
    return arranged(trace_id.strip(), found["hits"], found["total"]["value"])


def arranged(trace_id: str, hits: list[Hit], total: int) -> Trace:
    """The trace that ``hits``, in time order, make up."""
    parts: dict[tuple[str, str], list[Hit]] = defaultdict(list)
    for hit in hits:
        parts[key(hit)].append(hit)
    spans = [Span(span_id, service, *extent(lines), lines) for (service, span_id), lines in parts.items()]
    set_parents(spans)
    of = {hit["_id"]: span for span in spans for hit in span.hits}
    return Trace(trace_id, total, list(nested(spans)), [(of[hit["_id"]], hit) for hit in hits])


def key(hit: Hit) -> tuple[str, str]:
    """The service and span id of a line."""
    event = hit["_source"]
    return str(value(event, "service.name") or "unknown"), str(value(event, "span.id") or "")


def extent(hits: Iterable[Hit]) -> tuple[float, float]:
    """First and last ms of the lines; a line that tells a duration ends then, and began that much earlier."""
    ends = [(time_ms(hit), duration_ms(hit) or 0.0) for hit in hits]
    return min(end - duration for end, duration in ends), max(end for end, _ in ends)


def set_parents(spans: list[Span]) -> None:
    """Find each span's caller."""
    by_id = {span.id: span for span in spans if span.id}
    for span in spans:
        named = {value(hit["_source"], "labels.parent_span_id") for hit in span.hits} - {None}
        callers = [by_id[name] for name in map(str, named) if name in by_id and by_id[name] is not span]
        span.parent = callers[0] if callers else around(span, spans)


def around(span: Span, spans: list[Span]) -> Span | None:
    """The shortest span of another service that ``span`` lies within."""
    outer = [
        other
        for other in spans
        if other.service != span.service
        and (other.duration_ms, other.id) > (span.duration_ms, span.id)
        and other.start_ms - SLACK_MS <= span.start_ms
        and span.end_ms <= other.end_ms + SLACK_MS
    ]
    return min(outer, key=lambda other: other.duration_ms, default=None)


def nested(spans: list[Span]) -> Iterator[Span]:
    """The spans with callers first, depth set; spans that only call each other in a circle count as uncalled."""
    children: dict[int, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_ms):
        children[id(span.parent) if span.parent else 0].append(span)
    done: set[int] = set()
    pending = [(span, 0) for span in reversed(children[0] + [span for span in spans if span.parent])]
    while pending:
        span, depth = pending.pop()
        if id(span) in done:
            continue
        done.add(id(span))
        span.depth = depth
        yield span
        pending += [(child, depth + 1) for child in reversed(children[id(span)])]


def is_failure(hit: Hit) -> bool:
    """Whether the line's level is error or worse."""
    return value(hit["_source"], "log.level") in FAILURES


def time_ms(hit: Hit) -> float:
    """A line's ``@timestamp`` in ms since 1970."""
    return datetime.fromisoformat(hit["_source"]["@timestamp"]).timestamp() * 1000


def duration_ms(hit: Hit) -> float | None:
    """A line's ``event.duration`` in ms, where it has one."""
    nanoseconds = value(hit["_source"], "event.duration")
    return nanoseconds / 1e6 if isinstance(nanoseconds, int) else None


def as_json(trace: Trace) -> dict[str, Any]:
    """The trace as plain data, for ``--json`` and the JSON API; times in ms."""
    return {
        "trace_id": trace.id,
        "lines": trace.total,
        "start_ms": trace.start_ms,
        "duration_ms": trace.duration_ms,
        "services": trace.services,
        "errors": len(trace.failures),
        "spans": [span_json(span) for span in trace.spans],
        "events": [{"_index": hit["_index"], "_id": hit["_id"], "_source": hit["_source"]} for _, hit in trace.lines],
    }


def span_json(span: Span) -> dict[str, Any]:
    """One span as plain data."""
    return {
        "span_id": span.id or None,
        "parent_span_id": (span.parent.id or None) if span.parent else None,
        "service": span.service,
        "depth": span.depth,
        "start_ms": span.start_ms,
        "duration_ms": span.duration_ms,
        "lines": len(span.hits),
        "failed": span.failed,
    }
