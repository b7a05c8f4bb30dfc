"""One log line as the pages show it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from python_shipper.dashboard.visualizations import level_class
from python_shipper.store.logs import Hit, leaves, value
from python_shipper.store.traces import duration_ms, time_ms

APART = {"message", "error.stack_trace"}  # shown on their own, in full
FILTERABLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A line: what its summary shows, and all its fields for those who open it."""

    id: str
    index: str
    when: datetime
    level: str
    css: str
    service: str
    message: str
    duration_ms: float | None
    trace_id: str
    error: str
    stack_trace: str
    fields: list[tuple[str, str, str]]  # path, text, and the query that finds its like (empty: none)
    depth: int = 0
    offset_ms: float | None = None

    @property
    def clock(self) -> str:
        """Time of day, UTC, in milliseconds."""
        return self.when.strftime("%H:%M:%S.") + f"{self.when.microsecond // 1000:03d}"


def row(hit: Hit, depth: int = 0, start_ms: float | None = None) -> Row:
    """The row of a hit; ``start_ms`` is the start of its trace, where it is shown within one."""
    event = hit["_source"]
    level = text(value(event, "log.level"))
    highlighted = hit.get("highlight", {}).get("message")
    ms = time_ms(hit)
    return Row(
        id=hit["_id"],
        index=hit["_index"],
        when=datetime.fromtimestamp(ms / 1000, UTC),
        level=level or "none",
        css=level_class(level),
        service=text(value(event, "service.name")) or "unknown",
        message=" … ".join(highlighted) if highlighted else text(event.get("message")),
        duration_ms=duration_ms(hit),
        trace_id=text(value(event, "trace.id")),
        error=": ".join(filter(None, (text(value(event, f"error.{part}")) for part in ("type", "message")))),
        stack_trace=text(value(event, "error.stack_trace")),
        fields=[field(path, text(shown)) for path, shown in leaves(event) if path not in APART],
        depth=min(depth, 8),
        offset_ms=None if start_ms is None else ms - start_ms,
    )


def text(content: Any) -> str:
    """A value as people read it; lists and numbers as JSON."""
    if content is None:
        return ""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def field(path: str, shown: str) -> tuple[str, str, str]:
    """A field as its row holds it."""
    return path, shown, like(path, shown)


def like(path: str, shown: str) -> str:
    """The query for lines with the same value in this field; none for what is unique or long."""
    if path in {"@timestamp", "event.id", "log.offset"} or not shown or len(shown) > FILTERABLE_CHARACTERS:
        return ""
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}:"{quoted}"'
