"""The lines that dashboard and command line look for in tests: one failed order, a hostile line, a calm day."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from python_shipper.core.clock import iso
from python_shipper.core.names import log_index
from python_shipper.core.ulid import new_ulid
from python_shipper.store.writer import Writer

NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
NOW = "2026-11-22T12:10:00Z"
TRACE = "c7a1e5d09b3f4826a5d1f00d8e9b7c64"
HOSTILE = '<script>document.title="owned"</script> <img src=x onerror=alert(1)> \ue000'
STACK = "Traceback (most recent call last):\n  <b>macd</b>\nValueError: too few prices"


def document(ms: int, service: str, message: str, level: str = "info", **more: Any) -> tuple[Any, ...]:
    letter = new_ulid(ms)
    base = {"@timestamp": iso(ms), "log.level": level, "message": message, "ecs.version": "9.4.0"}
    found = base | {"service": {"name": service}, "event": {"id": letter} | more.pop("event", {})} | more
    return log_index(service, ms), letter, found, 1, 100


def spans(span: str, parent: str | None = None) -> dict[str, Any]:
    ids = {"trace": {"id": TRACE}, "span": {"id": span}}
    return ids | ({"labels": {"parent_span_id": parent}} if parent else {})


DOCUMENTS = [
    document(NOON, "gateway", "order accepted", **spans("a")),
    document(NOON + 5, "orders", "order received", **spans("b", "a")),
    document(
        NOON + 20,
        "analysis_engine",
        "MACD computation failed",
        "error",
        error={"type": "ValueError", "message": "too few prices", "stack_trace": STACK},
        **spans("c", "b"),
    ),
    document(NOON + 40, "orders", "order rejected", "error", event={"duration": 35_000_000}, **spans("b", "a")),
    document(NOON + 50, "gateway", "order failed", "error", event={"duration": 50_000_000}, **spans("a")),
    document(NOON + 1000, "orders", HOSTILE, "warning", christmas={"extra": {"<i>key</i>": '"><svg onload=1>'}}),
    *(document(NOON + 2000 + n, "orders", f"tick {n} of a calm day") for n in range(150)),
]


def fill(folder: Path) -> Path:
    """A data folder that holds the documents."""
    with closing(Writer(folder)) as writer:
        writer.add(DOCUMENTS)
        writer.commit()
    return folder
