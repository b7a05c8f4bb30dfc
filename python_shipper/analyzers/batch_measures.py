"""What a report says of a period, asked of the table of facts: totals, events, errors, operations, campaigns, traces.

Quantiles come from a histogram whose steps are half a per cent wide, so that memory does not grow with the number of
lines; they lie within 0.5 % of those by linear interpolation between all values.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from python_shipper.analyzers.batch_lines import FAILURES
from python_shipper.core.clock import iso
from python_shipper.core.fingerprint import fingerprint

MOST_NAMES = 1_000  # event types, operations, services and campaigns told by name; what is beyond is summed up
MOST_GROUPS = 2_000  # different errors that are told apart; rarer ones beyond are summed up
MOST_TRACES, EVIDENCE = 20, 5
BARS = 60
STEPS_MS = (
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    10_800_000,
    21_600_000,
    86_400_000,
)
WIDTH = 0.005
QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
UNTYPED, UNNAMED, OTHERS = "untyped", "unnamed", "others"
FAILED = f"(error_type IS NOT NULL OR level IN {FAILURES})"
OPERATION = f"coalesce(operation, action, '{UNNAMED}')"
# A text without what differs between two cases of one error: what `fingerprint` would leave out is left out before
# grouping, so that a fingerprint is made once a group.
SAME_STACK = "regexp_replace(stack, '[0-9]+', '0', 'g')"
SAME_MESSAGE = "regexp_replace(message, '[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*', '0', 'g')"
EARLIEST = "(ts, coalesce(id, ''))"
# One pass over the lines for all that is only counted; what is told is summed up from these few rows.
CELLS = f"""SELECT ts // {{step}} AS bar, coalesce(service, 'unknown') AS service, coalesce(level, 'none') AS level,
    action, failed, CASE WHEN failed THEN coalesce(error_type, '{UNTYPED}') END AS error_type, count(*) AS records
    FROM records GROUP BY ALL"""
COUNTS = """coalesce(sum(records), 0)::BIGINT AS records,
    coalesce(sum(records) FILTER (action IS NOT NULL), 0)::BIGINT AS events,
    coalesce(sum(records) FILTER (failed), 0)::BIGINT AS errors"""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_ms`` to before ``end_ms``, in ms since 1970."""

    start_ms: int
    end_ms: int

    def before(self) -> Period:
        """The period of the same length that ends where this one begins."""
        return Period(self.start_ms - (self.end_ms - self.start_ms), self.start_ms)

    def as_dict(self) -> Row:
        """The period for people and JSON, times in UTC."""
        return {"from": iso(self.start_ms), "to": iso(self.end_ms), "seconds": (self.end_ms - self.start_ms) / 1000}


