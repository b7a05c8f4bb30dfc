"""Stands before every request: the right Host, the token where one is set, bounded bodies, and a strict CSP."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from python_shipper.dashboard.problems import RequestError, answer
from python_shipper.settings import Settings

COOKIE = "shipper_session"
OPEN_PATHS = ("/login", "/static/")
MOST_BODY_BYTES = 65_536
MOST_BODY_SECONDS = 10
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware; refuses what must not reach the application and bounds what may."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.token = settings.api_token
        given = {name.strip().lower() for name in settings.api_names.split(",") if name.strip()}
        self.names = LOCAL_NAMES | {settings.api_host.lower()} | given
        if settings.api_host not in LOCAL_NAMES:
            self.names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sending = guarded(send, scope["path"])
        try:
            self.check(scope)
            await self.app(scope, replayed(await read(receive), receive), sending)
        except RequestError as problem:
            await answer(problem, scope["path"])(scope, receive, sending)

    def check(self, scope: Scope) -> None:
        """Refuse a request by its headers alone."""
        headers = Headers(scope=scope)
        self.check_host(headers, scope)
        self.check_token(headers, scope["path"])
        if int_or(headers.get("content-length"), 0) > MOST_BODY_BYTES:
            raise too_large()

    def check_host(self, headers: Headers, scope: Scope) -> None:
        """Only our own names: another site's name that leads here (DNS rebinding) must not read logs."""
        name = host_name(headers.get("host", ""))
        own = (scope.get("server") or ("",))[0]
        if name not in self.names and name.strip("[]") != own:
            do = "use the address that shipper status shows, or name this one in API_NAMES"
            raise RequestError(421, f"this server does not answer for {name[:100]!r}", "Host header", do)

    def check_token(self, headers: Headers, path: str) -> None:
        """The token, as `Authorization: Bearer` or as the session cookie that the login page gives."""
        if self.token is None or path.startswith(OPEN_PATHS) or self.known(headers):
            return
        if path.startswith(("/api/", "/metrics", "/openapi.json")):
            do = "send the header Authorization: Bearer <API_TOKEN>"
            wanted = {"www-authenticate": "Bearer"}
            raise RequestError(401, "the token is missing or wrong", "Authorization header", do, wanted)
        raise RequestError(303, "please log in", path, "give the token on the page /login", {"location": "/login"})

    def known(self, headers: Headers) -> bool:
        """Whether the request carries the token or a session made from it."""
        assert self.token is not None  # noqa: S101  asked only where there is one
        kind, _, given = headers.get("authorization", "").partition(" ")
        bearer = kind.lower() == "bearer" and same(given.strip(), self.token)
        return bearer or same(cookie(headers), session(self.token))


def session(token: str) -> str:
    """The session cookie's value: proves knowledge of the token without holding it."""
    return hmac.new(token.encode(), b"shipper session", sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def cookie(headers: Mapping[str, str]) -> str:
    """The session cookie of a request, empty where there is none."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def host_name(host: str) -> str:
    """The name of a Host header, without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host.lower()


def int_or(text: str | None, default: int) -> int:
    """The whole number in ``text``, or ``default``."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else default


def too_large() -> RequestError:
    """The refusal of a body over the limit."""
    return RequestError(413, f"the body is over {MOST_BODY_BYTES} bytes", "request body", "ask for less in one request")


async def read(receive: Receive) -> bytes:
    """The whole body, refused when it grows over the limit, whatever its headers promised, or does not end in time."""
    body = b""
    try:
        async with asyncio.timeout(MOST_BODY_SECONDS):
            while message := await receive():
                body += message.get("body", b"")
                if len(body) > MOST_BODY_BYTES:
                    raise too_large()
                if not message.get("more_body"):
                    break
    except TimeoutError:
        what = f"the body did not end within {MOST_BODY_SECONDS} s"
        raise RequestError(408, what, "request body", "send it at once") from None
    return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` that gives the body already read first."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return pending.pop() if pending else await receive()

    return receiving


def guarded(send: Send, path: str) -> Send:
    """``send`` that adds the security headers; what logs say is never cached, a static file's address is its hash."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if path.startswith("/static/") and message["status"] == 200:
                headers["cache-control"] = "max-age=31536000, immutable"
            for name, text in SECURITY_HEADERS.items():
                headers.setdefault(name, text)
        await send(message)

    return sending
