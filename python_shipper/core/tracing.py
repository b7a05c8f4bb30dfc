"""One trace id follows a request through every service: how it is received, made, put on log lines and sent on.

Received `X-Trace-ID` (1 to 128 of ``[A-Za-z0-9._-]``), else W3C `traceparent`, else the active OpenTelemetry span,
else 32 new hex digits. Neither OpenTelemetry nor asgi-correlation-id is imported here: where the application has
loaded them, what they hold for the running request is read.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

from python_shipper.core import context

TRACE_HEADER = "X-Trace-ID"
TRACE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
W3C_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
# https://www.w3.org/TR/trace-context/#traceparent-header; only a later version than 00 may have further parts.
TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
TRACESTATE = re.compile(r"[ -~]{1,512}")  # as much as W3C asks to send on, in characters that every client can send
NOTHING: Mapping[str, str] = MappingProxyType({})


class TraceIds(NamedTuple):
    """The ids of one request in this service."""

    trace_id: str
    span_id: str  # 16 hex digits: this service's part of the trace
    parent_span_id: str | None = None  # the caller's part, from its traceparent
    flags: str = "01"  # W3C trace flags, sent on as received
    tracestate: str | None = None  # sent on unread, as W3C asks

    def fields(self) -> dict[str, str]:
        """What every line of the request carries, by the names of the field contract."""
        parent = {"labels.parent_span_id": self.parent_span_id} if self.parent_span_id else {}
        return {"trace_id": self.trace_id, "span_id": self.span_id, **parent}


_request: ContextVar[TraceIds | None] = ContextVar("python_shipper_trace", default=None)


def is_trace_id(text: str) -> bool:
    """Whether ``text`` may be a trace id; the `validator` for asgi-correlation-id's middleware."""
    return TRACE_ID.fullmatch(text) is not None


def new_trace_id() -> str:
    """The active OpenTelemetry span's trace id, else 32 new hex digits; the `generator` for that middleware."""
    span = _active_span()
    return f"{span.trace_id:032x}" if span else secrets.token_hex(16)


def accept(headers: Mapping[str, str], header: str = TRACE_HEADER) -> TraceIds:
    """The ids of a request received with ``headers`` (names in any case); one that does not fit counts as absent."""
    given = {name.lower(): value for name, value in headers.items()}
    parent = TRACEPARENT.fullmatch(given.get("traceparent", ""))
    if parent and parent["version"] == "00" and parent["more"]:
        parent = None
    own = given.get(header.lower(), "")
    trace_id = own if is_trace_id(own) else parent["trace"] if parent else new_trace_id()
    span = _active_span()
    span_id = f"{span.span_id:016x}" if span else secrets.token_hex(8)
    if parent is None:
        return TraceIds(trace_id, span_id)
    state = TRACESTATE.fullmatch(given.get("tracestate", ""))
    return TraceIds(trace_id, span_id, parent["span"], parent["flags"], state[0] if state else None)


@contextmanager
def entered(ids: TraceIds) -> Iterator[None]:
    """Make ``ids`` those of a `with` block: on its log lines, and on its outgoing calls."""
    before = _request.get()
    _request.set(ids)
    try:
        with context.bound(**ids.fields()):
            yield
    finally:
        _request.set(before)


def current() -> str | None:
    """The trace id of the running context: bound, else asgi-correlation-id's, else the active OpenTelemetry span's."""
    bound = context.current().get("trace_id")
    if isinstance(bound, str):
        return bound
    correlation_id = _correlation_id()
    if correlation_id:
        return correlation_id
    span = _active_span()
    return f"{span.trace_id:032x}" if span else None


def outgoing_headers(header: str = TRACE_HEADER) -> dict[str, str]:
    """The headers that carry the running context's trace id to the next service; none where there is no trace id.

    `traceparent` goes along when the trace id is one that W3C allows, except under an active OpenTelemetry span, whose
    own instrumentation sends it.
    """
    trace_id = current()
    if trace_id is None or not is_trace_id(trace_id):
        return {}
    if _active_span() or not W3C_TRACE_ID.fullmatch(trace_id):
        return {header: trace_id}
    request = _request.get()
    if request is None or request.trace_id != trace_id:
        return {header: trace_id, "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    state = {"tracestate": request.tracestate} if request.tracestate else {}
    return {header: trace_id, "traceparent": f"00-{trace_id}-{request.span_id}-{request.flags}", **state}


def fields(bound: Mapping[str, Any]) -> Mapping[str, str]:
    """What a record carries over the ``bound`` fields: ids from asgi-correlation-id and from OpenTelemetry.

    Called once a record: where there is no active span and the trace id is bound it costs three look-ups.
    """
    span = _active_span()
    ours = bound.get("trace_id")
    ids: dict[str, str] = {}
    if ours is None:
        ours = _correlation_id()
        if ours is not None:
            ids["trace_id"] = ours
    if span is None:
        return ids or NOTHING
    otel = f"{span.trace_id:032x}"
    ids["span_id"] = f"{span.span_id:016x}"
    if ours is None:
        ids["trace_id"] = otel
    elif ours != otel:
        ids["labels.otel_trace_id"] = otel
    return ids


def _correlation_id() -> str | None:
    """What asgi-correlation-id's middleware set for the running request, if the application has loaded it."""
    variable = getattr(sys.modules.get("asgi_correlation_id.context"), "correlation_id", None)
    value = variable.get() if variable is not None else None
    return value if isinstance(value, str) and value else None


def _active_span() -> Any:
    """OpenTelemetry's context of the active span (`trace_id`, `span_id` as integers), if there is one."""
    # None also while another thread is still importing it
    get_current_span = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if get_current_span is None:
        return None
    found = get_current_span().get_span_context()
    return found if found.is_valid else None