class Measures:
    """The questions, each asked of the lines of one period."""

    def __init__(self, db: duckdb.DuckDBPyConnection, period: Period) -> None:
        self.db, self.period = db, period
        self.step_ms = step_ms(period)
        within = f"ts >= {period.start_ms} AND ts < {period.end_ms}"
        self.db.execute(
            f"CREATE OR REPLACE TEMP VIEW records AS SELECT *, {FAILED} AS failed FROM facts WHERE {within}"
        )
        self.db.execute(f"CREATE OR REPLACE TEMP TABLE cells AS {CELLS.format(step=self.step_ms)}")

    def rows(self, query: str, *values: Any) -> list[Row]:
        """A query's answer as dicts."""
        found = self.db.execute(query, list(values))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def totals(self) -> Row:
        """Records, events and errors in all."""
        (row,) = self.rows(f"SELECT {COUNTS} FROM cells")
        return row

    def services(self) -> list[Row]:
        """Records, events and errors by service, the busiest first."""
        found = self.rows(
            f"SELECT service, {COUNTS} FROM cells GROUP BY 1 ORDER BY records DESC, service LIMIT {MOST_NAMES}"
        )
        return [row | {"error_share": ratio(row["errors"], row["records"])} for row in found]

    def levels(self) -> dict[str, int]:
        """Records by level, most first."""
        return self.named("level", "true", "records")

    def actions(self) -> list[Row]:
        """Events by type with their errors and services, most first."""
        return self.rows(
            "SELECT action AS event_type, sum(records)::BIGINT AS count, "
            "coalesce(sum(records) FILTER (failed), 0)::BIGINT AS errors, "
            "list_sort(list(DISTINCT service)) AS services "
            f"FROM cells WHERE action IS NOT NULL GROUP BY 1 ORDER BY count DESC, event_type LIMIT {MOST_NAMES}"
        )

    def error_types(self) -> dict[str, int]:
        """Errors by type, most first."""
        return self.named("error_type", "failed", "errors")

    def event_types(self) -> dict[str, int]:
        """Events by type, most first."""
        return self.named("action", "action IS NOT NULL", "events")

    def named(self, column: str, condition: str, total: str) -> dict[str, int]:
        """Counts by the names in a column; those beyond the most that are told under one name."""
        found = self.rows(
            f"SELECT {column} AS name, sum(records)::BIGINT AS count FROM cells WHERE {condition} GROUP BY 1 "
            f"ORDER BY count DESC, name LIMIT {MOST_NAMES}"
        )
        return breakdown(found, self.totals()[total])

    def timeline(self) -> Row:
        """Records, events and errors in equal steps of time over the period."""
        bars = {row.pop("bar"): row for row in self.rows(f"SELECT bar, {COUNTS} FROM cells GROUP BY 1")}
        step, empty = self.step_ms, {"records": 0, "events": 0, "errors": 0}
        every = range(self.period.start_ms // step, -(-self.period.end_ms // step))
        return {"step_seconds": step / 1000, "bars": [{"at": iso(bar * step), **bars.get(bar, empty)} for bar in every]}

    def operations(self) -> list[Row]:
        """Durations by operation, the slowest 95th percentile first."""
        self.db.execute(
            f"""CREATE OR REPLACE TEMP TABLE steps AS
            SELECT {OPERATION} AS operation, CASE WHEN duration > 0 THEN floor(ln(duration) / {WIDTH})::INT ELSE -1 END
                AS step, count(*) AS count, min(duration) AS low, max(duration) AS high, sum(duration) AS sum
            FROM records WHERE duration IS NOT NULL GROUP BY 1, 2"""
        )
        found = self.rows(
            f"""SELECT * FROM steps WHERE operation IN (SELECT operation FROM steps GROUP BY 1
                ORDER BY sum(count) DESC, operation LIMIT {MOST_NAMES}) ORDER BY operation, step"""
        )
        steps: dict[str, list[Row]] = defaultdict(list)
        for row in found:
            steps[row["operation"]].append(row)
        shown = [{"operation": name, **durations(of)} for name, of in steps.items()]
        return sorted(shown, key=lambda row: (-row["p95_ms"], row["operation"]))

    def slowest_lines(self, operations: Sequence[str]) -> dict[str, list[str]]:
        """Trace ids of the slowest lines of operations."""
        found = self.rows(
            f"""WITH slow AS (SELECT {OPERATION} AS operation, trace, max(duration) AS slowest FROM records
                WHERE duration IS NOT NULL AND trace IS NOT NULL AND list_contains(?, {OPERATION}) GROUP BY 1, 2)
            SELECT operation, trace FROM slow
            QUALIFY row_number() OVER (PARTITION BY operation ORDER BY slowest DESC, trace) <= {EVIDENCE}
            ORDER BY slowest DESC, trace""",
            list(operations),
        )
        traces: dict[str, list[str]] = defaultdict(list)
        for row in found:
            traces[row["operation"]].append(row["trace"])
        return traces

    def latest_failures(self) -> list[str]:
        """Trace ids of the last errors."""
        found = self.rows(
            "SELECT trace, max(ts) AS last FROM records WHERE failed AND trace IS NOT NULL "
            f"GROUP BY 1 ORDER BY last DESC, trace LIMIT {EVIDENCE}"
        )
        return [row["trace"] for row in found]

    def errors(self) -> list[Row]:
        """Errors by type and fingerprint, most first, first and last occurrence; at most the 2,000 commonest ways."""
        self.db.execute(
            f"""CREATE OR REPLACE TEMP TABLE failures AS
            SELECT ts, id, error_type, service, trace, stack, message,
                coalesce({SAME_STACK}, {SAME_MESSAGE}) AS way, stack IS NULL AS bare FROM records WHERE failed"""
        )
        groups = self.rows(
            f"""WITH told AS (SELECT error_type, way, bare, count(*) AS count, min(ts) AS first, max(ts) AS last
                FROM failures GROUP BY ALL ORDER BY count DESC, first, error_type, way, bare LIMIT {MOST_GROUPS})
            SELECT told.error_type, count, first, last, list(DISTINCT service) AS services,
                min_by(struct_pack(stack, message, trace, service), {EARLIEST}) AS one,
                min(trace, {EVIDENCE}) AS traces
            FROM failures JOIN told ON failures.error_type IS NOT DISTINCT FROM told.error_type
                AND failures.way IS NOT DISTINCT FROM told.way AND failures.bare = told.bare
            GROUP BY told.error_type, told.way, told.bare, count, first, last"""
        )
        found: dict[tuple[str, str], Row] = {}
        for group in groups:
            merge(found, group)
        return sorted(found.values(), key=lambda row: (-row["count"], row["first_seen"], row["fingerprint"]))

    def traces(self) -> list[Row]:
        """The traces that took longest from their first begin to their last end."""
        begin, end = "min(ts - coalesce(duration, 0) / 1e6)", "max(ts)"
        found = self.rows(
            f"""WITH slow AS (SELECT trace, {end} - {begin} AS ms FROM records WHERE trace IS NOT NULL
                GROUP BY 1 ORDER BY ms DESC, trace LIMIT {MOST_TRACES})
            SELECT trace AS trace_id, {end} - {begin} AS duration_ms, {begin} AS start, count(*) AS records,
                count(*) FILTER (failed) AS errors, list_sort(list(DISTINCT service)) AS services
            FROM records WHERE trace IN (SELECT trace FROM slow) GROUP BY 1 ORDER BY duration_ms DESC, trace_id"""
        )
        return [row | {"start": iso(round(row["start"])), "duration_ms": round(row["duration_ms"], 6)} for row in found]

    def campaigns(self) -> list[Row]:
        """The funnel by campaign: bids, wins, impressions, clicks, conversions, what they cost and brought."""
        steps = ", ".join(
            f"coalesce(sum(count) FILTER ({condition}), 0)::BIGINT AS {name}" for name, condition in FUNNEL.items()
        )
        found = self.rows(
            f"""WITH cells AS (SELECT campaign, action, win, count(*) AS count, sum(price) AS price, sum(value) AS value
                FROM records WHERE action IN {STEPS} GROUP BY ALL)
            SELECT campaign AS campaign_id, {steps},
                coalesce(sum(price) FILTER (action = 'impression'), sum(price) FILTER (win), 0) AS spend,
                coalesce(sum(value) FILTER (action = 'conversion'), 0) AS revenue
            FROM cells GROUP BY 1 ORDER BY impressions DESC, campaign_id LIMIT {MOST_NAMES}"""
        )
        return [rated(row) for row in found]


def step_ms(period: Period) -> int:
    """The step of time that cuts a period into at most 60 parts."""
    length = period.end_ms - period.start_ms
    days = -(-length // (BARS * STEPS_MS[-1])) * STEPS_MS[-1]
    return next((ms for ms in STEPS_MS if length <= BARS * ms), days)


STEPS = ("bid", "bid_request", "bid_response", "impression", "click", "conversion")
FUNNEL = {
    "bids": "action IN ('bid', 'bid_response')",
    "wins": "action IN ('bid', 'bid_response') AND win",
    "impressions": "action = 'impression'",
    "clicks": "action = 'click'",
    "conversions": "action = 'conversion'",
}


def rated(row: Row) -> Row:
    """A campaign with its rates; None where there is nothing to divide by."""
    return row | {
        "spend": round(row["spend"], 6),
        "revenue": round(row["revenue"], 6),
        "ctr": ratio(row["clicks"], row["impressions"]),
        "cvr": ratio(row["conversions"], row["clicks"]),
        "roas": ratio(row["revenue"], row["spend"]),
    }


def ratio(part: float, whole: float) -> float | None:
    """``part`` by ``whole``, to six decimals; None by nothing."""
    return round(part / whole, 6) if whole else None


def breakdown(rows: Iterable[Row], total: int) -> dict[str, int]:
    """Counts by name, most first; what is beyond the names that are told is summed up."""
    told = {row["name"]: row["count"] for row in rows}
    rest = total - sum(told.values())
    return told | ({OTHERS: told.get(OTHERS, 0) + rest} if rest else {})


def durations(steps: Sequence[Row]) -> Row:
    """Count, extremes, mean and quantiles in ms of the values in rising ``steps``."""
    count = sum(step["count"] for step in steps)
    total = sum(int(step["sum"]) for step in steps)
    found = {
        "count": count,
        "avg_ms": total / count / 1e6,
        "min_ms": min(step["low"] for step in steps) / 1e6,
        "max_ms": max(step["high"] for step in steps) / 1e6,
    }
    return found | {name: quantile(steps, count, share) / 1e6 for name, share in QUANTILES.items()}


def quantile(steps: Sequence[Row], count: int, share: float) -> float:
    """The value at ``share`` of ``count`` values, between two of them by linear interpolation."""
    place = share * (count - 1)
    low, high = at(steps, math.floor(place)), at(steps, math.ceil(place))
    return low + (high - low) * (place - math.floor(place))


def at(steps: Sequence[Row], rank: int) -> float:
    """The value of a rank from 0, taking the values in a step as evenly spread."""
    for step in steps:
        if rank < step["count"]:
            share = rank / (step["count"] - 1) if step["count"] > 1 else 0.0
            return float(step["low"] + (step["high"] - step["low"]) * share)
        rank -= step["count"]
    raise AssertionError("a rank is below the count")


def merge(found: dict[tuple[str, str], Row], group: Row) -> None:
    """Add a group of errors to those of its type and fingerprint."""
    one = group["one"]
    kind = group["error_type"] or UNTYPED
    identity = fingerprint(group["error_type"], one["stack"], one["message"])
    row = {
        "error_type": kind,
        "fingerprint": identity,
        "count": group["count"],
        "first_seen": iso(group["first"]),
        "last_seen": iso(group["last"]),
        "services": sorted(name for name in group["services"] or () if name is not None),
        "message": one["message"],
        "first_trace_id": one["trace"],
        "trace_ids": sorted(trace for trace in group["traces"] or () if trace is not None),
    }
    known = found.setdefault((kind, identity), row)
    if known is row:
        return
    earlier = min(known, row, key=lambda each: each["first_seen"])
    known |= {name: earlier[name] for name in ("first_seen", "message", "first_trace_id")} | {
        "count": known["count"] + row["count"],
        "last_seen": max(known["last_seen"], row["last_seen"]),
        "services": sorted({*known["services"], *row["services"]}),
        "trace_ids": sorted({*known["trace_ids"], *row["trace_ids"]})[:EVIDENCE],
    }
