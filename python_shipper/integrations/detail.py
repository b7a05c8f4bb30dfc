"""What debug mode adds to an access line: headers and bodies, masked first and then cut to a size that can be read.

On with ``APP_ENV=development`` at level DEBUG; in production only with ``LOG_BODIES=true``, whatever the level.
Bodies are kept up to a bound while they pass through, never collected before they are passed on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from python_shipper.core.masking import default_masker
from python_shipper.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

SHOWN_CHARACTERS = 4_000
# A value cut in half would no longer look personal: so much more than is shown is kept, masked, and then cut away.
MARGIN = 1_000
REDACTED = "[dropped]"  # the word that the masking rules use and leave alone
ALWAYS_REDACTED = {"authorization", "proxy-authorization", "cookie", "set-cookie"}
TEXT_TYPES = (
    "text/",
    "application/json",
    "application/xml",
    "application/x-www-form-urlencoded",
    "application/x-ndjson",
)


def wanted(settings: Settings, asked: bool) -> bool:
    """Whether debug detail is on: ``asked`` for by its own setting, or development at DEBUG (the default there)."""
    return asked or (settings.app_env == "development" and settings.log_level in (None, "DEBUG"))


class Detail:
    """Headers and bodies of one exchange, in bounded space."""

    def __init__(self, request_headers: Mapping[str, str]) -> None:
        self.request_headers = dict(request_headers)
        self.response_headers: dict[str, str] = {}
        self.request_body, self.response_body = Body(), Body()

    def receiving(self, receive: Receive) -> Receive:
        """``receive``, noting what comes by."""

        async def noted() -> Message:
            message = await receive()
            self.request_body.add(message.get("body") or b"")
            return message

        return noted

    def sent(self, message: Message) -> None:
        """Note what ``message`` sends."""
        if message["type"] == "http.response.start":
            self.response_headers = decoded(message.get("headers") or ())
        self.response_body.add(message.get("body") or b"")

    def fields(self) -> dict[str, Any]:
        """Fields for the access line; headers have no ECS field and are found under ``christmas.extra``."""
        return {
            "request_headers": redacted(self.request_headers),
            "response_headers": redacted(self.response_headers),
            **self.request_body.fields("http.request.body", self.request_headers.get("content-type", "")),
            **self.response_body.fields("http.response.body", self.response_headers.get("content-type", "")),
        }


class Body:
    """The first bytes of a body, and how many there were."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.size_bytes = 0

    def add(self, part: bytes) -> None:
        """Take the next ``part``, keeping what there is room for."""
        self.size_bytes += len(part)
        room = SHOWN_CHARACTERS + MARGIN - len(self.kept)
        if room > 0:
            self.kept += part[:room]

    def fields(self, name: str, content_type: str) -> dict[str, Any]:
        """``<name>.bytes`` and, for text, ``<name>.content``; nothing for an empty body."""
        if not self.size_bytes:
            return {}
        fields: dict[str, Any] = {f"{name}.bytes": self.size_bytes}
        if content_type.lower().startswith(TEXT_TYPES) or "+json" in content_type:
            fields[f"{name}.content"] = self.shown(content_type)
        return fields

    def shown(self, content_type: str) -> str:
        """The body as masked text, cut and so marked."""
        whole = len(self.kept) == self.size_bytes
        text = masked(self.kept.decode("utf-8", "replace"), content_type)
        length = min(SHOWN_CHARACTERS, len(text) if whole else max(0, len(text) - MARGIN))
        return text if length == len(text) else f"{text[:length]}…[cut, {self.size_bytes} bytes]"


def masked(text: str, content_type: str) -> str:
    """``text`` masked by key where its type has keys, and as text where it has none or cannot be parsed."""
    if "form-urlencoded" in content_type:
        return str(default_masker().text("&".join(f"{k}={default_masker().value(k, v)}" for k, v in parse_qsl(text))))
    if "json" not in content_type:
        return str(default_masker().text(text))
    try:
        return json.dumps(default_masker().value("body", json.loads(text)), ensure_ascii=False)
    except ValueError:
        return str(default_masker().text(text))


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI's pairs of bytes as text, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` without what lets one in; the masking rules see to the rest when the line is written."""
    return {name: REDACTED if name.lower() in ALWAYS_REDACTED else value for name, value in headers.items()}
