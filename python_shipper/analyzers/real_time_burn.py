"""Whether a service level objective's error budget burns too fast, in a long and a short window at once.

The method and the shipped numbers are the Google SRE workbook's: chapter 5, "Alerting on SLOs", 6: multiwindow,
multi-burn-rate alerts. The short window makes an alert end soon after the cause has.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from python_shipper.analyzers import Finding
from python_shipper.analyzers.real_time_thresholds import BurnRate, Slo, Thresholds
from python_shipper.analyzers.real_time_windows import TRACES, Window


class Budget:
    """The measured events of an objective, good and bad, in every window that a burn rate looks at."""

    def __init__(self, slo: Slo, thresholds: Thresholds) -> None:
        self.slo, self.rates = slo, thresholds.burn_rates
        self.least_bad = thresholds["burn"]["least_bad"]
        self.limit_ns = slo.latency_ms * 1_000_000 if slo.latency_ms is not None else float("inf")
        lengths = {length for rate in self.rates for length in (rate.long_seconds, rate.short_seconds)}
        self.windows = {length: Window(length) for length in sorted(lengths)}
        self.traces: deque[str] = deque(maxlen=TRACES)
        self.since_ms: int | None = None  # the first event: the time before it counts as good

    def add(self, at_ms: int, error: bool, nanoseconds: float | None, trace: str | None) -> None:
        """Count an event; too slow is as bad as failed."""
        bad = error or (nanoseconds is not None and nanoseconds > self.limit_ns)
        self.since_ms = at_ms if self.since_ms is None else self.since_ms
        for window in self.windows.values():
            window.add(at_ms, bad, None)
        if bad and trace:
            self.traces.append(trace)

    def advance(self, at_ms: int) -> None:
        """Let time pass."""
        for window in self.windows.values():
            window.advance(at_ms)

    def burn(self, seconds: float, at_ms: int) -> float:
        """How many times too fast the budget was used up in a window; 1 uses it up exactly by the end of its period."""
        window = self.windows[seconds]
        if self.since_ms is None or not window.total:
            return 0.0
        known = min(1.0, (at_ms - self.since_ms) / (seconds * 1000))
        return known * window.errors / window.total / (1 - self.slo.objective)

    def findings(self, at_ms: int) -> list[Finding]:
        """One for each pair of windows that both burn too fast; the pairs are told apart by the label `window`."""
        return [
            self.finding(rate, at_ms)
            for rate in self.rates
            if self.windows[rate.short_seconds].errors >= self.least_bad
            and min(self.burn(seconds, at_ms) for seconds in (rate.long_seconds, rate.short_seconds)) > rate.times
        ]

    def finding(self, rate: BurnRate, at_ms: int) -> Finding:
        """A budget that burns too fast."""
        burn, hours, times = self.burn(rate.long_seconds, at_ms), f"{rate.long_seconds / 3600:g}h", rate.times
        what = f"{self.slo.objective:.4%} burns {burn:.1f} times too fast over {hours}, above {times:g}"
        return Finding(
            kind="burn_rate",
            severity=rate.severity,
            message=f"{self.slo.service}: objective {self.slo.name} of {what}",
            at_ms=at_ms,
            service=self.slo.service,
            operation=self.slo.operation,
            value=round(burn, 2),
            threshold=times,
            evidence=tuple(dict.fromkeys(self.traces)),
            labels={"slo": self.slo.name, "window": hours},
        )

    def snapshot(self) -> dict[str, Any]:
        """Its content as plain data."""
        windows = [[seconds, window.snapshot()] for seconds, window in self.windows.items()]
        return {"slo": self.slo.name, "since_ms": self.since_ms, "windows": windows}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take over what :meth:`snapshot` gave; a window that is new in the thresholds starts empty."""
        self.since_ms = kept["since_ms"]
        for seconds, content in kept["windows"]:
            if seconds in self.windows:
                self.windows[seconds].restore(content)
