"""What becomes of a finding, decided from the alert's state and nothing else: told, held back, or its end."""

from __future__ import annotations

from dataclasses import dataclass

from python_shipper.alerts.notice import OPEN, RESOLVED
from python_shipper.alerts.rules import Rule, rank


@dataclass(slots=True, kw_only=True)
class Alert:
    """One alert of a rule: open from its first finding to its end, and remembered after that."""

    id: str
    rule: str
    key: str
    state: str = OPEN
    severity: str = "info"
    first_ms: int = 0  # this opening's first finding
    last_ms: int = 0
    count: int = 0  # findings of this opening
    held: int = 0  # findings since the last notification that were not told
    told_ms: int | None = None  # the last notification of an opening, also of an earlier one
    told_severity: str | None = None  # None: this opening was not told
    acked_ms: int | None = None
    note: str | None = None

    def found(self, at_ms: int, severity: str) -> None:
        """Another finding; after an end it opens anew."""
        if self.state == RESOLVED or not self.count:
            self.state, self.first_ms, self.count, self.held = OPEN, at_ms, 0, 0
            self.told_severity = self.acked_ms = self.note = None
        self.count += 1
        self.held += 1
        self.last_ms, self.severity = at_ms, severity

    def told(self, at_ms: int) -> None:
        """A notification of the opening was put into the outbox."""
        self.told_ms, self.told_severity, self.held = at_ms, self.severity, 0


def worse_than_told(alert: Alert) -> bool:
    """Whether nobody was told of this opening, or of how bad it is."""
    return alert.told_severity is None or rank(alert.severity) > rank(alert.told_severity)


def to_tell(alert: Alert, rule: Rule, now_ms: int, *, silenced: bool) -> bool:
    """Whether to tell now of an open alert.

    A silence holds everything back. An acknowledgement and the cool-down hold back what is no worse than was told.
    """
    if silenced or alert.state != OPEN:
        return False
    if alert.told_severity is not None and worse_than_told(alert):
        return True
    if alert.acked_ms is not None:
        return False
    return alert.told_ms is None or now_ms - alert.told_ms >= rule.cool_down_seconds * 1000


def end_to_tell(alert: Alert, rule: Rule, *, silenced: bool) -> bool:
    """Whether to tell of an end: only where the opening was told."""
    return rule.resolve and alert.told_severity is not None and not silenced
