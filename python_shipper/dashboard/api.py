"""The JSON API: Elasticsearch's `_search` subset, and the questions of the command line as plain GET requests."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from python_shipper.core.clock import now_ms
from python_shipper.dashboard.problems import RequestError, documented
from python_shipper.dashboard.service import Shared
from python_shipper.store import LOGS
from python_shipper.store.logs import Question, condition, moment, search_logs
from python_shipper.store.traces import as_json, find_trace

MOST_HITS = 1_000
router = APIRouter(responses=documented(400, 401, 413, 421, 503, 504))


class SearchBody(BaseModel):
    """The part of Elasticsearch's `_search` body that is taken; anything else in it or its parts is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: dict[str, Any] | None = None
    aggs: dict[str, Any] | None = None
    aggregations: dict[str, Any] | None = None
    size: int = Field(default=10, ge=0, le=MOST_HITS)
    from_: int = Field(default=0, ge=0, le=10_000, alias="from")
    sort: list[Any] | dict[str, Any] | str | None = None
    search_after: list[Any] | None = None
    highlight: dict[str, Any] | None = None
    source: bool | str | list[str] | dict[str, Any] | None = Field(default=None, alias="_source")
    track_total_hits: bool | int = True


class Index(BaseModel):
    """One index: its name, number of documents, and size in bytes."""

    name: str
    documents: int
    size_bytes: int


class Findings(BaseModel):
    """What is wrong now, what was lately, and how services and their operations do in the last minute."""

    open: list[dict[str, Any]]
    ended: list[dict[str, Any]]
    last_minute: list[dict[str, Any]]


INDEX = r"^[a-z0-9_.*,-]+$"
Pattern = Annotated[
    str, Query(alias="index", max_length=256, pattern=INDEX, description="Index name, pattern, or comma list.")
]
Text = Annotated[str, Query(max_length=2_000, description="In the query language: level:error service:orders timeout")]
When = Annotated[str | None, Query(max_length=40, description="15m, 1h, 2d ago, or an ISO 8601 time.")]
Exact = Annotated[str | None, Query(max_length=256)]
Limit = Annotated[int, Query(ge=0, le=MOST_HITS)]
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
TraceId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")]


@router.get("/api/search", summary="Search by query string", response_model=dict[str, Any])
async def search(service: Shared, q: Text = "", index: Pattern = LOGS, size: Limit = 10) -> Response:
    """Elasticsearch's `_search` response for a query in the query language."""
    body = {"query": condition(Question(q)), "size": size}
    return json(await service.searches.run(service.store.search, index, body))


@router.post("/api/search", summary="Search by Elasticsearch's _search body", response_model=dict[str, Any])
async def search_body(service: Shared, body: SearchBody, index: Pattern = LOGS) -> Response:
    """Elasticsearch's `_search` response for the supported subset of its body."""
    given = body.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return json(await service.searches.run(service.store.search, index, given))


@router.get("/api/logs", summary="The newest log lines that match", response_model=dict[str, Any])
async def logs(
    service: Shared,
    q: Text = "",
    since: When = None,
    until: When = None,
    service_name: Annotated[str | None, Query(alias="service", max_length=256)] = None,
    level: Exact = None,
    limit: Limit = 100,
) -> Response:
    """``{total, took_ms, hits: [{_index, _id, _source}]}``, newest first."""
    terms = {"service.name": service_name, "log.level": level.lower() if level else None}
    found = await service.searches.run(lambda: search_logs(service.store, asked(q, since, until, terms, limit)))
    return json({"total": found.total, "took_ms": found.took_ms, "hits": found.hits})


@router.get("/api/traces/{trace_id}", summary="One transaction across services", responses=documented(404))
async def trace(service: Shared, trace_id: TraceId) -> dict[str, Any]:
    """Its spans, callers first, and its lines in time order; times in ms."""
    found = await service.searches.run(find_trace, service.store, trace_id)
    if not found.lines:
        raise RequestError(404, f"no line has the trace id {trace_id}", "trace id", "check it, or wait a second")
    return as_json(found)


@router.get("/api/indices", summary="The indices", response_model=list[Index])
async def indices(service: Shared) -> list[dict[str, Any]]:
    """Name, number of documents and size of every index."""
    return await service.searches.run(service.index_rows)


@router.get("/api/status", summary="What the process does")
async def status(service: Shared) -> dict[str, Any]:
    """The agent's figures (lag, lines, dead letters, …) and the store's."""
    return await service.searches.run(service.figures)


@router.get("/api/findings", summary="What the real-time analysis found", response_model=Findings)
async def findings(service: Shared) -> dict[str, Any]:
    """Open findings, those that ended lately, and the last minute's rate, error ratio and latency by operation."""
    return await service.searches.run(service.findings)


@router.get("/metrics", summary="Figures and log counts for Prometheus", response_class=Response, responses=TEXT)
async def prometheus(service: Shared, request: Request) -> Response:
    """Prometheus' text format, or OpenMetrics (with exemplars) where the header Accept asks for it."""
    text, content_type = await service.searches.run(service.metrics, request.headers.get("accept", ""))
    return Response(text, headers={"content-type": content_type})


def asked(query: str, since: str | None, until: str | None, terms: dict[str, str | None], limit: int) -> Question:
    """The question that request parameters make up; empty ones do not bound."""
    now = now_ms()
    since_ms = moment(since, now, "since") if since else None
    until_ms = moment(until, now, "until") if until else None
    given = tuple((name, text) for name, text in terms.items() if text)
    return Question(query, since_ms, until_ms, given, limit)


def json(content: Any) -> Response:
    """A JSON response of documents as they are."""
    return Response(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
