"""The way of one ad request, and how many requests got how far, read from the log store of either engine.

A step that was written more than once for a request (a retry, a user who clicks twice) counts once, as its first line;
conversions of different types are different. Lines may have been stored in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from python_shipper.contract import contract
from python_shipper.core.clock import iso
from python_shipper.store import LOGS, Store
from python_shipper.store.logs import Hit, value
from python_shipper.store.traces import time_ms

# event.action of each step, in order, and what a request that got this far has become.
OUTCOMES = {
    "ad_request": "requested",
    "ad_selection": "selected",
    "impression": "shown",
    "click": "clicked",
    "conversion": "converted",
}
STEPS = tuple(OUTCOMES)
REQUEST, ACTION, CONVERSION_TYPE = "christmas.request.id", "event.action", "christmas.conversion.type"
CONVERSION_VALUE = "christmas.conversion.value"
DETAILS = ("ad_id", "campaign_id", "bid_price", "click_position", "conversion_value", "conversion_type")
PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when, how long after the one before (ms; None for the first), its details, and how often it came."""

    name: str
    time: str
    since_previous_ms: float | None
    details: dict[str, Any]
    times: int


@dataclass(frozen=True, slots=True)
class Journey:
    """The way of one ad request, its steps in time order.

    ``outcome`` is what it came to: requested, selected, shown, clicked or converted. ``missing`` are the steps that
    come before the furthest one and that no line tells of.
    """

    request_id: str
    user_id: str | None
    outcome: str
    duration_ms: float
    steps: tuple[Step, ...]
    missing: tuple[str, ...]

    @property
    def gaps(self) -> list[tuple[str, str, float]]:
        """Between which steps how many ms lie."""
        pairs = zip(self.steps, self.steps[1:], strict=False)
        return [(one.name, other.name, other.since_previous_ms or 0.0) for one, other in pairs]

    def as_json(self) -> dict[str, Any]:
        """The journey as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many requests have reached each step, each request once, and what its conversions are worth in all."""

    ad_request: int
    ad_selection: int
    impression: int
    click: int
    conversion: int
    conversion_value: float
    repeats: int

    def as_json(self) -> dict[str, Any]:
        """The numbers by name."""
        return asdict(self)


def find_journey(store: Store, request_id: str) -> Journey | None:
    """The journey of one request; None where no line tells of it.

    Raises:
        StoreError: the store cannot be read.
    """
    first: dict[tuple[str, str], Hit] = {}
    times: dict[tuple[str, str], int] = {}
    for hit in found(store, [{"term": {REQUEST: request_id}}]):
        step = key(hit["_source"])
        first.setdefault(step, hit)
        times[step] = times.get(step, 0) + 1
    if not first:
        return None
    moments = [time_ms(hit) for hit in first.values()]
    before = [None, *moments]
    steps = tuple(
        Step(
            name=step[0],
            time=hit["_source"]["@timestamp"],
            since_previous_ms=None if previous is None else round(moment - previous, 3),
            details=details(hit["_source"]),
            times=times[step],
        )
        for (step, hit), moment, previous in zip(first.items(), moments, before, strict=False)
    )
    reached = {step.name for step in steps}
    furthest = max(map(STEPS.index, reached))
    users = (value(hit["_source"], "user.id") for hit in first.values())
    return Journey(
        request_id=request_id,
        user_id=next((user for user in users if user is not None), None),
        outcome=OUTCOMES[STEPS[furthest]],
        duration_ms=round(moments[-1] - moments[0], 3),
        steps=steps,
        missing=tuple(step for step in STEPS[:furthest] if step not in reached),
    )


def funnel(store: Store, since_ms: int | None = None, until_ms: int | None = None) -> Funnel:
    """The funnel of the steps from ``since_ms`` up to ``until_ms``; exact: every line is looked at.

    Memory grows with the number of requests, by about 150 bytes each.

    Raises:
        StoreError: the store cannot be read.
    """
    bounds = {"gte": since_ms, "lt": until_ms}
    given = {name: iso(ms) for name, ms in bounds.items() if ms is not None}
    reached: dict[str, int] = {}  # request → one bit a step
    converted: dict[tuple[str, str], float] = {}
    repeats = 0
    for hit in found(
        store, [{"range": {"@timestamp": given}}] if given else [], (REQUEST, ACTION, "christmas.conversion")
    ):
        event = hit["_source"]
        request, (name, kind) = value(event, REQUEST), key(event)
        bit = 1 << STEPS.index(name)
        before = reached.get(request, 0)
        reached[request] = before | bit
        if name == "conversion" and (request, kind) not in converted:
            converted[request, kind] = value(event, CONVERSION_VALUE) or 0.0
        elif before & bit:
            repeats += 1
    counts = {step: sum(steps >> at & 1 for steps in reached.values()) for at, step in enumerate(STEPS)}
    return Funnel(**counts, conversion_value=sum(converted.values()), repeats=repeats)


def found(store: Store, filters: list[dict[str, Any]], fields: tuple[str, ...] = ()) -> Iterator[Hit]:
    """The lines of steps that match, in the order of their ids, which is that of time."""
    filters = [{"exists": {"field": REQUEST}}, {"terms": {ACTION: list(STEPS)}}, *filters]
    body: dict[str, Any] = {"query": {"bool": {"filter": filters}}, "sort": [{"event.id": "asc"}], "size": PAGE}
    body |= {"track_total_hits": False} | ({"_source": list(fields)} if fields else {})
    while hits := store.search(LOGS, body)["hits"]["hits"]:
        yield from hits
        if len(hits) < PAGE:
            return
        body["search_after"] = hits[-1]["sort"]


def key(event: Mapping[str, Any]) -> tuple[str, str]:
    """What makes a step one of its own: its name, and of a conversion its type."""
    name = str(value(dict(event), ACTION))
    return name, str(value(dict(event), CONVERSION_TYPE) or "") if name == "conversion" else ""


def details(event: dict[str, Any]) -> dict[str, Any]:
    """What a step's line tells beside its name: the ad's fields by their short names, and the line's extras."""
    names = {name: value(event, contract().short_names[name].field) for name in DETAILS}
    extra = value(event, "christmas.extra") or {}
    return {**extra, **{name: held for name, held in names.items() if held is not None}}
