"""Around any ASGI application: the trace id on every line, one access line, an unhandled exception logged once.

The access line (logger ``python_shipper.access``, INFO) is written when the last part of the response is ready, before
background tasks: ``http.request.method``, ``url.path``, ``christmas.operation`` (method and route template),
``http.response.status_code``, ``http.response.body.bytes``, ``event.duration`` (nanoseconds), ``client.ip``,
``event.outcome``. A websocket gets one line when it closes; its status is 101, or 403 where it was not accepted.

Who called whom: each request has its own ``span.id`` (OpenTelemetry's where a span is active), which outgoing calls
send in `traceparent`; the service called has it as ``labels.parent_span_id`` on each of its lines. A trace id that is
not 32 hex digits (``abc123``) cannot travel in `traceparent`: such a trace has no parents, only times.

An exception that leaves the application is logged as ERROR with its stack trace, answered by a JSON 500 if nothing was
sent yet, and raised again, as Starlette does; the server's own report of the same exception is dropped.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from python_shipper.core import tracing
from python_shipper.core.tracing import TraceIds
from python_shipper.core.values import MISFIT, ip
from python_shipper.integrations.detail import Detail

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

access_log = logging.getLogger("python_shipper.access")
error_log = logging.getLogger("python_shipper.http")
STATE = "python_shipper.request"  # where a request's Exchange is kept in its scope
MARK = "_python_shipper_logged_in"  # on an exception: the span in which it was logged


class Exchange:
    """One request and its response, as far as it has come."""

    def __init__(self, scope: Scope, ids: TraceIds, header: str, detail: Detail | None) -> None:
        self.scope, self.ids, self.header, self.detail = scope, ids, header, detail
        self.websocket = scope["type"] == "websocket"
        self.root_path = scope.get("root_path", "")
        self.began_ns = time.perf_counter_ns()
        self.status: int | None = None
        self.sent_bytes = 0
        self.written = False

    def sent(self, message: Message) -> None:
        """Note what ``message`` tells, and write the access line after the last one."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close" and self.status is None:
            self.status = 403
        part = message.get("body") or message.get("bytes") or message.get("text") or b""
        self.sent_bytes += len(part.encode() if isinstance(part, str) else part)
        if self.detail:
            self.detail.sent(message)
        if kind == "http.response.body" and not message.get("more_body"):
            self.write()

    def write(self) -> None:
        """Write the access line, once."""
        if self.written:
            return
        self.written = True
        fields = self.fields()
        if self.detail:
            fields.update(self.detail.fields())
        # Few different texts, which group well and are masked quickly; path and duration are fields.
        status = self.status if self.status is not None else "no response"
        access_log.info("%s %s", fields["operation"], status, extra=fields)

    def fields(self) -> dict[str, Any]:
        """The access line's fields by their ECS names."""
        scope, status = self.scope, self.status
        fields: dict[str, Any] = {
            "event.outcome": "unknown" if status is None else "failure" if status >= 500 else "success",
            "event.duration": time.perf_counter_ns() - self.began_ns,
            "http.request.method": self.method,
            "url.path": scope["path"],
            "operation": f"{self.method} {route(scope, self.root_path)}",
            "http.response.body.bytes": self.sent_bytes,
        }
        if status is not None:
            fields["http.response.status_code"] = status
        if scope.get("query_string"):
            fields["url.query"] = scope["query_string"].decode("latin-1")
        if scope.get("client"):
            fields[address_field(scope["client"][0])] = scope["client"][0]
        return fields

    @property
    def method(self) -> str:
        """The HTTP method; a websocket's is named so."""
        return "WEBSOCKET" if self.websocket else str(self.scope["method"])

    def log_exception(self, error: BaseException) -> None:
        """Log ``error`` as ERROR with its stack trace unless this request did so before."""
        if vars(error).get(MARK) == self.ids.span_id:
            return
        vars(error)[MARK] = self.ids.span_id  # past a __setattr__ of its own
        fields = {"http.request.method": self.method, "url.path": self.scope["path"]}
        what = (type(error).__name__, self.method, self.scope["path"])
        error_log.error("unhandled %s in %s %s", *what, exc_info=error, extra=fields)

    async def send_500(self, send: Send) -> None:
        """Answer with the JSON 500 that names the trace id in body and header."""
        body = json.dumps({"detail": "Internal Server Error", "trace_id": self.ids.trace_id}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (self.header.lower().encode("latin-1"), self.ids.trace_id.encode("latin-1")),
        ]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class RequestLog:
    """The ASGI wrapper; put it outermost. ``bodies``: add headers and bodies to the access line (debug mode)."""

    def __init__(self, app: ASGIApp, *, header: str = tracing.TRACE_HEADER, bodies: bool = False) -> None:
        self.app, self.header, self.bodies = app, header, bodies
        drop_server_duplicates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or STATE in scope:  # in it: an application mounted in another
            await self.app(scope, receive, send)
            return
        # reversed: the first header of a name counts
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        ids = tracing.accept(headers, self.header)
        detail = Detail(headers) if self.bodies else None
        exchange = scope[STATE] = Exchange(scope, ids, self.header, detail)
        with tracing.entered(ids):
            await self.run(exchange, detail.receiving(receive) if detail else receive, send)

    async def run(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Run the application, watching what it sends."""

        async def watched(message: Message) -> None:
            exchange.sent(message)  # first: whoever has the answer finds the line
            await send(message)

        try:
            await self.app(exchange.scope, receive, watched)
        except Exception as error:
            exchange.log_exception(error)
            if exchange.status is None and not exchange.websocket:
                await exchange.send_500(watched)
            raise
        finally:
            exchange.write()


def route(scope: Scope, root_path: str = "") -> str:
    """The template of the route that matched, such as ``/orders/{order_id}``; ``(no route)`` where none did.

    ``root_path`` is the server's own; what the scope's has more by now was added by mounts.
    """
    mounted = str(scope.get("root_path", ""))[len(root_path) :]
    # FastAPI's route knows only its own router's prefix; this has all of them.
    found = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    path = getattr(found, "path", None)
    if isinstance(path, str) and not hasattr(found, "routes"):
        return mounted + path
    return f"{mounted}/{{path}}" if mounted else "(no route)"  # inside a mount: its application has its own ways


@lru_cache(maxsize=1024)
def address_field(text: str) -> str:
    """``client.ip`` takes addresses only; anything else (a socket's or a test client's name) is ``client.address``."""
    return "client.address" if ip(text) is MISFIT else "client.ip"


def not_logged_here(record: logging.LogRecord) -> bool:
    """Whether a server's record is about something else than an exception that `RequestLog` has logged."""
    error = record.exc_info[1] if record.exc_info else None
    return error is None or MARK not in vars(error)


def drop_server_duplicates() -> None:
    """Let uvicorn neither repeat an exception nor write its text access line beside ours."""
    logging.getLogger("uvicorn.error").addFilter(not_logged_here)
    logging.getLogger("uvicorn.access").addFilter(drop)


def drop(record: logging.LogRecord) -> bool:
    """Drop every record."""
    return False
