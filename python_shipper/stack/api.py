"""Elasticsearch's and Kibana's HTTP APIs over the standard library, for setting up and for asking how things are."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from python_shipper.errors import StackError

ANSWER_SECONDS = 30


class RefusedError(StackError):
    """The server answered with an error; ``status`` is its HTTP status, ``reason`` its first sentence."""

    def __init__(self, where: str, status: int, reason: str) -> None:
        super().__init__(f"{where}: {status} {reason}")
        self.status = status
        self.reason = reason


class UnreachableError(StackError):
    """There was no answer at all."""


@dataclass(frozen=True, slots=True)
class Api:
    """A server's HTTP API: its address, who signs in, and the authority that its certificate is checked by."""

    url: str
    user: str | None = None
    password: str = field(default="", repr=False)
    authority: Path | None = None

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON answer to ``method path``; ``body`` is sent as JSON.

        Raises:
            RefusedError: the answer's status is 400 or above.
            UnreachableError: no connection, no TLS, or no answer in time.
        """
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        return self.send(method, path, data, {"Content-Type": "application/json"} if data else {})

    def send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        """As :meth:`call`, with the body's bytes and headers given."""
        where = f"{method} {self.url}{path}"
        request = Request(f"{self.url}{path}", data=data, method=method, headers={**self.signed_in(), **headers})  # noqa: S310 - the address is the operator's
        try:
            with urlopen(request, timeout=ANSWER_SECONDS, context=self.tls()) as answer:  # noqa: S310
                text = answer.read()
        except HTTPError as error:
            raise RefusedError(where, error.code, reason(error.read())) from None
        except (URLError, HTTPException, OSError) as error:
            raise UnreachableError(f"{where}: {getattr(error, 'reason', None) or error}") from None
        answer_json = json.loads(text) if text.strip() else {}
        return answer_json if isinstance(answer_json, dict) else {"items": answer_json}

    def signed_in(self) -> dict[str, str]:
        """The headers that every request carries; Kibana refuses writes without ``kbn-xsrf``."""
        if self.user is None:
            return {"kbn-xsrf": "python-shipper"}
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"kbn-xsrf": "python-shipper", "Authorization": f"Basic {token}"}

    def tls(self) -> ssl.SSLContext | None:
        """Our own authority where there is one, else the system's."""
        if not self.url.startswith("https:"):
            return None
        return ssl.create_default_context(cafile=str(self.authority) if self.authority else None)


def reason(body: bytes) -> str:
    """The sentence that says why, from Elasticsearch's or Kibana's error body."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body[:200].decode(errors="replace").strip()
    error = answer.get("error") if isinstance(answer, dict) else None
    found = error.get("reason") if isinstance(error, dict) else answer.get("message", error)
    return str(found)[:300]
