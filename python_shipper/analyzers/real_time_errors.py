"""Which errors were never seen before: fingerprints with when and how often, learned first, then told."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from python_shipper.analyzers import Finding
from python_shipper.analyzers.real_time_thresholds import Thresholds
from python_shipper.core.fingerprint import fingerprint

MESSAGE_CHARACTERS = 200
MOST_CACHED = 512
cached_fingerprint = lru_cache(MOST_CACHED)(fingerprint)


class Newcomers:
    """The errors of all services, by service and fingerprint."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.own, self.most = thresholds["new_error"], thresholds["limits"]["most_fingerprints"]
        self.seen: dict[tuple[str, str], dict[str, Any]] = {}
        self.fresh: set[tuple[str, str]] = set()  # those that are new, until they are over
        self.learned_ms: int | None = None  # until then everything is learned

    def add(self, service: str, at_ms: int, error: dict[str, Any], trace: str | None) -> None:
        """Count an error that has a type, a message or a stack trace."""
        kind, message, stack = (text(error.get(name)) for name in ("type", "message", "stack_trace"))
        if not (kind or message or stack):
            return
        if self.learned_ms is None:
            self.learned_ms = at_ms + round(self.own["learn_seconds"] * 1000)
        key = (service, cached_fingerprint(kind, stack, message))
        known = self.seen.get(key)
        if known is None:
            if len(self.seen) >= self.most:
                self.forget()
            shown = f"{kind or 'an error'}: {message or ''}"[:MESSAGE_CHARACTERS].rstrip(": ")
            known = self.seen[key] = {"first_ms": at_ms, "last_ms": at_ms, "times": 0, "shown": shown, "traces": []}
            if at_ms > self.learned_ms:
                self.fresh.add(key)
        known["times"] += 1
        known["last_ms"] = max(known["last_ms"], at_ms)
        if trace and len(known["traces"]) < 3 and trace not in known["traces"]:
            known["traces"].append(trace)

    def forget(self) -> None:
        """Let go of the tenth that was not seen for longest; one that comes again is as good as new."""
        oldest = sorted(self.seen, key=lambda key: self.seen[key]["last_ms"])[: len(self.seen) // 10 + 1]
        for key in oldest:
            del self.seen[key]
            self.fresh.discard(key)

    def findings(self, at_ms: int) -> list[Finding]:
        """The new errors, the most frequent first; what comes no more is over."""
        for key in [key for key in self.fresh if at_ms - self.seen[key]["last_ms"] > self.own["over_seconds"] * 1000]:
            self.fresh.discard(key)
        often = [key for key in self.fresh if self.seen[key]["times"] >= self.own["least_times"]]
        often.sort(key=lambda key: -self.seen[key]["times"])
        return [self.finding(key, at_ms) for key in often[: round(self.own["most_open"])]]

    def finding(self, key: tuple[str, str], at_ms: int) -> Finding:
        """A new error."""
        (service, print_), known = key, self.seen[key]
        return Finding(
            kind="new_error",
            severity="warning",
            message=f"{service}: an error never seen before, {known['times']:,} times: {known['shown']}",
            at_ms=at_ms,
            service=service,
            value=float(known["times"]),
            threshold=self.own["least_times"],
            evidence=tuple(known["traces"]),
            labels={"fingerprint": print_},
        )

    def snapshot(self) -> dict[str, Any]:
        """Its content as plain data."""
        return {
            "learned_ms": self.learned_ms,
            "seen": [[*key, known] for key, known in self.seen.items()],
            "fresh": [list(key) for key in self.fresh],
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Take over what :meth:`snapshot` gave."""
        self.learned_ms = kept["learned_ms"]
        self.seen = {(service, print_): known for service, print_, known in kept["seen"]}
        self.fresh = {(service, print_) for service, print_ in kept["fresh"]} & set(self.seen)


def text(value: Any) -> str | None:
    """A text, or None."""
    return value if isinstance(value, str) and value else None
