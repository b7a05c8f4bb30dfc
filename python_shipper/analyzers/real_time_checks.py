"""What can be wrong with a series, one function a kind: the series and thresholds in, a finding or None out.

A share counts as above a limit only where chance is not enough to explain it: the lower end of its Wilson score
interval (E. B. Wilson, 1927) at four standard deviations lies above the limit. So five requests say little, and five
hundred much, without a setting for either.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from python_shipper.analyzers import Finding
from python_shipper.analyzers.real_time_thresholds import Thresholds
from python_shipper.analyzers.real_time_windows import NS_PER_MS, Series, Window, above, bucket_of, quantile

Z = 4.0  # a series is looked at 3,600 times an hour
LINES_TOGETHER = 2  # what fails is logged by more than one line: a service's lines prove half of their number
LEAST_USUAL, LEAST_SLICES = 100, 5  # events, and spans of thirty seconds, from which the usual is known
Check = Callable[[Series, Thresholds, int], Finding | None]


def at_least(bad: float, total: float) -> float:
    """The share that ``bad`` of ``total`` stand for at the least."""
    share, z2 = bad / total, Z * Z
    spread = Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return (share + z2 / (2 * total) - spread) / (1 + z2 / total)


def high_error_rate(series: Series, thresholds: Thresholds, at_ms: int) -> Finding | None:
    """Errors over events, against a limit that knows what is usual here."""
    own, usual = thresholds["high_error_rate"], series.usual
    limit = own["unknown_ratio"]
    if usual.total >= LEAST_USUAL and len(usual.slices) >= LEAST_SLICES:
        limit = min(max(own["ratio"], own["times_usual"] * usual.errors / usual.total), own["always_ratio"])
    together = 1 if series.operation else LINES_TOGETHER
    for window in (series.fast, series.slow):
        if window.errors >= own["least_errors"] and at_least(window.errors / together, window.total / together) > limit:
            ratio = window.errors / window.total
            what = f"{ratio:.0%} of {window.total:,} events in {window.seconds:g} s are errors, above {limit:.0%}"
            severity = "critical" if ratio >= own["critical_ratio"] else "error"
            traces = tuple(series.error_traces)
            return found("high_error_rate", severity, series, at_ms, what, ratio, limit, traces)
    return None


def slow_response(series: Series, thresholds: Thresholds, at_ms: int) -> Finding | None:
    """p95 above a limit: more than one in twenty is slower."""
    if not series.may_be_slow(at_ms):
        return None
    own = thresholds["slow_response"]
    for window in (series.fast, series.slow):
        slow, total = slower(window, own["p95_ms"])
        if slow >= own["least_slow"] and at_least(slow, total) > 0.05:
            p95 = quantile(window.buckets, 0.95) / NS_PER_MS
            what = f"p95 of {window.total:,} in {window.seconds:g} s is {p95:,.0f} ms, above {own['p95_ms']:,.0f} ms"
            severity = "critical" if p95 >= own["critical_ms"] else "error"
            return found("slow_response", severity, series, at_ms, what, p95, own["p95_ms"], tuple(series.slow_traces))
    return None


def latency_step(series: Series, thresholds: Thresholds, at_ms: int) -> Finding | None:
    """Half take much longer than nearly all did before."""
    own, usual = thresholds["latency_step"], series.usual
    if usual.newest != series.usual_slice:
        series.usual_slice = usual.newest
        know_usual(series, thresholds)
    if not series.may_be_slow(at_ms) or series.usual_limit_ms == math.inf:
        return None
    limit = series.usual_limit_ms
    for window in (series.fast, series.slow):
        slow, total = slower(window, limit)
        # A quarter for sure is enough: of what is usual a tenth is slower than a third of the limit.
        if slow >= own["least_slow"] and slow > total / 2 and at_least(slow, total) > 1 / 4:
            median = quantile(window.buckets, 0.5) / NS_PER_MS
            what = (
                f"median of {window.total:,} in {window.seconds:g} s is {median:,.0f} ms; usual is {limit:,.0f} at most"
            )
            return found("latency_step", "warning", series, at_ms, what, median, limit, tuple(series.slow_traces))
    return None


def know_usual(series: Series, thresholds: Thresholds) -> None:
    """Learn from the usual what is too slow for half of the events."""
    own, slow_ms = thresholds["latency_step"], thresholds["slow_response"]["p95_ms"]
    if sum(series.usual.buckets.values()) >= LEAST_USUAL and len(series.usual.slices) >= LEAST_SLICES:
        times_usual = own["times_usual"] * quantile(series.usual.buckets, 0.9) / NS_PER_MS
        series.usual_limit_ms = max(times_usual, own["least_ms"])
    series.slow_from = bucket_of(min(series.usual_limit_ms, slow_ms) * NS_PER_MS)


def slower(window: Window, limit_ms: float) -> tuple[int, int]:
    """How many durations are above a limit, and how many there are."""
    return above(window.buckets, bucket_of(limit_ms * NS_PER_MS)), sum(window.buckets.values())


def silence(series: Series, thresholds: Thresholds, at_ms: int) -> Finding | None:
    """Nothing comes any more from a service that was steady; not for operations, which may rest."""
    own, usual = thresholds["silence"], series.usual
    silent_ms = at_ms - series.last_ms
    if silent_ms < own["after_seconds"] * 1000 or len(usual.slices) < own["steady_slices"]:
        return None
    limit_ms = max(own["after_seconds"] * 1000, own["times_usual"] * usual.longest_pause_ms())
    if silent_ms < limit_ms:
        return None
    what = f"nothing logged for {silent_ms / 1000:,.0f} s, after {usual.total:,} events in the ten minutes before"
    return found("silence", "error", series, at_ms, what, silent_ms / 1000, limit_ms / 1000, ())


def found(
    kind: str, severity: str, series: Series, at_ms: int, what: str, value: float, limit: float, traces: tuple[str, ...]
) -> Finding:
    """A finding about a series."""
    where = f"{series.service}, {series.operation}" if series.operation else series.service
    return Finding(
        kind=kind,
        severity=severity,
        message=f"{where}: {what}",
        at_ms=at_ms,
        service=series.service,
        operation=series.operation,
        value=round(value, 4),
        threshold=round(limit, 4),
        evidence=tuple(dict.fromkeys(traces)),
    )


CHECKS: tuple[Check, ...] = (high_error_rate, slow_response, latency_step)
HOLD_USUAL = ("high_error_rate", "slow_response", "latency_step")  # while one is open, the series' usual stays
