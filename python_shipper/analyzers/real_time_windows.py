"""How many, how many of them wrong, and how long they took, over the last seconds: sums that slide with the time.

A :class:`Window` has one length; a :class:`Series` has three of them for a service, or for an operation of it.

Durations are counted in the buckets of a DDSketch (Masson, Rim, Lee: VLDB 2019), by the mapping of the library
`ddsketch`: a quantile is within 1 % of the true one. Unlike a t-digest's, its counts can be subtracted exactly, so a
window slides by taking its oldest slice away, and a snapshot is plain numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ddsketch.mapping import LogarithmicMapping

MAPPING = LogarithmicMapping(0.01)
MOST_NS = 10**18  # 31 years: the highest bucket
FAST_SECONDS, SLOW_SECONDS, USUAL_SECONDS = 5, 60, 600
FAST_SLICES, SLOW_SLICES, USUAL_SLICES = 5, 30, 20
TRACES = 5
NS_PER_MS = 1_000_000


def bucket_of(nanoseconds: float) -> int:
    """The bucket of a duration."""
    return MAPPING.key(min(max(nanoseconds, 1), MOST_NS))


def quantile(buckets: Mapping[int, int], share: float) -> float:
    """The nanoseconds that ``share`` (0 to 1) of the durations do not exceed; 0.0 without any."""
    rank = share * (sum(buckets.values()) - 1)
    seen, key = 0, None
    for key in sorted(buckets):
        seen += buckets[key]
        if seen > rank:
            break
    return MAPPING.value(key) if key is not None else 0.0


def above(buckets: Mapping[int, int], bucket: int) -> int:
    """How many durations lie above a bucket."""
    return sum(count for key, count in buckets.items() if key > bucket)


class Window:
    """The last ``count`` slices of ``step_ms``, the newest of which is not over yet."""

    __slots__ = ("buckets", "count", "errors", "newest", "slices", "step_ms", "total")

    def __init__(self, seconds: float, count: int = 60) -> None:
        self.step_ms, self.count = max(1, round(seconds * 1000 / count)), count
        self.slices: dict[int, list[Any]] = {}  # number → [events, errors, buckets]
        self.newest = self.total = self.errors = 0
        self.buckets: dict[int, int] = {}

    def add(self, at_ms: int, error: bool, bucket: int | None) -> None:
        """Count an event in the slice of its time; one before the window has no place in it."""
        number = at_ms // self.step_ms
        if number > self.newest:
            self.advance(at_ms)
        elif number <= self.newest - self.count:
            return
        part = self.slices.get(number)
        if part is None:
            part = self.slices[number] = [0, 0, {}]
        part[0] += 1
        self.total += 1
        if error:
            part[1] += 1
            self.errors += 1
        if bucket is not None:
            part[2][bucket] = part[2].get(bucket, 0) + 1
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def advance(self, at_ms: int) -> None:
        """Move on to ``at_ms``, and take away what is too old by then."""
        number = at_ms // self.step_ms
        if number <= self.newest:
            return
        self.newest = number
        for old in [each for each in self.slices if each <= number - self.count]:
            total, errors, buckets = self.slices.pop(old)
            self.total -= total
            self.errors -= errors
            for bucket, count in buckets.items():
                left = self.buckets[bucket] - count
                if left:
                    self.buckets[bucket] = left
                else:
                    del self.buckets[bucket]

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.step_ms * self.count / 1000

    def longest_pause_ms(self) -> int:
        """The longest time without an event between two that it holds, to the slice."""
        numbers = sorted(self.slices)
        return max((later - one for one, later in pairwise(numbers)), default=0) * self.step_ms

    def snapshot(self) -> list[Any]:
        """Its content as plain data."""
        return [self.step_ms, self.count, self.newest, list(self.slices.items())]

    def restore(self, kept: list[Any]) -> None:
        """Take over what :meth:`snapshot` gave; a window of another length starts empty."""
        step_ms, count, newest, slices = kept
        if (step_ms, count) != (self.step_ms, self.count):
            return
        self.newest = int(newest)
        for number, (total, errors, buckets) in slices:
            counts = {int(bucket): int(times) for bucket, times in buckets.items()}
            self.slices[int(number)] = [int(total), int(errors), counts]
            self.total += total
            self.errors += errors
            for bucket, times in counts.items():
                self.buckets[bucket] = self.buckets.get(bucket, 0) + times


class Series:
    """The events of a service (``operation`` is None) or of an operation."""

    __slots__ = (
        "error_traces",
        "fast",
        "last_ms",
        "newest_ms",
        "operation",
        "service",
        "slow",
        "slow_from",
        "slow_ms",
        "slow_traces",
        "usual",
        "usual_limit_ms",
        "usual_slice",
    )

    def __init__(self, service: str, operation: str | None, slow_from: int) -> None:
        self.service, self.operation = service, operation
        self.fast = Window(FAST_SECONDS, FAST_SLICES)
        self.slow = Window(SLOW_SECONDS, SLOW_SLICES)
        self.usual = Window(USUAL_SECONDS, USUAL_SLICES)  # moves on by events alone: it stays what was usual last
        self.last_ms = self.newest_ms = 0  # the last that was heard of it, and the newest event that was counted
        self.slow_from = slow_from  # the bucket above which an event may be too slow
        self.slow_ms = 0  # the last one that was
        self.usual_slice, self.usual_limit_ms = 0, float("inf")  # what the usual gives as a limit, and as of when
        self.error_traces: deque[str] = deque(maxlen=TRACES)
        self.slow_traces: deque[str] = deque(maxlen=TRACES)

    def add(self, at_ms: int, error: bool, bucket: int | None, trace: str | None, *, usual: bool) -> None:
        """Count an event; ``usual`` is False while something is wrong, which is not to become the usual."""
        self.fast.add(at_ms, error, bucket)
        self.slow.add(at_ms, error, bucket)
        if usual:
            self.usual.add(at_ms, error, bucket)
        if at_ms > self.newest_ms:
            self.newest_ms = at_ms
            self.hear(at_ms)
        if error and trace:
            self.error_traces.append(trace)
        if bucket is not None and bucket > self.slow_from:
            self.slow_ms = max(self.slow_ms, at_ms)
            if trace:
                self.slow_traces.append(trace)

    def hear(self, at_ms: int) -> None:
        """Take note that it is not silent, also where the event itself comes too late to be counted."""
        if at_ms > self.last_ms:
            self.last_ms = at_ms

    def may_be_slow(self, at_ms: int) -> bool:
        """Whether the last minute has an event that took long."""
        return at_ms - self.slow_ms <= SLOW_SECONDS * 1000

    def advance(self, at_ms: int) -> None:
        """Let time pass."""
        self.fast.advance(at_ms)
        self.slow.advance(at_ms)

    def figures(self) -> dict[str, Any]:
        """Rate a second, error ratio and latency in ms over the last minute."""
        window = self.slow
        figures: dict[str, Any] = {
            "service": self.service,
            "operation": self.operation,
            "rate": round(window.total / window.seconds, 3),
            "error_ratio": round(window.errors / window.total, 4) if window.total else 0.0,
        }
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            figures[name] = round(quantile(window.buckets, share) / NS_PER_MS, 3) if window.buckets else None
        return figures

    def snapshot(self) -> dict[str, Any]:
        """Its content as plain data."""
        return {
            "service": self.service,
            "operation": self.operation,
            "last_ms": self.last_ms,
            "newest_ms": self.newest_ms,
            "slow_ms": self.slow_ms,
            "slow_from": self.slow_from,
            "windows": [window.snapshot() for window in (self.fast, self.slow, self.usual)],
            "traces": [list(self.error_traces), list(self.slow_traces)],
        }

    @classmethod
    def restored(cls, kept: dict[str, Any]) -> Series:
        """The series of a snapshot."""
        series = cls(kept["service"], kept["operation"], int(kept["slow_from"]))
        series.last_ms, series.newest_ms, series.slow_ms = (
            int(kept[name]) for name in ("last_ms", "newest_ms", "slow_ms")
        )
        for window, content in zip((series.fast, series.slow, series.usual), kept["windows"], strict=True):
            window.restore(content)
        series.error_traces.extend(kept["traces"][0])
        series.slow_traces.extend(kept["traces"][1])
        return series
