"""The report's figures the slow and obvious way: every line by itself, all in memory, nothing shared with the code."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

NAMES = {
    "@timestamp": "timestamp", "log.level": "level", "service.name": "service", "event.action": "event_type",
    "christmas.operation": "operation", "trace.id": "trace_id", "error.type": "error_type", "event.id": None,
    "christmas.campaign.id": "campaign_id", "christmas.bid.price": "bid_price", "christmas.bid.win": "win",
    "christmas.conversion.value": "conversion_value",
}  # fmt: skip
PLAIN = re.compile(r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]?\d*(?:Z|[+-]\d\d:\d\d)?) - \w+ - (\w+) - (.*)$")
PAIR = re.compile(r"(\w+)=(\S+)")
FAILURES = ("error", "critical", "fatal")


def found(line: dict[str, Any], path: str) -> Any:
    """A value by its path: nested, else dotted, else by its short name; an empty text is none."""
    node: Any = line
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    if node is None:
        node = line.get(path)
    short = NAMES.get(path)
    if node is None and short and not isinstance(line.get(short), dict):
        node = line.get(short)
    return None if node == "" or isinstance(node, dict | list) else node


def milliseconds(text: Any) -> int | None:
    """Milliseconds since 1970."""
    try:
        when = datetime.fromisoformat(text.replace(",", "."))
    except (AttributeError, TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    whole = when.replace(microsecond=0)
    return int(whole.timestamp()) * 1000 + when.microsecond // 1000


def nanoseconds(line: dict[str, Any]) -> int | None:
    """A duration, as one of three names tells it."""
    exact = found(line, "event.duration")
    if exact is not None:
        return exact if isinstance(exact, int) else None
    for name, scale in (("duration", 10**9), ("duration_ms", 10**6)):
        if line.get(name) is not None:
            value = line[name]
            return None if isinstance(value, str) else int(value * scale + 0.5)
    return None


def read(raw: bytes) -> dict[str, Any] | None:
    """A line as a dict, whatever its form; None if it is none of them."""
    try:
        line = json.loads(raw)
    except ValueError:
        match = PLAIN.match(raw.decode("utf-8", "replace"))
        if not match:
            return None
        line = dict(PAIR.findall(match[3])) | {"timestamp": match[1], "level": match[2].lower()}
        for name in ("duration", "duration_ms", "bid_price", "conversion_value"):
            line |= {name: float(line[name])} if name in line else {}
        line |= {"win": line["win"] == "true"} if "win" in line else {}
        line |= {"event.id": line["event_id"]} if "event_id" in line else {}
    return line if isinstance(line, dict) else None


def records(lines: list[bytes]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All records, and what became of the other lines."""
    kept, seen, account = [], set(), Counter(lines=0, unparsable=0, duplicates=0, segment_headers=0)
    for raw in lines:
        if not raw.strip():
            continue
        account["lines"] += 1
        line = read(raw)
        ts = milliseconds(found(line, "@timestamp")) if line else None
        if line is None or ts is None:
            account["unparsable"] += 1
            continue
        row = {path: found(line, path) for path in NAMES} | {"ts": ts, "duration": nanoseconds(line)}
        row["log.level"] = str(row["log.level"]).lower() if row["log.level"] is not None else None
        if row["event.action"] == "segment-opened":
            account["segment_headers"] += 1
            continue
        if row["event.id"] is not None and row["event.id"] in seen:
            account["duplicates"] += 1
            continue
        seen.add(row["event.id"])
        row["failed"] = row["error.type"] is not None or row["log.level"] in FAILURES
        kept.append(row)
    return kept, dict(account)


def report(rows: list[dict[str, Any]], start: int | None = None, end: int | None = None) -> dict[str, Any]:
    """Counts that have to be equal, and durations that have to be near."""
    rows = [row for row in rows if (start is None or row["ts"] >= start) and (end is None or row["ts"] < end)]
    failed = [row for row in rows if row["failed"]]
    events = [row for row in rows if row["event.action"] is not None]
    durations = defaultdict(list)
    for row in rows:
        if row["duration"] is not None:
            name = row["christmas.operation"] or row["event.action"] or "unnamed"
            durations[name].append(row["duration"] / 1e6)
    return {
        "total_records": len(rows),
        "total_events": len(events),
        "total_errors": len(failed),
        "event_breakdown": dict(Counter(row["event.action"] for row in events)),
        "error_breakdown": dict(Counter(row["error.type"] or "untyped" for row in failed)),
        "levels": dict(Counter(row["log.level"] or "none" for row in rows)),
        "services": {
            name: (len(of), sum(row["failed"] for row in of))
            for name in {row["service.name"] or "unknown" for row in rows}
            if (of := [row for row in rows if (row["service.name"] or "unknown") == name])
        },
        "campaigns": campaigns(events),
        "traces": traces(rows),
        "performance": {name: performance(values) for name, values in durations.items()},
    }


def performance(values: list[float]) -> dict[str, float]:
    """What is told of one operation."""
    return {
        "count": len(values),
        "avg_ms": sum(values) / len(values),
        "min_ms": min(values),
        "max_ms": max(values),
        **{name: quantile(values, share) for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))},
    }


def quantile(values: list[float], share: float) -> float:
    """By linear interpolation, as numpy and pandas have it."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (high - low) * (place - int(place))


def campaigns(events: list[dict[str, Any]]) -> dict[str | None, tuple[int, ...]]:
    """Bids, wins, impressions, clicks and conversions by campaign."""
    steps = ("bid", "bid_request", "bid_response", "impression", "click", "conversion")
    by: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for row in events:
        if row["event.action"] in steps:
            by[row["christmas.campaign.id"]].append(row)
    made = {}
    for name, rows in by.items():
        bids = [row for row in rows if row["event.action"] in ("bid", "bid_response")]
        counts = Counter(row["event.action"] for row in rows)
        wins = sum(row["christmas.bid.win"] is True for row in bids)
        made[name] = (len(bids), wins, *(counts[step] for step in ("impression", "click", "conversion")))
    return made


def traces(rows: list[dict[str, Any]]) -> dict[str, tuple[float, int]]:
    """Duration in ms and number of records by trace id."""
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["trace.id"] is not None:
            by[row["trace.id"]].append(row)
    return {
        name: (max(r["ts"] for r in of) - min(r["ts"] - (r["duration"] or 0) / 1e6 for r in of), len(of))
        for name, of in by.items()
    }
