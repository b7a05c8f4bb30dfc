"""How measured durations spread, in memory that does not grow with their number.

Count, mean, standard deviation, least and greatest are exact. Percentiles are read from buckets whose bounds grow by
1 %, so each lies within 0.5 % of the duration at its rank.
"""

from __future__ import annotations

import math
from collections import Counter

STEP_LOG = math.log(1.01)
LEAST_MS = 1e-4  # shorter durations, and those that a clock gave as 0, share a bucket
GREATEST_MS = 1e10  # 115 days; with the step that is 3,240 buckets at the most


class Spread:
    """The durations of one operation, in milliseconds; its user holds a lock."""

    __slots__ = ("_buckets", "_squares", "count", "max_ms", "mean_ms", "min_ms")

    def __init__(self) -> None:
        self.count, self.mean_ms, self._squares = 0, 0.0, 0.0
        self.min_ms, self.max_ms = math.inf, 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, ms: float) -> None:
        """Count one duration."""
        self.count += 1
        # Welford's way: sums of squares would lose what long runs of like durations differ by.
        off = ms - self.mean_ms
        self.mean_ms += off / self.count
        self._squares += off * (ms - self.mean_ms)
        self.min_ms, self.max_ms = min(self.min_ms, ms), max(self.max_ms, ms)
        self._buckets[math.floor(math.log(min(max(ms, LEAST_MS), GREATEST_MS)) / STEP_LOG)] += 1

    def percentile(self, percent: float) -> float:
        """The duration that ``percent`` of all are at or under, by nearest rank."""
        rank = max(1, math.ceil(self.count * percent / 100))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(max(math.exp((bucket + 0.5) * STEP_LOG), self.min_ms), self.max_ms)
        return 0.0

    def summary(self) -> dict[str, float]:
        """The figures by name; one duration alone has no deviation, 0."""
        return {
            "count": self.count,
            "mean_ms": self.mean_ms,
            "median_ms": self.percentile(50),
            "min_ms": self.min_ms,
            "max_ms": self.max_ms,
            "stdev_ms": math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0,
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
        }
