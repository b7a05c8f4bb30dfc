"""Log lines of every form that the analyser reads, and bad ones, for Hypothesis."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from python_shipper.core.ulid import encoded

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PATHS = {
    "level": "log.level", "service": "service.name", "event_type": "event.action", "operation": "christmas.operation",
    "trace_id": "trace.id", "error_type": "error.type", "event_id": "event.id", "campaign_id": "christmas.campaign.id",
    "bid_price": "christmas.bid.price", "win": "christmas.bid.win", "conversion_value": "christmas.conversion.value",
}  # fmt: skip
names = st.sampled_from
optional = st.none()
events = st.fixed_dictionaries(
    {"at": st.integers(-5_000_000, 5_000_000)},
    optional={
        "level": names(["info", "INFO", "debug", "Warning", "ERROR", "error", "critical", "fatal"]),
        "service": names(["orders", "ads", "결제", "gateway-eu"]),
        "event_type": names(["bid", "bid_response", "impression", "click", "conversion", "order-executed", "주문"]),
        "operation": names(["charge", "lookup"]),
        "trace_id": names([f"{number:032x}" for number in range(6)] + ["abc123"]),
        "error_type": names(["ValueError", "TimeoutError"]),
        "event_id": st.integers(0, 40).map(lambda number: encoded(1_767_355_200_000, 10) + encoded(number, 16)),
        "campaign_id": names(["winter", "spring"]),
        "bid_price": st.floats(0, 50).map(lambda price: round(price, 3)),
        "win": st.booleans(),
        "conversion_value": st.integers(0, 500),
        "ms": st.floats(0, 5_000).map(lambda ms: round(ms, 3)) | st.integers(1, 9_000),
    },
)
zones = st.sampled_from(["Z", "+00:00", "+09:00", "-03:30", ""])
forms = st.sampled_from(["ecs", "dotted", "mixed", "flat", "plain"])
bad = st.sampled_from(
    [
        b"not a log line", b"", b"   ", b"{", b'{"@timestamp": "2026-01-02T1', b"[1, 2]", b"null", b'"text"',
        b'{"message": "no time"}', b'{"@timestamp": 17, "log.level": "error"}',
        b'{"timestamp": "2026-13-01T00:00:00Z"}',
        b'{"@timestamp": "yesterday", "event": {"action": "click"}}', b"\xff\xfe\x00", b'{"a": NaN}', b"\r",
        b'{"@timestamp": {"x": 1}}', b'{"a": 1}{"b": 2}', b"  File \"x.py\", line 3, in <module>",
    ]
)  # fmt: skip
headers = st.just(
    b'{"@timestamp":"2026-01-02T12:00:00.000Z","log.level":"info","message":"segment 1 x","ecs.version":"9.4.0",'
    b'"service":{"name":"orders"},"event":{"id":"01KDZ9BD5REXJPZZ72BC8R1QM9","action":"segment-opened"},'
    b'"christmas":{"segment":{"number":1,"lines":0}}}'
)
odd = st.sampled_from(
    [
        # Values that fit no field, rare forms of time, names that clash: read the careful way.
        b'{"@timestamp":"2026-01-02T12:00:01Z","event":{"action":{"x":1}},"event_type":"click","log":{"level":"ERROR"}}',
        b'{"@timestamp":"2026-01-02T12:00:01.5+09:00","event":{"action":"click","duration":5},"duration":3}',
        b'{"@timestamp":"2026-01-02T12:00:01.123456789Z","event.action":"click","event":{"action":"bid"}}',
        b'{"timestamp":"2026-01-02 12:00","level":"ERROR","service":{"name":"orders"}}',
        b'{"@timestamp":"2026-01-02T12:00:02.000Z","timestamp":"2025-01-02T12:00:02.000Z","service":"ads","level":null}',
    ]
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """One line: mostly of an event, at times a bad or an odd one."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(bad)
    if kind == 1:
        return draw(odd | headers)
    return written(draw(events), draw(forms), draw(zones))


def written(event: dict[str, Any], form: str, zone: str) -> bytes:
    """An event as a line of a form."""
    event = dict(event)
    when = NOON + timedelta(milliseconds=event.pop("at"))
    ms = event.pop("ms", None)
    if form == "plain":
        return plain(event, when, zone, ms)
    if form == "flat":
        line = {"timestamp": stamp(when, zone), **{k: v for k, v in event.items() if k != "event_id"}}
        line |= {"event.id": event["event_id"]} if "event_id" in event else {}
        line |= {} if ms is None else {"duration_ms": ms} if isinstance(ms, int) else {"duration": ms / 1000}
        return json.dumps(line, ensure_ascii=False).encode()
    line = {"@timestamp": stamp(when, zone)}
    fields = {PATHS[name]: value for name, value in event.items()} | (
        {} if ms is None else {"event.duration": int(ms * 1e6)}
    )
    for number, (path, value) in enumerate(fields.items()):
        if form == "dotted" or path == "log.level" or (form == "mixed" and number % 2):
            line[path] = value
        else:
            nest(line, path.split("."), value)
    return json.dumps(line, ensure_ascii=form == "mixed").encode()


def nest(line: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put a value at keys within keys."""
    for key in keys[:-1]:
        line = line.setdefault(key, {})
    line[keys[-1]] = value


def stamp(when: datetime, zone: str) -> str:
    """A time of a zone, to the millisecond."""
    minutes = 0 if zone in ("", "Z") else (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 60 + int(zone[4:]))
    local = when.astimezone(timezone(timedelta(minutes=minutes)))
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}{zone}"


def plain(event: dict[str, Any], when: datetime, zone: str, ms: float | None) -> bytes:
    """A line of text."""
    words = {name: str(value).lower() if name == "win" else value for name, value in event.items() if name != "level"}
    pairs = " ".join(f"{name}={value}" for name, value in (words | ({} if ms is None else {"duration_ms": ms})).items())
    level = {"FATAL": "ERROR"}.get(str(event.get("level", "info")).upper(), str(event.get("level", "info")).upper())
    return f"{stamp(when, zone).replace('T', ' ')} - app - {level} - {pairs}".encode()
