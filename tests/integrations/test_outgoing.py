"""Calls by each client library, to a real server, carry the trace id of the context they are made in."""

import asyncio
import subprocess
import sys
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
    outgoing.install()
    outgoing.install()  # a second call patches nothing twice


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


LATE = """
import sys
from python_shipper.core import context
from python_shipper.integrations import outgoing

outgoing.install()
assert not {"httpx", "requests", "aiohttp"} & set(sys.modules), "nothing is imported for the application"

from importlib.util import find_spec

assert find_spec("httpx") and "httpx" not in sys.modules  # only looking is no import

import asyncio, aiohttp, httpx, requests

async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as response:
        await response.read()

with context.bound(trace_id="abc123"):
    httpx.get(sys.argv[1])
    requests.get(sys.argv[1], timeout=5)
    asyncio.run(by_aiohttp())
assert httpx.__spec__.name == "httpx" and outgoing.later.waiting == set()
"""


def test_libraries_imported_later_are_told_then_and_none_is_imported_before(recorder: Any) -> None:
    subprocess.run([sys.executable, "-c", LATE, recorder.url], check=True, timeout=60)
    assert [headers["x-trace-id"] for _, headers, _ in recorder.seen] == ["abc123"] * 3


def test_a_library_that_is_missing_stays_so() -> None:
    code = """
import sys
from python_shipper.integrations import outgoing
sys.path = [entry for entry in sys.path if "site-packages" not in entry]
outgoing.install()
try:
    import requests
except ModuleNotFoundError as error:
    assert error.name == "requests"
else:
    raise AssertionError("requests is there")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
