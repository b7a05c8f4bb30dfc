"""A small HTTP proxy in front of a real server, which fails in the ways that networks and servers do."""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
ERRORS = {"413": "too_large", "429": "es_rejected_execution_exception", "500": "internal", "503": "unavailable"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FailingProxy

    def do_GET(self) -> None:
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = proxy.fault(self.command, self.path)
        if proxy.down or fault == "drop":
            self.hang_up()
        elif fault in ERRORS:
            headers = {"retry-after": "1"} if fault == "429" else {}
            self.answer(int(fault), headers, json.dumps({"error": {"type": ERRORS[fault]}}).encode())
        elif fault == "partial":
            self.partly(body)
        else:
            if fault == "slow":
                time.sleep(proxy.slow_seconds)
            status, headers, content = self.forward(body)
            if fault == "lost":
                self.hang_up()
            elif fault == "truncated" and len(content) > 1:
                self.answer(status, headers, content[: len(content) // 2], length=len(content))
                self.hang_up()
            else:
                self.answer(status, headers, content)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815  the names are http.server's

    def partly(self, body: bytes) -> None:
        """Send the first half of a bulk request on; answer 429 for the rest, item by item."""
        lines = body.splitlines(keepends=True)
        middle = len(lines) // 4 * 2
        items = []
        if middle:
            status, headers, content = self.forward(b"".join(lines[:middle]))
            items = json.loads(content)["items"]
        else:
            status, headers = 200, {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}
        error = {"type": "es_rejected_execution_exception", "reason": "the queue is full"}
        rejected = [{"create": {"status": 429, "error": error}} for _ in range((len(lines) - middle) // 2)]
        self.answer(status, headers, json.dumps({"items": [*items, *rejected]}).encode())

    def forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = self.server.connect()
        try:
            headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP}
            headers["accept-encoding"] = "identity"
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: text for name, text in answer.getheaders() if name.lower() not in HOP}
            length = answer.getheader("content-length")
            if self.command == "HEAD" and length:
                kept["content-length"] = length
            return answer.status, kept, content
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes, length: int | None = None) -> None:
        try:
            self.send_response_only(status)
            for name, text in headers.items():
                self.send_header(name, text)
            if self.command != "HEAD" and status != 204:
                self.send_header("content-length", str(len(content) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the client was killed meanwhile

    def hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        return


class FailingProxy(ThreadingHTTPServer):
    """Forwards to ``upstream``; ``planned`` faults strike first, then ``likely`` ones by chance, if ``where`` fits."""

    daemon_threads = True

    def __init__(self, upstream: str, authority: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(upstream)
        self.context = ssl.create_default_context(cafile=authority) if self.upstream.scheme == "https" else None
        self.planned: deque[str | None] = deque()
        self.likely: list[str] = []
        self.chance = 0.0
        self.where = ""
        self.down = False
        self.slow_seconds = 0.3
        self.struck: Counter[str] = Counter()
        self.asked = 0  # requests that ``where`` fits
        self.mutex = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> str | None:
        """The fault of the next request."""
        with self.mutex:
            if self.down:
                self.struck["down"] += 1
            if self.where not in f"{method} {path}":
                return None
            self.asked += 1
            chosen = None
            if self.planned:
                chosen = self.planned.popleft()
            elif self.likely and random.random() < self.chance:
                chosen = random.choice(self.likely)
            if chosen:
                self.struck[chosen] += 1
            return chosen

    def connect(self) -> http.client.HTTPConnection:
        host, port = self.upstream.hostname or "", self.upstream.port
        if self.context:
            return http.client.HTTPSConnection(host, port, context=self.context, timeout=60)
        return http.client.HTTPConnection(host, port, timeout=60)


@contextmanager
def failing(upstream: str, authority: Path | None = None) -> Iterator[FailingProxy]:
    """A proxy, serving for a `with` block."""
    with FailingProxy(upstream, authority) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
