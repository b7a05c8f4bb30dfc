"""A notification's content: plain, masked data in the outbox, and from it text for e-mail and links to traces.

What findings say comes from log lines, that is, from anybody: it is masked before it is kept, and cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from python_shipper.alerts.rules import Rule, rank
from python_shipper.analyzers import Finding
from python_shipper.core.clock import iso
from python_shipper.core.masking import default_masker
from python_shipper.core.plain import well_formed
from python_shipper.settings import Settings

MESSAGE_CHARACTERS = 1_000
PART_CHARACTERS = 200
MOST_TRACES = 5
MOST_LABELS = 20
MOST_ITEMS = 20
OPEN, RESOLVED = "open", "resolved"
Item = dict[str, Any]  # one alert in a notification, as JSON keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What is sent in one go: one alert, or several that share a group."""

    id: str  # a ULID; the same at every attempt, so that the far side can drop repeats
    rule: str
    items: Sequence[Item]
    more: int = 0  # alerts beyond those in items
    traces: Mapping[str, str] = field(default_factory=dict)  # trace id → its page

    @property
    def severity(self) -> str:
        """The worst severity in it."""
        return str(max((item["severity"] for item in self.items), key=rank))

    @property
    def resolved(self) -> bool:
        """Whether it tells of ends only."""
        return all(item["status"] == RESOLVED for item in self.items)

    @property
    def title(self) -> str:
        """One line that says it all: `[ERROR] high_error_rate orders: 12 % of requests fail`."""
        first = self.items[0]
        tag = RESOLVED.upper() if self.resolved else self.severity.upper()
        name = " ".join(part for part in (first["kind"], first["service"], first["operation"]) if part)
        others = len(self.items) - 1 + self.more
        return f"[{tag}] {name}: {first['message']}" + (f" (and {others} more)" if others else "")


def item_of(rule: Rule, finding: Finding, *, first_ms: int, count: int, held: int) -> Item:
    """A finding as one alert of a notification.

    Args:
        rule: the rule that it fits.
        finding: what was found.
        first_ms: when this alert opened, milliseconds since 1970 UTC.
        count: findings since then.
        held: findings since the last notification of it that were not told.
    """
    return {
        "status": RESOLVED if finding.resolved else OPEN,
        "severity": rule.severity_of(finding),
        "alert": rule.id_of(finding),
        "key": clean(rule.key_of(finding)),
        "kind": clean(finding.kind),
        "service": clean(finding.service),
        "operation": clean(finding.operation),
        "message": clean(finding.message, MESSAGE_CHARACTERS),
        "value": finding.value,
        "threshold": finding.threshold,
        "labels": {clean(name): masked(name, value) for name, value in list(finding.labels.items())[:MOST_LABELS]},
        "traces": [clean(trace) for trace in finding.evidence[:MOST_TRACES]],
        "at": iso(finding.at_ms),
        "first_at": iso(first_ms),
        "count": count,
        "held": held,
    }


def clean(text: str | None, characters: int = PART_CHARACTERS) -> str:
    """``text`` masked, on one line, cut."""
    return str(well_formed(default_masker().text(" ".join(str(text or "").split()))))[:characters]


def masked(name: str, value: str) -> str:
    """A label's value, masked by its name too."""
    return clean(str(default_masker().value(name, str(value))))


def trace_link(settings: Settings, trace_id: str) -> str:
    """The page of a trace: by TRACE_URL, else the embedded stack's."""
    if settings.trace_url:
        return settings.trace_url.replace("{trace_id}", quote(trace_id, safe=""))
    scheme = "https" if settings.api_tls_cert else "http"
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    return f"{scheme}://{host}:{settings.api_port}/trace/{quote(trace_id, safe='')}"


def rows(item: Item) -> list[tuple[str, str]]:
    """What stands below an alert's message, as names and values; traces are left to the caller, who links them."""
    since = item["first_at"] if item["first_at"] != item["at"] else ""
    found = [
        ("service", item["service"]),
        ("operation", item["operation"]),
        ("value", number(item["value"])),
        ("threshold", number(item["threshold"])),
        *item["labels"].items(),
        ("time", item["at"]),
        ("open since", since),
        ("findings", f"{item['count']:,}" if item["count"] > 1 else ""),
        ("not told before", f"{item['held']:,}" if item["held"] else ""),
    ]
    return [(name, value) for name, value in found if value]


def number(value: float | None) -> str:
    """A number for people."""
    return "" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def text(notification: Notification) -> str:
    """The whole notification as plain text."""
    blocks = [block(notification, item) for item in notification.items]
    if notification.more:
        blocks.append(f"and {notification.more:,} more; shipper alerts list shows all")
    return "\n\n".join(blocks) + f"\n\nrule {notification.rule}, notification {notification.id}\n"


def block(notification: Notification, item: Item) -> str:
    """One alert as plain text."""
    head = f"[{RESOLVED.upper() if item['status'] == RESOLVED else item['severity'].upper()}] {item['kind']}"
    lines = [f"{name}: {value}" for name, value in rows(item)]
    lines += [f"trace {trace}: {notification.traces.get(trace, '')}".removesuffix(": ") for trace in item["traces"]]
    return "\n".join([head, item["message"], *(f"  {line}" for line in lines), f"  alert: {item['alert']}"])
