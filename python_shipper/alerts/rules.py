"""Alert rules as data: which findings they are for, what makes two of them one alert, when they are told, and where."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

from python_shipper.analyzers import SEVERITIES, Finding

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FINDING_FIELDS = ("kind", "service", "operation")  # what keys and groups are made of, beside labels.<name>
LABEL = "labels."


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which findings a rule is for: patterns with ``*`` and ``?``, one of which must fit; empty ones fit all."""

    kind: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    operation: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: str = SEVERITIES[0]  # at least

    def fits(self, finding: Finding) -> bool:
        """Whether the rule is for ``finding``; the end of a finding fits whatever its severity is."""
        return (
            (finding.resolved or rank(finding.severity) >= rank(self.severity))
            and any_fits(self.kind, finding.kind)
            and any_fits(self.service, finding.service)
            and any_fits(self.operation, finding.operation)
            and all(fnmatchcase(finding.labels.get(name, ""), pattern) for name, pattern in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A time of day in which only what is bad enough is told; the rest waits for its end."""

    begin: time
    end: time
    zone: ZoneInfo
    days: tuple[str, ...] = DAYS  # on which it begins
    lets_through: str = SEVERITIES[-1]

    def until_ms(self, now_ms: int, severity: str) -> int:
        """When a notification of ``severity`` may go out: ``now_ms``, or the end of the quiet hours."""
        if rank(severity) >= rank(self.lets_through):
            return now_ms
        first = end = self.end_ms(now_ms)
        for _ in DAYS:
            if self.end_ms(end) == end:
                return end
            end = self.end_ms(end)
        return first  # one day's hours begin where the other's end, all week: the news of a day is told then

    def end_ms(self, now_ms: int) -> int:
        """When the quiet hours of now end: ``now_ms`` where there are none."""
        today = datetime.fromtimestamp(now_ms / 1000, self.zone).date()
        for day in (today - timedelta(days=1), today):
            begin = datetime.combine(day, self.begin, self.zone)
            end_day = day + timedelta(days=1) if self.end <= self.begin else day
            end = datetime.combine(end_day, self.end, self.zone)
            if DAYS[day.weekday()] in self.days and begin.timestamp() * 1000 <= now_ms < end.timestamp() * 1000:
                return round(end.timestamp() * 1000)
        return now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Alerts of a rule that come within ``wait_seconds`` and have the same ``by`` go out in one notification."""

    wait_seconds: float = 0.0
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to tell somebody; what the type takes is in ``options``, which may hold secrets and is never shown."""

    name: str
    type: str  # slack, email or webhook
    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What becomes of the findings that ``match``."""

    name: str
    match: Match = Match()
    routes: tuple[str, ...] = ()
    severity: str | None = None  # instead of the finding's
    key: tuple[str, ...] = ()  # of FINDING_FIELDS and labels.<name>; empty: the finding's own key
    cool_down_seconds: float = 900.0
    group: Group = Group()
    quiet_hours: QuietHours | None = None
    resolve: bool = True

    def severity_of(self, finding: Finding) -> str:
        """How bad the rule takes ``finding`` to be."""
        return self.severity or finding.severity

    def key_of(self, finding: Finding) -> str:
        """What makes two findings one alert of this rule."""
        return part_of(finding, self.key) if self.key else finding.key

    def id_of(self, finding: Finding) -> str:
        """The alert's id: short, the same for the same rule and key."""
        return hashlib.sha256(f"{self.name}\n{self.key_of(finding)}".encode("utf-8", "replace")).hexdigest()[:12]

    def group_of(self, finding: Finding) -> str:
        """The notification that the alert may share."""
        return f"{self.name}|{part_of(finding, self.group.by)}"

    def due_ms(self, now_ms: int, severity: str) -> int:
        """When a notification may go out: after the group's wait, and after quiet hours."""
        waited = now_ms + round(self.group.wait_seconds * 1000)
        return self.quiet_hours.until_ms(waited, severity) if self.quiet_hours else waited


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A whole rules file."""

    path: Path
    rules: tuple[Rule, ...]
    routes: Mapping[str, Route]

    def named(self, name: str) -> Rule | None:
        """The rule of that name, if there is one still."""
        return next((rule for rule in self.rules if rule.name == name), None)


def rank(severity: str) -> int:
    """How bad: 0 is the least; a severity of somebody else's words counts as the worst, so that it is heard."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES) - 1


def any_fits(patterns: tuple[str, ...], text: str | None) -> bool:
    """Whether one of ``patterns`` fits, or there are none."""
    return not patterns or any(fnmatchcase(text or "", pattern) for pattern in patterns)


def part_of(finding: Finding, names: tuple[str, ...]) -> str:
    """The named parts of a finding as one text."""
    return "|".join(
        finding.labels.get(name.removeprefix(LABEL), "") if name.startswith(LABEL) else getattr(finding, name) or ""
        for name in names
    )
