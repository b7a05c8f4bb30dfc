"""The pages: newest logs with search, one trace, the process's state; complete without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from python_shipper.core.clock import iso, now_ms
from python_shipper.dashboard.guard import COOKIE, same, session
from python_shipper.dashboard.problems import RequestError
from python_shipper.dashboard.rendering import MARK, UNMARK, render
from python_shipper.dashboard.rows import Row, row
from python_shipper.dashboard.service import Service, Shared
from python_shipper.dashboard.visualizations import Histogram, aggregation, histogram, step_s, timeline
from python_shipper.errors import QueryError
from python_shipper.store import Store
from python_shipper.store.logs import Question, leaves, moment, search_logs
from python_shipper.store.traces import find_trace
from python_shipper.units import figure

ROWS = 100
SPANS = {"15m": "15 minutes", "1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
LEVELS = ("critical", "error", "warning", "info", "debug")
LABELS = {
    "faults_total": "faults since the start",
    "listener_faults_total": "faults of the analysis",
    "lag_bytes": "bytes still to read",
    "lag_seconds": "behind by",
    "lines_total": "lines read",
    "stored_total": "stored",
    "known_total": "read again, known already",
    "dead_letters_total": "dead letters",
    "cut_total": "cut at the size limit",
    "differing_total": "same id with other content",
    "unread_lines": "lines rotated away unread",
    "lost_bytes": "bytes truncated unread",
    "services": "services with log indices",
    "files": "files watched",
    "open_files": "files open",
    "dead_letters_full": "dead letters' raw bytes full",
    "spool_bytes": "dead letters' raw bytes",
}
HIGHLIGHT = {"fields": {"message": {"number_of_fragments": 0}}, "pre_tags": [MARK], "post_tags": [UNMARK]}
FACETS = {
    "services": {"terms": {"field": "service.name", "size": 200}},
    "levels": {"terms": {"field": "log.level", "size": 10}},
}
router = APIRouter(default_response_class=HTMLResponse)
Parameter = Annotated[str, Query(max_length=2_000)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a logs page asks for, as given."""

    q: str = ""
    since: str = "1h"
    until: str = ""
    service: str = ""
    level: str = ""
    before: str = ""

    def link(self, path: str = "/", **changes: str) -> str:
        """The page's address with ``changes``; a changed question starts at its newest line."""
        asked = asdict(replace(self, **({"before": ""} | changes)))
        given = {name: text for name, text in asked.items() if text}
        return f"{path}?{urlencode(given)}"

    def question(self, since_ms: int, until_ms: int) -> Question:
        """The question for the store."""
        terms = (("service.name", self.service), ("log.level", self.level))
        return Question(self.q, since_ms, until_ms, tuple((name, text) for name, text in terms if text), ROWS)


@dataclass(frozen=True, slots=True)
class Results:
    """What a logs page shows: rows, their number in all, the picture over time, and the counts to filter by."""

    rows: list[Row]
    total: int
    took_ms: int
    histogram: Histogram
    services: list[tuple[str, int]]
    levels: dict[str, int]
    since_ms: int
    until_ms: int

    @property
    def service_names(self) -> set[str]:
        """The services that have lines in the time range."""
        return {name for name, _ in self.services}


def asked(
    q: Parameter = "",
    since: Parameter = "1h",
    until: Parameter = "",
    service: Parameter = "",
    level: Parameter = "",
    before: Parameter = "",
) -> Asked:
    """The question in a request's parameters."""
    return Asked(q.strip(), since.strip() or "1h", until.strip(), service, level, before)


AskedOf = Annotated[Asked, Depends(asked)]


@router.get("/")
async def logs(service: Shared, asked: AskedOf) -> HTMLResponse:
    """The newest lines that match, how they spread over time, and which services and levels they come from."""
    return await logs_page("logs.html", service, asked)


@router.get("/results")
async def results(service: Shared, asked: AskedOf) -> HTMLResponse:
    """The changing part of that page, for its live refresh."""
    return await logs_page("results.html", service, asked)


