"""What a monitor says of an event, as findings; and the form in which the stream keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from python_shipper.ads.stream import Event, masked
from python_shipper.alerts import SEVERITIES, Finding
from python_shipper.core.clock import iso, now_ms, parsed_ms
from python_shipper.core.masking import default_masker
from python_shipper.core.plain import safe_text
from python_shipper.core.ulid import new_ulid

EXPECTED = "None, a text, a mapping, a Finding or a list of these"


def findings_of(said: Any, monitor: str, event: Event, service: str) -> list[Finding]:
    """The findings in what a monitor returned for ``event``.

    Raises:
        ValueError: it returned something else than it may.
        TypeError: a mapping has a key that no finding has.
    """
    if said is None:
        return []
    if isinstance(said, list | tuple):
        return [finding for each in said for finding in findings_of(each, monitor, event, service)]
    if isinstance(said, Finding):
        found = said
    elif isinstance(said, str | Mapping):
        given = {"message": said} if isinstance(said, str) else {str(key): value for key, value in said.items()}
        found = Finding(**{**defaults(monitor, event, service), **given})
    else:
        raise ValueError(f"expected {EXPECTED}, got {type(said).__name__}")
    if found.severity not in SEVERITIES:
        raise ValueError(f"severity: expected one of {', '.join(SEVERITIES)}, got {found.severity!r:.40}")
    return [found]


def defaults(monitor: str, event: Event, service: str) -> dict[str, Any]:
    """What a finding of a monitor has where it says nothing else."""
    data = event.get("data")
    trace = data.get("trace_id") if isinstance(data, dict) else None
    return {
        "kind": monitor,
        "severity": "warning",
        "message": f"monitor {monitor}: event {event['id']}",
        "at_ms": moment(event),
        "service": service,
        "evidence": (trace,) if isinstance(trace, str) else (),
    }


def moment(event: Event) -> int:
    """When an event happened; now, where another program wrote it without a time."""
    try:
        return parsed_ms(event["timestamp"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return now_ms()


def stored(finding: Finding, monitor: str, event: Event) -> Event:
    """A finding as the stream keeps it, masked."""
    own = {"id": new_ulid(), "timestamp": iso(finding.at_ms), "monitor": monitor, "event_id": safe_text(event["id"])}
    found: Event = masked({**finding.as_dict(), **own}, default_masker())
    return found
