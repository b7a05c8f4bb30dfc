"""Calls by each client library, to a real server, carry the trace id of the context they are made in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider

from python_shipper.core import context, tracing
from python_shipper.core.tracing import TraceIds
from python_shipper.integrations import outgoing

W3C, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def by_httpx(url: str, headers: dict[str, str]) -> None:
    httpx.get(url, headers=headers, follow_redirects=True)


async def by_httpx_async(url: str, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(follow_redirects=True) as client:
        await client.get(url, headers=headers)


async def by_requests(url: str, headers: dict[str, str]) -> None:
    requests.get(url, headers=headers, timeout=5)


async def by_aiohttp(url: str, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        await response.read()


Call = Callable[[str, dict[str, str]], Awaitable[None]]
each_client = pytest.mark.parametrize("call", [by_httpx, by_httpx_async, by_requests, by_aiohttp])


@pytest.fixture(autouse=True)
def installed() -> None:
    assert outgoing.install() == ["httpx", "requests", "aiohttp"]
    assert outgoing.install() == ["httpx", "requests", "aiohttp"]  # a second call patches nothing twice


@each_client
def test_the_trace_id_and_traceparent_go_along(call: Call, recorder: Any) -> None:
    with tracing.entered(TraceIds(W3C, SPAN)):
        asyncio.run(call(recorder.url, {}))
    _, headers, _ = recorder.seen[0]
    assert headers["x-trace-id"] == W3C and headers["traceparent"] == f"00-{W3C}-{SPAN}-01"


@each_client
def test_an_id_that_w3c_does_not_know_goes_without_traceparent(call: Call, recorder: Any) -> None:
    with context.bound(trace_id="abc123"):
        asyncio.run(call(recorder.url, {}))
    assert recorder.seen[0][1]["x-trace-id"] == "abc123" and "traceparent" not in recorder.seen[0][1]


@each_client
def test_nothing_goes_along_without_a_trace_and_the_callers_own_header_stands(call: Call, recorder: Any) -> None:
    asyncio.run(call(recorder.url, {}))
    with context.bound(trace_id="ours"):
        asyncio.run(call(recorder.url, {"X-Trace-ID": "theirs"}))
    assert "x-trace-id" not in recorder.seen[0][1]
    assert recorder.seen[1][1]["x-trace-id"] == "theirs"


@each_client
def test_redirects_keep_it(call: Call, recorder: Any) -> None:
    with context.bound(trace_id="abc123"):
        asyncio.run(call(f"{recorder.url}/moved", {}))
    seen = [(path, headers["x-trace-id"]) for path, headers, _ in recorder.seen]
    assert seen == [("/moved", "abc123"), ("/", "abc123")]


@each_client
def test_traceparent_is_left_to_opentelemetry_where_a_span_is_active(call: Call, recorder: Any) -> None:
    tracer = TracerProvider().get_tracer("test")
    with context.bound(trace_id=W3C), tracer.start_as_current_span("call"):
        asyncio.run(call(recorder.url, {}))
    assert recorder.seen[0][1]["x-trace-id"] == W3C and "traceparent" not in recorder.seen[0][1]


@each_client
def test_another_header_name(call: Call, recorder: Any) -> None:
    outgoing.install("X-Request-ID")
    try:
        with context.bound(trace_id="abc123"):
            asyncio.run(call(recorder.url, {}))
    finally:
        outgoing.install()
    assert recorder.seen[0][1]["x-request-id"] == "abc123" and "x-trace-id" not in recorder.seen[0][1]
