"""A webhook that answers as it is told, and a mail server with TLS and a login: both real, both on this machine."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG_SECONDS = 120.0


class Post(NamedTuple):
    """One request that came whole."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """``answers`` are used up one a request (a status, "hang" or "drop"); after them it is 200."""

    answers: list[int | str] = field(default_factory=list)
    retry_after: str = "1"
    posts: list[Post] = field(default_factory=list)
    taken: list[Post] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    over: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def got(self, number: int, seconds: float = 60.0) -> list[Post]:
        """The posts that were answered with 200, once there are ``number`` of them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= number, seconds), self.posts
            return self.taken[:]

    def asked(self, number: int, seconds: float = 60.0) -> list[Post]:
        """All posts, once there are ``number`` of them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.posts) >= number, seconds), self.posts
            return self.posts[:]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        post = Post(request.path, dict(request.headers), body)
        with self.changed:
            answer = self.answers.pop(0) if self.answers else 200
            self.posts.append(post)
            if answer == 200:
                self.taken.append(post)
            self.changed.notify_all()
        if answer == "hang":
            self.over.wait(HANG_SECONDS)
        if isinstance(answer, str):
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(answer)
        if answer == 429:
            request.send_header("Retry-After", self.retry_after)
        request.end_headers()
        request.wfile.write(b"taken" if answer == 200 else b"not now")


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        receiver.over.set()
        server.shutdown()


@dataclass
class MailServer:
    """What came in, with the login that it came by; recipients with "nobody" in them are refused."""

    port: int = 0
    ca: Path = Path()
    mails: list[tuple[str | None, Envelope]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)
    busy: int = 0  # mails to be refused for now

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "nobody" in address:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        with self.came:
            if self.busy:
                self.busy -= 1
                return "451 4.3.0 later"
            login = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else None
            self.mails.append((login if session.ssl else f"in clear: {login}", envelope))
            self.came.notify_all()
        return "250 OK"

    def got(self, number: int, seconds: float = 60.0) -> list[tuple[str | None, Envelope]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.mails) >= number, seconds)
            return self.mails[:]


def allowed(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    if (data.login, data.password) == (b"shipper", b"secret"):
        return AuthResult(success=True, auth_data=data)
    return AuthResult(success=False, handled=False)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that vouches for itself, and its key."""
    cert, key = folder / "mail.crt", folder / "mail.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@contextmanager
def mail_server(folder: Path, *, login: bool = True) -> Iterator[MailServer]:
    cert, key = certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = MailServer(ca=cert)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.port = free.getsockname()[1]
    tls = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": allowed}
    controller = Controller(server, hostname="127.0.0.1", port=server.port, ready_timeout=60, **(tls if login else {}))
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
