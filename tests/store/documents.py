"""Documents as the pipeline makes them."""

from __future__ import annotations

from typing import Any

from python_shipper.core.names import log_index
from python_shipper.core.ulid import new_ulid
from python_shipper.store.dates import iso

NOON = 1_767_355_200_000  # 2026-01-02T12:00:00Z
Row = tuple[str, str, dict[str, Any], int, int]


def row(
    ms: int = NOON, service: str = "orders", level: str = "info", message: str = "order executed", **more: Any
) -> Row:
    """A document with its index, id, segment and offset."""
    given = more.pop("id", None) or new_ulid(ms)
    event = {"id": given, **more.pop("event", {})}
    document = {
        "@timestamp": iso(ms),
        "log.level": level,
        "message": message,
        "ecs.version": "9.4.0",
        "service": {"name": service},
        "event": event,
        **more,
    }
    return log_index(service, ms), given, document, 1, 100
