"""EVENTS → FINDINGS, as it happens: sliding windows over a live stream of ECS events, from wherever it comes.

Time is the events' own. The clock is the newest event's time (or that of :meth:`RealTimeAnalyzer.tick`, where nothing
comes). Each service has a watermark, which follows its newest event at ``lateness_seconds``: an event before it is
counted as late and left out, one after it is counted in the second it belongs to. Nothing waits for a watermark:
windows are judged each second of the clock, and what comes out of order is in the next judgement.

What is remembered is bounded: services, operations and fingerprints have limits, and what exceeds one is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from python_shipper.analyzers import SEVERITIES, Finding
from python_shipper.analyzers.real_time_burn import Budget
from python_shipper.analyzers.real_time_checks import CHECKS, HOLD_USUAL, silence
from python_shipper.analyzers.real_time_errors import Newcomers
from python_shipper.analyzers.real_time_thresholds import Thresholds, load_thresholds
from python_shipper.analyzers.real_time_windows import NS_PER_MS, Series, bucket_of

BAD_LEVELS = frozenset({"error", "critical", "fatal", "alert", "emergency"})
HOUR_MS = 3_600_000
FORGET_SERVICE_MS = 24 * HOUR_MS
MOST_HELD_MS = HOUR_MS  # what is wrong for an hour is let into the usual again
TIDY_MS = 60_000
LONGEST = 200  # characters of a name or a trace id
Key = tuple[str, str | None]


class Open:
    """A finding that is not over."""

    __slots__ = ("clear_ms", "finding", "since_ms", "told_ms")

    def __init__(self, finding: Finding, since_ms: int, told_ms: int, clear_ms: int | None = None) -> None:
        self.finding, self.since_ms, self.told_ms, self.clear_ms = finding, since_ms, told_ms, clear_ms


class RealTimeAnalyzer:
    """Analyses events one by one; not thread-safe."""

    def __init__(self, thresholds: Thresholds | None = None, now_ms: Callable[[], int] | None = None) -> None:
        """Make an analyser.

        Args:
            thresholds: what is wrong; default: the shipped ones, see `load_thresholds`.
            now_ms: the wall clock in ms since 1970 for a live stream: events far ahead of it, or old when they come,
                are left out and counted. Without it any time is taken, as a recorded stream needs.
        """
        self.thresholds = thresholds or load_thresholds()
        self.now_ms = now_ms
        events = self.thresholds["events"]
        self.lateness_ms, self.ahead_ms, self.oldest_ms = (
            round(events[name] * 1000) for name in ("lateness_seconds", "ahead_seconds", "oldest_seconds")
        )
        self.slow_from = bucket_of(self.thresholds["slow_response"]["p95_ms"] * NS_PER_MS)
        self.services: dict[Key, Series] = {}
        self.operations: dict[Key, Series] = {}
        self.budgets = [Budget(slo, self.thresholds) for slo in self.thresholds.slos]
        self.newcomers = Newcomers(self.thresholds)
        self.open: dict[str, Open] = {}
        self.held: set[Key] = set()  # series whose usual stays as it is
        self.counts: Counter[str] = Counter()
        self.places: dict[str, str] = {}  # how far each source was read, as its reader says
        self.clock_ms = self.judged_second = self.tidied_ms = 0
        self.complete = True  # whether all that was written up to the clock has come; if not, nobody is called silent

    def follow(self, events: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
        """The findings of a stream, each as soon as its event came; ``resolved`` ones are the ends of earlier ones."""
        for event in events:
            self.add(event)
            if self.due:
                yield from self.judge()
        yield from self.judge()

    def add(self, event: Mapping[str, Any]) -> None:
        """Count one event, a dict in ECS terms; never raises on what it holds."""
        self.counts["events"] += 1
        at_ms, service = at_of(event), of(event, "service", "name")
        if at_ms is None or not isinstance(service, str) or not service:
            self.counts["unreadable"] += 1
            return
        service = service[:LONGEST]
        if why := self.not_in_time(service, at_ms):
            self.counts[why] += 1
            if why != "ahead" and (own := self.services.get((service, None))):
                own.hear(at_ms)
            return
        self.clock_ms = max(self.clock_ms, at_ms)
        self.count(event, service, at_ms)

    def not_in_time(self, service: str, at_ms: int) -> str | None:
        """Why an event of that time is left out: ``ahead`` of the wall clock, ``old``, or ``late``; else None."""
        if self.now_ms is not None:
            now = self.now_ms()
            if self.clock_ms > now + self.ahead_ms:
                self.set_back(now)
            if at_ms > now + self.ahead_ms:
                return "ahead"
            if at_ms < now - self.oldest_ms:
                return "old"
        own = self.services.get((service, None))
        return "late" if own and at_ms <= own.newest_ms - self.lateness_ms else None

    def set_back(self, at_ms: int) -> None:
        """Begin anew at an earlier time, for the machine's clock was set back; what is open and known stays."""
        self.clock_ms, self.judged_second = at_ms, at_ms // 1000
        self.services.clear()
        self.operations.clear()
        self.budgets = [Budget(slo, self.thresholds) for slo in self.thresholds.slos]

    def count(self, event: Mapping[str, Any], service: str, at_ms: int) -> None:
        """Count an event that is in time: for its service, its operation, its objectives, its error."""
        trace, level = of(event, "trace", "id"), event.get("log.level") or of(event, "log", "level")
        outcome, duration = of(event, "event", "outcome"), of(event, "event", "duration")
        operation = of(event, "christmas", "operation") or of(event, "event", "action")
        trace = trace[:LONGEST] if isinstance(trace, str) else None
        operation = operation[:LONGEST] if isinstance(operation, str) else None
        failed = isinstance(level, str) and level.lower() in BAD_LEVELS
        nanoseconds = duration if isinstance(duration, int | float) and 0 <= duration < 1e18 else None
        bucket = bucket_of(nanoseconds) if nanoseconds is not None else None
        measured = bucket is not None or outcome in ("success", "failure")
        bad = failed or outcome == "failure"
        if own := self.of(service, None):
            own.add(at_ms, bad, bucket, trace, usual=(service, None) not in self.held)
        if measured and operation and (part := self.of(service, operation)):
            part.add(at_ms, bad, bucket, trace, usual=(service, operation) not in self.held)
        if measured:
            for budget in self.budgets:
                if budget.slo.service == service and budget.slo.operation in (None, operation):
                    budget.add(at_ms, bad, nanoseconds, trace)
        if failed and isinstance(error := event.get("error"), dict):
            self.newcomers.add(service, at_ms, error, trace)

    def of(self, service: str, operation: str | None) -> Series | None:
        """The series of a service or operation; None, and counted, where there is no room for another."""
        known, most = (self.operations, "most_operations") if operation else (self.services, "most_services")
        key = (service, operation)
        if key not in known:
            if len(known) >= self.thresholds["limits"][most]:
                self.counts["beyond_series"] += 1
                return None
            known[key] = Series(service, operation, self.slow_from)
        return known[key]

    def series(self) -> Iterator[Series]:
        """All services, then all operations."""
        return chain(self.services.values(), self.operations.values())

    def tick(self, at_ms: int) -> None:
        """Let the clock go on to ``at_ms`` without an event: windows run empty, and silence shows.

        Call it only where all that was written up to then has come, else what is still to come is late.
        """
        self.clock_ms = max(self.clock_ms, at_ms)

    @property
    def due(self) -> bool:
        """Whether the clock has come to another second since the last judgement."""
        return self.clock_ms // 1000 > self.judged_second

    def judge(self) -> list[Finding]:
        """The findings that are new, worse, told again, or over, at the clock's time."""
        at_ms = self.clock_ms
        self.judged_second = at_ms // 1000
        wrong = {finding.key: finding for finding in self.wrong(at_ms)}
        told = [finding for finding in wrong.values() if self.tell(finding, at_ms)]
        told += self.ends(wrong, at_ms)
        self.hold(at_ms)
        if at_ms - self.tidied_ms >= TIDY_MS:
            self.tidy(at_ms)
        return told

    def wrong(self, at_ms: int) -> Iterator[Finding]:
        """All that is wrong now."""
        for series in self.series():
            series.advance(at_ms)
            if series.slow.total:
                for check in CHECKS:
                    if finding := check(series, self.thresholds, at_ms):
                        yield finding
        for series in self.services.values() if self.complete else ():
            if finding := silence(series, self.thresholds, at_ms):
                yield finding
        for budget in self.budgets:
            budget.advance(at_ms)
            yield from budget.findings(at_ms)
        yield from self.newcomers.findings(at_ms)

    def tell(self, finding: Finding, at_ms: int) -> bool:
        """Keep a finding as open; whether it is to be told now."""
        known = self.open.get(finding.key)
        if known is None:
            self.open[finding.key] = Open(finding, at_ms, at_ms)
            self.counts["found"] += 1
            return True
        worse = SEVERITIES.index(finding.severity) > SEVERITIES.index(known.finding.severity)
        again = at_ms - known.told_ms >= self.thresholds["findings"]["again_seconds"] * 1000
        known.finding, known.clear_ms = finding, None
        if worse or again:
            known.told_ms = at_ms
        return worse or again

    def ends(self, wrong: Mapping[str, Finding], at_ms: int) -> list[Finding]:
        """The ends of findings that were not wrong any more for a while."""
        ended = []
        for key, known in list(self.open.items()):
            if key in wrong or (known.finding.kind == "silence" and not self.complete):
                continue
            if known.clear_ms is None:
                known.clear_ms = at_ms
            if at_ms - known.clear_ms >= self.thresholds["findings"]["clear_seconds"] * 1000:
                del self.open[key]
                lasted = (known.clear_ms - known.since_ms) / 1000
                what = f"over after {lasted:,.0f} s: {known.finding.message}"
                ended.append(replace(known.finding, resolved=True, at_ms=at_ms, message=what))
        return ended

    def hold(self, at_ms: int) -> None:
        """Keep what is wrong out of what is usual, for an hour at the most."""
        self.held = {
            (str(known.finding.service), known.finding.operation)
            for known in self.open.values()
            if known.finding.kind in HOLD_USUAL and at_ms - known.since_ms < MOST_HELD_MS
        }

    def tidy(self, at_ms: int) -> None:
        """Forget operations and services not heard of for long."""
        self.tidied_ms = at_ms
        idle_ms = round(self.thresholds["limits"]["idle_seconds"] * 1000)
        for known, longest_ms in ((self.operations, idle_ms), (self.services, max(idle_ms, FORGET_SERVICE_MS))):
            for key in [key for key, series in known.items() if at_ms - series.last_ms > longest_ms]:
                del known[key]

    def figures(self) -> list[dict[str, Any]]:
        """Rate, error ratio and latency of each service and operation over the last minute, the busiest first."""
        rows = [series.figures() for series in self.series()]
        return sorted(rows, key=lambda row: (-row["rate"], row["service"], row["operation"] or ""))

    def status(self) -> dict[str, int]:
        """What was counted, and how much is remembered."""
        names = ("events", "late", "old", "ahead", "unreadable", "beyond_series", "found")
        return {
            **{f"{name}_total": self.counts[name] for name in names},
            "services": len(self.services),
            "operations": len(self.operations),
            "fingerprints": len(self.newcomers.seen),
            "open": len(self.open),
        }

    def snapshot(self) -> dict[str, Any]:
        """All that it remembers, as plain data."""
        opened = [
            [known.finding.as_dict(), known.since_ms, known.told_ms, known.clear_ms] for known in self.open.values()
        ]
        return {
            "clock_ms": self.clock_ms,
            "counts": dict(self.counts),
            "places": dict(self.places),
            "series": [series.snapshot() for series in self.series()],
            "budgets": [budget.snapshot() for budget in self.budgets],
            "newcomers": self.newcomers.snapshot(),
            "open": opened,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take over what :meth:`snapshot` gave, in a new analyser.

        The time since then nobody listened, so it is no silence. After a stop longer than ``oldest_seconds`` what is
        usual is learned anew; objectives, known errors and open findings are always taken over.

        Raises:
            ValueError, KeyError, TypeError: it is not a snapshot; this analyser is to be thrown away.
        """
        self.clock_ms = int(kept["clock_ms"])
        self.judged_second = self.clock_ms // 1000
        now = self.now_ms() if self.now_ms else self.clock_ms
        self.counts.update(kept["counts"])
        self.places.update(kept.get("places", {}))
        for each in kept["series"] if now - self.clock_ms <= self.oldest_ms else ():
            series = Series.restored(each)
            series.hear(now)
            (self.operations if series.operation else self.services)[(series.service, series.operation)] = series
        budgets = {budget.slo.name: budget for budget in self.budgets}
        for each in kept["budgets"]:
            if each["slo"] in budgets:
                budgets[each["slo"]].restore(each)
        self.newcomers.restore(kept["newcomers"])
        for finding, since_ms, told_ms, clear_ms in kept["open"]:
            fields = {name: value for name, value in finding.items() if name != "key"}
            fields["evidence"] = tuple(fields["evidence"])
            restored = Finding(**fields)
            self.open[restored.key] = Open(restored, int(since_ms), int(told_ms), clear_ms)
        self.hold(self.clock_ms)


def of(event: Mapping[str, Any], group: str, name: str) -> Any:
    """The value of a field in a group, or None."""
    inner = event.get(group)
    return inner.get(name) if isinstance(inner, dict) else None


def at_of(event: Mapping[str, Any]) -> int | None:
    """An event's time in ms since 1970, or None."""
    text = event.get("@timestamp")
    if not isinstance(text, str):
        return None
    try:
        if len(text) == 24 and text[23] == "Z":
            return second_ms(text[:19]) + int(text[20:23])
        moment = datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def second_ms(text: str) -> int:
    """The milliseconds since 1970 of a UTC time to the second."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
