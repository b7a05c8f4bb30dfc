"""httpx, sync and async: every request carries the running context's trace id."""

from __future__ import annotations

import logging
from typing import Any

import httpx

from python_shipper.core import tracing

_header: str | None = None


def install(header: str = tracing.TRACE_HEADER) -> None:
    """Patch both clients, once; a later call only changes the header. What a request already has stays."""
    global _header
    if _header is None:
        patch()
    _header = header


def patch() -> None:
    """Wrap the one method of each client that all requests pass."""
    # At DEBUG the library below it prints raw headers, cookies and all, a dozen lines a request.
    if logging.getLogger("httpcore").level == logging.NOTSET:
        logging.getLogger("httpcore").setLevel(logging.INFO)
    send, async_send = httpx.Client.send, httpx.AsyncClient.send

    def traced_send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        add_headers(request)
        return send(self, request, **options)

    async def traced_async_send(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        add_headers(request)
        return await async_send(self, request, **options)

    httpx.Client.send, httpx.AsyncClient.send = traced_send, traced_async_send  # type: ignore[method-assign]


def add_headers(request: httpx.Request) -> None:
    """Add what the caller did not set."""
    for name, value in tracing.outgoing_headers(_header or tracing.TRACE_HEADER).items():
        request.headers.setdefault(name, value)
