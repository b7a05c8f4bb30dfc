"""EVENTS → FINDINGS: events go in; what is worth telling comes out as a :class:`Finding`, whoever found it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SEVERITIES = ("info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an analyser found: what kind, how bad, where, and what proves it."""

    kind: str  # high_error_rate, slow_response, silence, burn_rate, new_error, …
    severity: str  # one of SEVERITIES
    message: str  # one sentence for a person
    at_ms: int  # milliseconds since 1970 UTC: the time that it speaks of
    service: str | None = None
    operation: str | None = None
    value: float | None = None  # what was measured, in the unit of `threshold`
    threshold: float | None = None
    evidence: tuple[str, ...] = ()  # trace ids
    labels: dict[str, str] = field(default_factory=dict)  # what tells it apart beside kind, service and operation
    resolved: bool = False  # the end of an earlier finding of the same key

    @property
    def key(self) -> str:
        """What makes two findings the same one: kind, service, operation and labels."""
        labels = (f"{name}={value}" for name, value in sorted(self.labels.items()))
        return "|".join((self.kind, self.service or "", self.operation or "", *labels))

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data, for JSON."""
        return asdict(self) | {"key": self.key}
