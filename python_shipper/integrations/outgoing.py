"""Outgoing calls carry the trace id: every HTTP client library that is installed is told, and none is required."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from python_shipper.core import tracing

CLIENTS = ("httpx", "requests", "aiohttp")


def install(header: str = tracing.TRACE_HEADER) -> list[str]:
    """Make each installed client library send ``header`` and `traceparent`; the names of those found."""
    found = [name for name in CLIENTS if find_spec(name)]
    for name in found:
        import_module(f"python_shipper.integrations.{name}").install(header)
    return found
