"""requests: every call carries the running context's trace id."""

from __future__ import annotations

from typing import Any

import requests

from python_shipper.core import tracing

_header: str | None = None


def install(header: str = tracing.TRACE_HEADER) -> None:
    """Patch `Session.send`, once; a later call only changes the header. What a request has stays."""
    global _header
    if _header is None:
        patch()
    _header = header


def patch() -> None:
    """Wrap the one method that all requests pass."""
    send = requests.Session.send

    def traced_send(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        add_headers(request)
        return send(self, request, **options)

    requests.Session.send = traced_send  # type: ignore[method-assign]


def add_headers(request: requests.PreparedRequest) -> None:
    """Add what the caller did not set."""
    for name, value in tracing.outgoing_headers(_header or tracing.TRACE_HEADER).items():
        request.headers.setdefault(name, value)