async def logs_page(template: str, service: Service, asked: Asked) -> HTMLResponse:
    """A logs page; what is wrong with a query is said on it, above the box that holds it."""
    frame = {"asked": asked, "spans": SPANS, "levels": LEVELS, "page_rows": ROWS}
    try:
        found = await service.searches.run(look, service.store, asked, now_ms())
    except RequestError as error:
        if error.status != 400:
            raise
        return HTMLResponse(render("logs.html", error=error.what, found=None, **frame), 400)
    return HTMLResponse(render(template, error=None, found=found, **frame))


def look(store: Store, asked: Asked, now: int) -> Results:
    """What the logs page shows: one search for the rows and the picture, one for the counts to filter by."""
    since_ms = moment(asked.since, now, "since")
    until_ms = moment(asked.until, now, "until") if asked.until else now + 1
    if until_ms <= since_ms:
        raise QueryError(f"until: {iso(until_ms)} is not after since: {iso(since_ms)}")
    question, step = asked.question(since_ms, until_ms), step_s(since_ms, until_ms)
    older = {"search_after": [asked.before]} if asked.before else {}
    found = search_logs(store, question, aggregation(step), highlight=HIGHLIGHT, **older)
    facets = search_logs(store, replace(question, terms=(), limit=0), FACETS).aggregations
    return Results(
        rows=[row(hit) for hit in found.hits],
        total=found.total,
        took_ms=found.took_ms,
        histogram=histogram(found.aggregations["over_time"]["buckets"], since_ms, until_ms, step),
        services=sorted(counts(facets["services"]).items()),
        levels=counts(facets["levels"]),
        since_ms=since_ms,
        until_ms=until_ms,
    )


def counts(facet: dict[str, Any]) -> dict[str, int]:
    """The documents a value, from a terms aggregation's answer."""
    return {str(bucket["key"]): bucket["doc_count"] for bucket in facet["buckets"]}


@router.get("/trace")
async def trace_box(trace_id: Annotated[str, Query(alias="id", max_length=200)] = "") -> Response:
    """Where the trace box of every page leads."""
    return RedirectResponse(f"/trace/{quote(trace_id.strip(), safe='')}" if trace_id.strip() else "/", 303)


@router.get("/trace/{trace_id:path}")
async def trace(service: Shared, trace_id: Annotated[str, Path(max_length=200)]) -> HTMLResponse:
    """One transaction: which service called which, for how long, every line, and every error in full."""
    found = await service.searches.run(find_trace, service.store, trace_id)
    rows = [row(hit, span.depth, found.start_ms) for span, hit in found.lines]
    page = render("trace.html", trace=found, bars=timeline(found), rows=rows)
    return HTMLResponse(page, 200 if rows else 404)


@router.get("/status")
async def status(service: Shared) -> HTMLResponse:
    """What the process does, and the indices it keeps."""
    figures, indices = await service.searches.run(lambda: (service.figures(), service.store.indices()))
    agent = [(LABELS.get(path, label), text) for path, (label, text) in described(figures["agent"])]
    page = render("status.html", figures=figures, agent=agent, indices=indices, settings=service.settings)
    return HTMLResponse(page)


def described(figures: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each figure's path with its label and text."""
    return ((path, figure(path, shown)) for path, shown in leaves(figures))


@router.get("/login")
async def login_form() -> HTMLResponse:
    """Asks for the token."""
    return HTMLResponse(render("login.html", wrong=False))


@router.post("/login")
async def login(service: Shared, request: Request) -> Response:
    """Gives a session cookie for the right token."""
    token = service.settings.api_token
    given = parse_qs((await request.body()).decode("utf-8", "replace")).get("token", [""])[0]
    if token is not None and not same(given, token):
        return HTMLResponse(render("login.html", wrong=True), 401)
    home = RedirectResponse("/", 303)
    if token is not None:
        secure = request.url.scheme == "https"
        home.set_cookie(COOKIE, session(token), max_age=12 * 3600, httponly=True, samesite="strict", secure=secure)
    return home
