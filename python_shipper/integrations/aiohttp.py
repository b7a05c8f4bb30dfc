"""aiohttp's client: every request carries the running context's trace id."""

from __future__ import annotations

from typing import Any

import aiohttp

from python_shipper.core import tracing

_header: str | None = None


def install(header: str = tracing.TRACE_HEADER) -> None:
    """Patch `ClientSession`, once, for sessions made from now on; a later call only changes the header."""
    global _header
    if _header is None:
        patch()
    _header = header


def patch() -> None:
    """Give each new session a trace config: aiohttp's own way of seeing all requests."""
    make = aiohttp.ClientSession.__init__

    def traced_init(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(add_headers)
        options["trace_configs"] = [*(options.get("trace_configs") or ()), config]
        make(self, *args, **options)

    aiohttp.ClientSession.__init__ = traced_init  # type: ignore[method-assign]


async def add_headers(session: Any, context: Any, params: Any) -> None:
    """Add what the caller did not set; ``params.headers`` are the request's own."""
    for name, value in tracing.outgoing_headers(_header or tracing.TRACE_HEADER).items():
        params.headers.setdefault(name, value)
