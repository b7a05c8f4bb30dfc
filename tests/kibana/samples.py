"""An afternoon's documents as the pipeline stores them: requests, errors, orders, ads, dead letters, an audit entry."""

from __future__ import annotations

from typing import Any

from python_shipper.core.clock import iso
from python_shipper.core.names import day, log_index
from python_shipper.core.ulid import new_ulid

NOON = 1_778_068_800_000  # 2026-05-06T12:00:00Z: a day of their own, for stores that hold others
MS = 1_000_000  # nanoseconds
Row = tuple[str, str, dict[str, Any]]


def line(minute: int, service: str, level: str, message: str, **more: Any) -> Row:
    ms = NOON + minute * 60_000
    identity = new_ulid(ms)
    event = {"id": identity, **more.pop("event", {})}
    document = {"@timestamp": iso(ms), "log.level": level, "message": message, "ecs.version": "9.4.0"}
    return log_index(service, ms), identity, {**document, "service": {"name": service}, "event": event, **more}


def request(minute: int, service: str, status: int, took_ms: int, trace: str, **more: Any) -> Row:
    outcome = "failure" if status >= 500 else "success"
    http = {"request": {"method": "POST"}, "response": {"status_code": status}}
    event = {"duration": took_ms * MS, "outcome": outcome}
    message = f"POST /orders {status}"
    return line(
        minute, service, "info", message, http=http, url={"path": "/orders"}, event=event, trace={"id": trace}, **more
    )


def ad(minute: int, action: str, campaign: str, **christmas: Any) -> Row:
    fields = {"campaign": {"id": campaign}, **christmas}
    return line(minute, "ads", "info", f"ad {action}", event={"action": action}, christmas=fields)


def other(family: str, identity_ms: int, document: dict[str, Any]) -> Row:
    identity = new_ulid(identity_ms)
    whole = {"@timestamp": iso(identity_ms), "ecs.version": "9.4.0", "event": {"id": identity}, **document}
    return f"christmas-{family}-{day(identity_ms)}", identity, whole


def refused(minute: int, reason: str) -> Row:
    letter = {"dead_letter": {"reason": reason}}
    where = {"file": {"path": "/var/log/shipper/orders.ecs.log"}, "offset": minute}
    return other("dead-letters", NOON + minute * 60_000, {"message": "{broken", "christmas": letter, "log": where})


ROWS = [
    request(0, "gateway", 200, 40, "t-good"),
    request(0, "orders", 200, 30, "t-good"),
    line(
        0,
        "orders",
        "info",
        "order executed",
        christmas={"order": {"id": "o1"}},
        user={"id": "u1"},
        trace={"id": "t-good"},
    ),
    request(61, "gateway", 502, 2400, "t-bad"),
    request(61, "orders", 500, 2300, "t-bad"),
    line(
        61,
        "analysis_engine",
        "error",
        "MACD computation failed",
        error={"type": "ComputationError"},
        trace={"id": "t-bad"},
    ),
    line(61, "orders", "critical", "order rejected", error={"type": "UpstreamError"}, trace={"id": "t-bad"}),
    line(
        62,
        "orders",
        "warning",
        "retrying",
        log={"logger": "orders.retry", "file": {"path": "/var/log/shipper/orders.ecs.log"}},
        christmas={"order": {"id": "o2"}},
        trace={"id": "t-bad"},
    ),
    line(
        62,
        "orders",
        "info",
        "segment 000002",
        event={"action": "segment-opened"},
        christmas={"segment": {"number": 2, "lines": 9}},
    ),
    line(62, "logstash", "info", "intake: 0 bytes queued", event={"action": "queue-size"}),
    *(ad(minute, "impression", "winter-sale", bid={"price": 0.5}) for minute in range(8)),
    *(ad(minute, "click", "winter-sale") for minute in range(2)),
    ad(3, "conversion", "winter-sale", conversion={"value": 12.0}),
    *(ad(minute, "impression", "etf-weeks", bid={"price": 1.0}) for minute in range(2)),
    refused(5, "not_json"),
    refused(6, "not_json"),
    refused(7, "future"),
]
AUDIT = other("audit", NOON, {"message": "role changed", "user": {"id": "u9"}, "service": {"name": "gateway"}})
