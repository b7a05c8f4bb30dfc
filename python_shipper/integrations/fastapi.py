"""FastAPI and Starlette in one call: trace ids, access lines, exceptions, outgoing headers, debug detail, Sentry.

A context variable that a *synchronous* dependency or endpoint sets is lost when it returns: the framework runs it in a
copy of the context, in a thread. Bind in an ``async def`` dependency, or in middleware.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from asgi_correlation_id import CorrelationIdMiddleware
from asgi_correlation_id.context import correlation_id
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from python_shipper.core import tracing
from python_shipper.core.config import active
from python_shipper.errors import ConfigurationError
from python_shipper.integrations import detail, outgoing, sentry
from python_shipper.integrations.asgi import STATE, Exchange, RequestLog
from python_shipper.settings import Settings


def install(app: Starlette, settings: Settings | None = None) -> None:
    """Add everything to ``app``; before it serves, after or before its own middleware. A second call does nothing.

    An exception handler for ``Exception`` or 500 that the application has, or adds later, makes the response instead
    of ours; the line and the header stay.

    Raises:
        ConfigurationError: the application already serves, or a setting cannot be used.
    """
    if getattr(app.state, "python_shipper", False):
        return
    if app.middleware_stack is not None:
        raise ConfigurationError("fastapi.install(app): the application already serves; call it right after FastAPI()")
    settings = settings or active()
    app.state.python_shipper = True
    if not {500, Exception} & set(app.exception_handlers):
        app.add_exception_handler(Exception, json_500)
    wrap_outermost(app, settings)
    outgoing.install(settings.trace_header)
    sentry.install(settings)
    if detail.wanted(settings, settings.log_sql) and find_spec("sqlalchemy"):
        import_module("python_shipper.integrations.sqlalchemy").install(settings=settings)


def wrap_outermost(app: Starlette, settings: Settings) -> None:
    """Put our wrapper around the whole stack: user middleware runs inside Starlette's own error handler, we outside."""
    build = app.build_middleware_stack

    def build_wrapped() -> ASGIApp:
        return RequestLog(
            Correlation(build(), settings.trace_header),
            header=settings.trace_header,
            bodies=detail.wanted(settings, settings.log_bodies),
        )

    app.build_middleware_stack = build_wrapped  # type: ignore[method-assign]


class Correlation:
    """asgi-correlation-id's middleware with the contract's header, ids and validator, leaving nothing behind."""

    def __init__(self, app: ASGIApp, header: str) -> None:
        self.app = CorrelationIdMiddleware(
            app, header_name=header, generator=request_trace_id, validator=tracing.is_trace_id, transformer=None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = correlation_id.set(None)
        try:
            await self.app(scope, receive, send)
        finally:
            correlation_id.reset(token)


def request_trace_id() -> str:
    """The trace id that `RequestLog` settled on for this request."""
    return tracing.current() or tracing.new_trace_id()


async def json_500(request: Request, error: Exception) -> Response:
    """The answer to an unhandled exception, which is logged here, before the access line."""
    exchange: Exchange = request.scope[STATE]
    exchange.log_exception(error)
    return JSONResponse({"detail": "Internal Server Error", "trace_id": exchange.ids.trace_id}, status_code=500)
