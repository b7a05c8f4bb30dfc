"""The questions that people ask of a store: what matches, how it spreads over time, what has come since.

One query language for the command line, the JSON API and the pages: Lucene's, as ``query_string`` takes it, in which
the contract's short names stand for their fields: ``level:error service:orders timeout``, ``duration:>0.5``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from python_shipper.contract import ShortName, contract
from python_shipper.core.clock import iso
from python_shipper.errors import QueryError
from python_shipper.store import LOGS, Store
from python_shipper.store.dates import milliseconds
from python_shipper.store.hashes import with_hashes

Hit = dict[str, Any]

UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
AGO = re.compile(r"([0-9]{1,9})([smhdw])")
QUOTED = re.compile(r'("(?:\\.|[^"\\])*")')
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
WORD = re.compile(r"[^\s()]+")
NOT_WITHIN = r"(?<![\w.@:/\\])(?<!\w-)"
VALUE = r"(\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|[^\s()]*)"
OPERATORS = {"AND", "OR", "NOT", "TO"}
FOLLOWED_MS = 60_000
FOLLOWED_HITS = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """Which lines: ``query`` in the query language, ``@timestamp`` from ``since_ms`` to ``until_ms``, newest first.

    ``terms`` are (field, exact value) pairs that all must hold.
    """

    query: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    terms: tuple[tuple[str, str], ...] = ()
    limit: int = 100
    index: str = LOGS


@dataclass(frozen=True, slots=True)
class Found:
    """The hits, newest first; how many match in all; and the answers to the aggregations asked along."""

    hits: list[Hit]
    total: int
    took_ms: int
    aggregations: dict[str, Any] = field(default_factory=dict)


def search_logs(store: Store, question: Question, aggs: dict[str, Any] | None = None, **options: Any) -> Found:
    """The newest lines that match; ``aggs`` and ``options`` (``highlight``, …) are added to the `_search` body.

    Raises:
        QueryError: the query cannot be read or asks for what is not supported.
        StoreError: the store cannot be read.
    """
    body = {"query": condition(question), "sort": [{"event.id": "desc"}], "size": question.limit}
    body |= {"track_total_hits": True} | options | ({"aggs": aggs} if aggs else {})
    answer = store.search(question.index, body)
    hits = answer["hits"]
    return Found(hits["hits"], hits["total"]["value"], answer.get("took", 0), answer.get("aggregations", {}))


def condition(question: Question) -> dict[str, Any]:
    """The Elasticsearch query of a question."""
    filters: list[dict[str, Any]] = [{"term": {name: value}} for name, value in question.terms]
    bounds = {"gte": question.since_ms, "lt": question.until_ms}
    if given := {name: iso(ms) for name, ms in bounds.items() if ms is not None}:
        filters.append({"range": {"@timestamp": given}})
    if text := with_hashes(in_field_names(question.query.strip())):
        filters.append({"query_string": {"query": text, "default_field": "message", "default_operator": "AND"}})
    return {"bool": {"filter": filters}} if filters else {"match_all": {}}


def in_field_names(query: str) -> str:
    """``query`` with short names replaced by their fields, outside quotes; levels in lower case, durations in ns."""
    parts = QUOTED.split(query)
    for name in contract().short_names.values():
        parts[::2] = [spelled_out(part, name) for part in parts[::2]]
    return "".join(parts)


def spelled_out(text: str, name: ShortName) -> str:
    """``text`` with every ``name:value`` in terms of the name's field and unit."""
    names = f"(?:{re.escape(name.name)}|{re.escape(name.field)})"
    short = f"{name.name}:"

    def replaced(match: re.Match[str]) -> str:
        value = match[1]
        if name.field == "log.level":
            value = WORD.sub(lambda word: word[0] if word[0] in OPERATORS else word[0].lower(), value)
        if name.scale > 1 and match[0].startswith(short):
            value = NUMBER.sub(lambda number: str(round(float(number[0]) * name.scale)), value)
        return f"{name.field}:{value}"

    return re.sub(rf"{NOT_WITHIN}{names}:{VALUE}", replaced, text)


def moment(text: str, now_ms: int, name: str = "time") -> int:
    """The time in ms that ``15m``, ``1h``, ``2d`` (that long ago) or an ISO 8601 date or time means; UTC without zone.

    Raises:
        QueryError: it is neither; ``name`` says which option held it.
    """
    if ago := AGO.fullmatch(text.strip()):
        return max(0, now_ms - int(ago[1]) * UNITS_MS[ago[2]])
    try:
        when = datetime.fromisoformat(text.strip())
        return milliseconds((when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        expected = "a span such as 15m, 1h or 2d, or a time such as 2026-01-31T09:30:00Z"
        raise QueryError(f"{name}: expected {expected}, got {text[:80]!r}") from None


class Follower:
    """What has come since the last look, by id over the last minute, so that a slow service's lines are not missed."""

    def __init__(self, store: Store, query: str) -> None:
        self.store = store
        self.query = query
        self.seen: set[str] = set()

    def newest(self, now_ms: int, count: int) -> list[Hit]:
        """The newest ``count`` hits of any age, oldest first, from which on to follow."""
        self.fresh(now_ms)
        hits = search_logs(self.store, Question(self.query, limit=count)).hits
        self.seen |= {hit["_id"] for hit in hits}
        return hits[::-1]

    def fresh(self, now_ms: int) -> Iterator[Hit]:
        """The hits not returned before, oldest first."""
        question = Question(self.query, since_ms=now_ms - FOLLOWED_MS, limit=FOLLOWED_HITS)
        hits = search_logs(self.store, question).hits
        known, self.seen = self.seen, {hit["_id"] for hit in hits}
        return (hit for hit in reversed(hits) if hit["_id"] not in known)


def leaves(event: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of an event as (dotted path, value); an empty object has none."""
    for key, inner in event.items():
        if isinstance(inner, dict):
            yield from leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner


def value(event: dict[str, Any], path: str) -> Any:
    """The value at a dotted ``path`` of an event, however far its keys are dotted; None where there is none."""
    if path in event:
        return event[path]
    head, _, rest = path.partition(".")
    while rest:
        if isinstance(inner := event.get(head), dict):
            return value(inner, rest)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
