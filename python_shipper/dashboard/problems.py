"""What went wrong with a request, as ``{"error": {"what", "where", "do"}}`` for programs and as a page for people."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from python_shipper.dashboard.rendering import render


class RequestError(Exception):
    """A request that is refused: HTTP ``status``, what is wrong, where, and what to do."""

    def __init__(self, status: int, what: str, where: str, do: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(what)
        self.status, self.what, self.where, self.do = status, what, where, do
        self.headers = headers or {}


class ErrorDetail(BaseModel):
    """What is wrong, where it was found, and what to do."""

    what: str
    where: str
    do: str


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


def answer(problem: RequestError, path: str) -> Response:
    """The response: JSON under /api/ and /metrics, a page elsewhere."""
    detail = {"what": problem.what, "where": problem.where, "do": problem.do}
    if path.startswith(("/api/", "/metrics", "/openapi.json")):
        return JSONResponse({"error": detail}, problem.status, headers=problem.headers)
    page = render("problem.html", status=problem.status, **detail)
    return Response(page, problem.status, headers=problem.headers, media_type="text/html")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these error statuses."""
    return {status: {"model": ErrorBody, "description": MEANINGS[status]} for status in statuses}


async def handle_request_error(request: Request, error: Exception) -> Response:
    """The handler for :class:`RequestError`."""
    assert isinstance(error, RequestError)  # noqa: S101  registered for this type only
    return answer(error, request.url.path)


async def handle_invalid(request: Request, error: Exception) -> Response:
    """The handler for parameters and bodies that do not fit their description."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this type only
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return answer(RequestError(400, first["msg"], where, "see /openapi.json for what is taken"), request.url.path)


async def handle_http(request: Request, error: Exception) -> Response:
    """The handler for what the router itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this type only
    path, do = request.url.path, "see /openapi.json for what is offered"
    headers = {"allow": ", ".join(allowed(request))} if error.status_code == 405 else {}
    return answer(RequestError(error.status_code, error.detail, path, do, headers), path)


def allowed(request: Request) -> list[str]:
    """The methods that any route takes at the request's path; the router names those of the first only."""
    fits = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fits for method in getattr(route, "methods", None) or ()})


async def handle_unexpected(request: Request, error: Exception) -> Response:
    """The handler for our own mistakes: no inner detail leaves the process; the server logs it."""
    do = "try again; the process's own log has the detail"
    return answer(RequestError(500, "something went wrong here", request.url.path, do), request.url.path)


MEANINGS = {
    400: "The request cannot be read, or asks for what is not supported.",
    401: "The token is missing or wrong.",
    404: "There is nothing of that name.",
    405: "The method is not offered here.",
    413: "The request's body is too large.",
    421: "The Host header names another server.",
    503: "Too many searches at once, or the store cannot be read; try again.",
    504: "The search took too long; narrow its time range.",
}
