"""Real servers on loopback for the integrations' tests."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import uvicorn
from sqlalchemy import Engine, event

from python_shipper.integrations.sqlalchemy import statements


class Recorder(ThreadingHTTPServer):
    """An HTTP endpoint that keeps what it was sent: one (path, headers, body) a request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Recording)
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Recording(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers, body))
        self.send_response(307 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("location", "/")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 - http.server asks for this name

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """``app`` on a real uvicorn in a thread; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serve an application until the test ends."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(served(app))


LISTENERS = {
    "before_cursor_execute": statements.begin,
    "after_cursor_execute": statements.end,
    "handle_error": statements.fail,
}


@pytest.fixture(autouse=True)
def no_listeners_left() -> Iterator[None]:
    """A test in debug mode has every engine's statements logged: not those of the tests after it."""
    yield
    for name, listener in LISTENERS.items():
        if event.contains(Engine, name, listener):
            event.remove(Engine, name, listener)
