"""FastAPI applications with `install(app)` on a real uvicorn: what is logged, and what comes back."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

from python_shipper import bind
from python_shipper.core import context, tracing
from python_shipper.errors import ConfigurationError
from python_shipper.integrations import fastapi
from python_shipper.integrations.asgi import RequestLog
from python_shipper.settings import Settings
from python_shipper.testing import capture
from tests.spec import validator

log = logging.getLogger("tests.app")
Serve = Callable[[Any], str]
Lines = list[dict[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture() as captured:
        yield captured
    assert [found for line in captured if (found := validator.problems(line))] == []


def of(lines: Lines, logger: str) -> Lines:
    return [line for line in lines if line["log"]["logger"] == logger]


def access(lines: Lines) -> Lines:
    return of(lines, "python_shipper.access")


def errors(lines: Lines) -> Lines:
    return [line for line in lines if line["log.level"] in ("error", "critical")]


def eventually(lines: Lines) -> Lines:
    """The errors, where the framework answers before it raises again: the client may be ahead of the line."""
    until = time.monotonic() + 10
    while not errors(lines) and time.monotonic() < until:
        time.sleep(0.005)
    return errors(lines)


def application(**settings: Any) -> FastAPI:
    app = FastAPI()
    fastapi.install(app, Settings(**settings))
    orders = APIRouter(prefix="/orders")

    @orders.get("/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        bind(order_id=order_id)
        log.info("order read")
        return {"order_id": order_id}

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such account 110-234-567890")

    @app.post("/echo")
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(await request.json(), headers={"Set-Cookie": "session=s3cr3t-session"})

    app.include_router(orders)
    return app


def test_a_request_has_one_trace_id_on_every_line_and_in_the_answer(serve: Serve, lines: Lines) -> None:
    response = httpx.get(f"{serve(application())}/orders/o1?page=2", headers={"X-Trace-ID": "abc123"})
    assert response.headers.get_list("x-trace-id") == ["abc123"]
    (business,), (line,) = of(lines, "tests.app"), access(lines)
    assert business["trace"]["id"] == line["trace"]["id"] == "abc123"
    assert business["span"]["id"] == line["span"]["id"]
    assert business["christmas"]["order"]["id"] == line["christmas"]["order"]["id"] == "o1"


def test_the_access_line_is_structured_and_takes_the_place_of_uvicorns(serve: Serve, lines: Lines) -> None:
    url = serve(application())
    body = httpx.get(f"{url}/orders/o1?page=2").content
    (line,) = access(lines)
    assert line["http"]["request"]["method"] == "GET"
    assert line["http"]["response"] == {"status_code": 200, "body": {"bytes": len(body)}}
    assert line["url"] == {"path": "/orders/o1", "query": "page=2"}
    assert line["christmas"]["operation"] == "GET /orders/{order_id}"
    assert line["client"]["ip"] == "127.0.0.1"
    assert line["event"]["outcome"] == "success" and 0 < line["event"]["duration"] < 60 * 10**9
    assert line["log.level"] == "info"
    assert of(lines, "uvicorn.access") == []


def test_the_route_is_the_whole_template_through_routers_and_mounts(lines: Lines, tmp_path: Path) -> None:
    app, inner, outer = application(), APIRouter(prefix="/in/{shop}"), APIRouter(prefix="/out")

    @inner.get("/c/{item:path}")
    async def c(shop: str, item: str) -> str:
        return item

    sub = application()
    outer.include_router(inner)
    app.include_router(outer, prefix="/v1")
    app.mount("/sub", sub)
    (tmp_path / "a.txt").write_text("static")
    app.mount("/files", StaticFiles(directory=tmp_path))
    client = TestClient(app)
    for path in ("/v1/out/in/s1/c/a/b", "/sub/orders/o1", "/files/a.txt", "/sub/none"):
        client.get(path)
    starlette = Starlette(routes=[Mount("/m", routes=[Route("/b/{n:int}", lambda request: PlainTextResponse("x"))])])
    fastapi.install(starlette)
    TestClient(starlette, root_path="/behind/a/proxy").get("/behind/a/proxy/m/b/7")
    assert [line["christmas"]["operation"] for line in access(lines)] == [
        "GET /v1/out/in/{shop}/c/{item:path}",
        "GET /sub/orders/{order_id}",
        "GET /files/{path}",
        "GET /sub/{path}",
        "GET /m/b/{n:int}",
    ]


@pytest.mark.parametrize(("path", "status", "operation"), [("/none", 404, "GET (no route)"), ("/echo", 405, None)])
def test_refused_requests_have_access_lines_too(
    serve: Serve, lines: Lines, path: str, status: int, operation: str | None
) -> None:
    response = httpx.get(serve(application()) + path)
    (line,) = access(lines)
    assert line["http"]["response"]["status_code"] == status
    assert response.headers["x-trace-id"] == line["trace"]["id"]
    assert operation is None or line["christmas"]["operation"] == operation
    assert errors(lines) == []


def test_traceparent_gives_trace_and_parent(serve: Serve, lines: Lines) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    httpx.get(f"{serve(application())}/orders/o1", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
    (line,) = access(lines)
    assert line["trace"]["id"] == trace_id and line["labels"]["parent_span_id"] == span_id
    assert line["span"]["id"] not in (span_id, trace_id)


def test_an_id_that_does_not_fit_is_replaced_and_that_is_said(serve: Serve, lines: Lines) -> None:
    response = httpx.get(f"{serve(application())}/orders/o1", headers={"X-Trace-ID": "no spaces"})
    (line,), (said,) = access(lines), of(lines, "asgi_correlation_id")
    assert line["trace"]["id"] == said["trace"]["id"] == response.headers["x-trace-id"] != "no spaces"
    assert said["log.level"] == "warning"


def test_another_header_name(serve: Serve, lines: Lines) -> None:
    url = serve(application(trace_header="X-Request-ID"))
    assert httpx.get(f"{url}/orders/o1", headers={"X-Request-ID": "r1"}).headers["x-request-id"] == "r1"
    assert access(lines)[0]["trace"]["id"] == "r1"


def test_an_unhandled_exception_is_logged_once_and_answered_with_its_trace_id(serve: Serve, lines: Lines) -> None:
    response = httpx.get(f"{serve(application())}/boom", headers={"X-Trace-ID": "abc123"})
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal Server Error", "trace_id": "abc123"}
    assert response.headers.get_list("x-trace-id") == ["abc123"]
    (error,) = errors(lines)
    assert error["message"] == "unhandled ValueError in GET /boom"
    assert error["error"]["type"] == "ValueError" and "in boom" in error["error"]["stack_trace"]
    assert error["error"]["message"] == "no such account ***7890" and "234" not in error["error"]["stack_trace"]
    assert error["trace"]["id"] == access(lines)[0]["trace"]["id"] == "abc123"
    assert access(lines)[0]["event"]["outcome"] == "failure"
    assert lines.index(error) < lines.index(access(lines)[0])


def test_the_same_exception_object_in_the_next_request_is_logged_again(serve: Serve, lines: Lines) -> None:
    app = application()
    error = RuntimeError("one for all")

    @app.get("/same")
    async def same() -> None:
        raise error

    url = serve(app)
    ids = [httpx.get(f"{url}/same").headers["x-trace-id"] for _ in range(2)]
    assert [line["trace"]["id"] for line in errors(lines)] == ids


def test_an_exception_that_takes_no_attributes(serve: Serve, lines: Lines) -> None:
    class Rigid(Exception):  # noqa: N818
        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("__"):  # contextlib sets __traceback__ and __context__
                raise AttributeError(name)

    app = application()

    @app.get("/rigid")
    async def rigid() -> None:
        raise Rigid

    assert httpx.get(f"{serve(app)}/rigid").status_code == 500
    assert [line["error"]["type"] for line in errors(lines)] == ["Rigid"]


def test_an_exception_in_the_applications_own_middleware_is_caught_too(serve: Serve, lines: Lines) -> None:
    app = application()

    class Broken(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            await call_next(request)
            raise KeyError("in middleware")

    app.add_middleware(Broken)
    response = httpx.get(f"{serve(app)}/orders/o1")
    (error,) = errors(lines)
    assert response.status_code == 500 and response.json()["trace_id"] == error["trace"]["id"]
    assert error["error"]["type"] == "KeyError"


def test_the_applications_own_handler_makes_the_answer(serve: Serve, lines: Lines) -> None:
    app = application()

    @app.exception_handler(Exception)
    async def sorry(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"sorry": True}, status_code=500)

    response = httpx.get(f"{serve(app)}/boom")
    (error,) = eventually(lines)
    assert response.json() == {"sorry": True} and response.headers["x-trace-id"] == error["trace"]["id"]


def test_debug_mode_of_the_framework_still_logs_once(serve: Serve, lines: Lines) -> None:
    app = application()
    app.debug = True
    response = httpx.get(f"{serve(app)}/boom")
    (error,) = eventually(lines)
    assert "Traceback" in response.text and response.headers["x-trace-id"] == error["trace"]["id"]


def test_an_http_exception_is_no_error(serve: Serve, lines: Lines) -> None:
    app = application()

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    assert httpx.get(f"{serve(app)}/teapot").status_code == 418
    assert errors(lines) == [] and access(lines)[0]["http"]["response"]["status_code"] == 418


def test_streaming_is_passed_on_piece_by_piece_and_timed_to_its_end(serve: Serve, lines: Lines) -> None:
    app = application()
    go_on = asyncio.Event()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.wait_for(go_on.wait(), 10)
            log.info("second piece")
            yield b"second"

        return StreamingResponse(pieces())

    @app.get("/go-on")
    async def release() -> None:
        go_on.set()

    url = serve(app)
    with httpx.stream("GET", f"{url}/stream", headers={"X-Trace-ID": "abc123"}) as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"first"
        assert access(lines) == []
        httpx.get(f"{url}/go-on")
        assert b"".join(pieces) == b"second"
    line = next(line for line in access(lines) if line["url"]["path"] == "/stream")
    assert line["http"]["response"]["body"]["bytes"] == 11
    assert of(lines, "tests.app")[0]["trace"]["id"] == "abc123"


def test_a_stream_that_breaks_is_one_error_and_a_cut_response(serve: Serve, lines: Lines) -> None:
    app = application()

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            raise OSError("disk gone")

        return StreamingResponse(pieces())

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{serve(app)}/broken")
    found = eventually(lines)
    assert [line["error"]["type"] for line in found if "error" in line] == ["OSError"]
    assert access(lines)[0]["http"]["response"]["status_code"] == 200


def test_background_tasks_run_after_the_access_line_with_the_same_trace(serve: Serve, lines: Lines) -> None:
    app = application()

    def fail() -> None:
        log.info("in the background")
        raise LookupError("too late for the client")

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    assert httpx.get(f"{serve(app)}/later", headers={"X-Trace-ID": "abc123"}).status_code == 200
    eventually(lines)
    mine = [line for line in lines if line.get("trace", {}).get("id") == "abc123"]
    assert [line["log"]["logger"] for line in mine] == ["python_shipper.access", "tests.app", "python_shipper.http"]
    assert mine[2]["error"]["type"] == "LookupError"


def test_websockets_get_one_line_when_they_close(lines: Lines) -> None:
    app = application()

    @app.websocket("/ws/{room}")
    async def ws(socket: WebSocket, room: str) -> None:
        if room == "closed":
            await socket.close(4403)
            return
        await socket.accept()
        log.info("heard %s", await socket.receive_text())
        await socket.send_text("안녕")
        await socket.close()

    client = TestClient(app)
    with client.websocket_connect("/ws/a", headers={"X-Trace-ID": "abc123"}) as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "안녕"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws/closed"):
        pass
    opened, refused = access(lines)
    assert opened["trace"]["id"] == of(lines, "tests.app")[0]["trace"]["id"] == "abc123"
    assert opened["christmas"]["operation"] == "WEBSOCKET /ws/{room}"
    assert opened["http"]["response"] == {"status_code": 101, "body": {"bytes": 6}}
    assert refused["http"]["response"]["status_code"] == 403
    assert opened["client"] == {"address": "testclient"}


def test_a_websocket_that_fails_is_one_error(lines: Lines) -> None:
    app = application()

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("in a websocket")

    with pytest.raises(ValueError, match="in a websocket"), TestClient(app).websocket_connect("/ws") as socket:
        socket.receive_text()
    (error,), (line,) = errors(lines), access(lines)
    assert error["message"] == "unhandled ValueError in WEBSOCKET /ws"
    assert error["trace"]["id"] == line["trace"]["id"] and line["http"]["response"]["status_code"] == 101


def test_context_bound_in_an_async_dependency_stays_and_in_a_sync_one_is_lost(serve: Serve, lines: Lines) -> None:
    app = application()

    async def in_async() -> None:
        bind(user_id="user_01")

    def in_sync() -> None:
        bind(order_id="lost")

    @app.get("/who", dependencies=[Depends(in_async), Depends(in_sync)])
    async def who() -> None:
        log.info("here")

    httpx.get(f"{serve(app)}/who")
    (line,) = of(lines, "tests.app")
    assert line["user"]["id"] == "user_01" and "christmas" not in line


def test_requests_at_the_same_time_keep_their_own_context(serve: Serve, lines: Lines) -> None:
    url = serve(application())

    async def many() -> None:
        async with httpx.AsyncClient() as client:
            calls = (client.get(f"{url}/orders/o{n}", headers={"X-Trace-ID": f"t{n}"}) for n in range(20))
            await asyncio.gather(*calls)

    asyncio.run(many())
    pairs = {(line["trace"]["id"], line["christmas"]["order"]["id"]) for line in of(lines, "tests.app")}
    assert pairs == {(f"t{n}", f"o{n}") for n in range(20)}


def test_an_application_called_in_the_same_task_leaves_nothing_behind(lines: Lines) -> None:
    async def call() -> None:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            await client.get("/orders/o1", headers={"X-Trace-ID": "abc123"})
        assert dict(context.current()) == {} and tracing.current() is None

    asyncio.run(call())
    assert access(lines)[0]["trace"]["id"] == "abc123"


def test_an_active_span_gives_the_span_id_and_its_trace_id_where_it_differs(serve: Serve, lines: Lines) -> None:
    app = application()
    tracer = TracerProvider().get_tracer("test")

    @app.get("/traced")
    async def traced() -> str:
        with tracer.start_as_current_span("work") as span:
            log.info("inside")
            return f"{span.get_span_context().trace_id:032x} {span.get_span_context().span_id:016x}"

    trace_id, span_id = httpx.get(f"{serve(app)}/traced", headers={"X-Trace-ID": "abc123"}).json().split()
    (line,) = of(lines, "tests.app")
    assert (line["trace"]["id"], line["span"]["id"]) == ("abc123", span_id)
    assert line["labels"] == {"otel_trace_id": trace_id}


def test_a_span_around_the_application_gives_the_trace_id_where_no_header_does(serve: Serve, lines: Lines) -> None:
    tracer, seen = TracerProvider().get_tracer("test"), []
    app = application()

    async def instrumented(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        with tracer.start_as_current_span("server") as span:
            seen.append(span.get_span_context())
            await app(scope, receive, send)

    response = httpx.get(f"{serve(instrumented)}/orders/o1")
    trace_id, span_id = f"{seen[0].trace_id:032x}", f"{seen[0].span_id:016x}"
    assert response.headers["x-trace-id"] == trace_id
    assert [(line["trace"]["id"], line["span"]["id"]) for line in lines if "trace" in line] == [(trace_id, span_id)] * 2
    assert not [line for line in lines if "labels" in line]


def test_a_mounted_application_with_its_own_install_adds_no_second_line(serve: Serve, lines: Lines) -> None:
    outer, inner = application(), application()
    outer.mount("/inner", inner)
    httpx.get(f"{serve(outer)}/inner/orders/o1", headers={"X-Trace-ID": "abc123"})
    (line,) = access(lines)
    assert line["trace"]["id"] == "abc123" and line["url"]["path"] == "/inner/orders/o1"


def test_install_twice_is_once_and_too_late_is_refused(lines: Lines) -> None:
    app = application()
    fastapi.install(app)
    assert TestClient(app).get("/orders/o1").status_code == 200
    assert len(access(lines)) == 1
    late = FastAPI()
    TestClient(late).get("/")
    with pytest.raises(ConfigurationError, match="already serves"):
        fastapi.install(late)


def test_plain_asgi_without_a_framework(serve: Serve, lines: Lines) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise ValueError("plain")

    response = httpx.get(serve(RequestLog(app)), headers={"X-Trace-ID": "abc123"})
    assert response.status_code == 500 and response.json()["trace_id"] == "abc123"
    assert response.headers["x-trace-id"] == "abc123"
    assert [line["error"]["type"] for line in errors(lines)] == ["ValueError"]
    assert access(lines)[0]["christmas"]["operation"] == "GET (no route)"


BODY = {"account_number": "110-234-567890", "password": "hunter2hunter2", "note": "card 4111 1111 1111 1111", "n": 7}


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"app_env": "production", "log_level": "DEBUG"}, False),
        ({"app_env": "production", "log_bodies": True}, True),
        ({"app_env": "development"}, True),
        ({"app_env": "development", "log_level": "INFO"}, False),
    ],
)
def test_headers_and_bodies_are_debug_detail(serve: Serve, lines: Lines, settings: Any, shown: bool) -> None:
    headers = {"Authorization": "Basic dXNlcjpwdw==", "Cookie": "session=s3cr3t-session", "X-Plain": "seen"}
    response = httpx.post(f"{serve(application(**settings))}/echo", json=BODY, headers=headers)
    assert response.json() == BODY
    (line,) = access(lines)
    assert ("content" in line["http"]["response"]["body"]) is shown
    assert ("request_headers" in line["christmas"].get("extra", {})) is shown
    if shown:
        content = line["http"]["request"]["body"]["content"]
        assert content == line["http"]["response"]["body"]["content"]
        assert '"n": 7' in content and "***7890" in content and "***1111" in content
        given, sent = (line["christmas"]["extra"][name] for name in ("request_headers", "response_headers"))
        assert (given["authorization"], given["cookie"], given["x-plain"]) == ("[dropped]", "[dropped]", "seen")
        assert sent["set-cookie"] == "[dropped]"
    text = str(lines)
    assert not [secret for secret in ("234-567890", "hunter2", "4111 1111", "s3cr3t", "dXNlcjpw") if secret in text]


def test_a_long_body_is_masked_before_it_is_cut_and_said_to_be_cut(serve: Serve, lines: Lines) -> None:
    # A card number at every possible place around the cut: none may come out in part.
    url = serve(application(log_bodies=True))
    for shift in range(0, 24):
        text = "x" * (3_990 - shift) + " 4111 1111 1111 1111 " + "y" * 3_000
        httpx.post(f"{url}/echo", json=text)
    contents = [line["http"]["request"]["body"]["content"] for line in access(lines)]
    assert len(contents) == 24 and all("…[cut, " in content for content in contents)
    assert not [content for content in contents if "4111" in content]
    assert all(len(content) < 4_100 for content in contents)


def test_forms_are_masked_by_key_and_binary_bodies_are_only_counted(serve: Serve, lines: Lines) -> None:
    app = application(log_bodies=True)

    @app.post("/any")
    async def anything(request: Request) -> None:
        await request.body()

    url = serve(app)
    httpx.post(f"{url}/any", data={"password": "hunter2hunter2", "city": "Seoul"})
    httpx.post(f"{url}/any", content=b"\x00\x01", headers={"content-type": "application/octet-stream"})
    form, binary = (line["http"]["request"]["body"] for line in access(lines))
    assert form["content"] == "password=[dropped]&city=Seoul"
    assert binary == {"bytes": 2}


def test_uvicorn_text_access_lines_stay_away_whatever_its_own_logging_config(lines: Lines, capfd: Any) -> None:
    config = uvicorn.Config(application(), port=0)  # with uvicorn's own LOGGING_CONFIG
    server = uvicorn.Server(config)

    async def once() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient() as client:
            port = server.servers[0].sockets[0].getsockname()[1]
            await client.get(f"http://127.0.0.1:{port}/boom")
        server.should_exit = True
        await task

    asyncio.run(once())
    printed = "".join(capfd.readouterr())
    sys.stderr.flush()
    assert "GET /boom HTTP" not in printed and "Traceback" not in printed
    assert len(access(lines)) == 1 and len(errors(lines)) == 1
