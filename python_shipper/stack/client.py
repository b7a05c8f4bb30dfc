"""Asks a running embedded process over its JSON API, with the standard library only."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from python_shipper.errors import StackError
from python_shipper.settings import Settings

SECONDS = 10.0


def ask(settings: Settings, url: str, path: str) -> dict[str, Any]:
    """The JSON object that ``GET url + path`` answers.

    Raises:
        StackError: nobody answers there, or with an error.
    """
    connection = connect(settings, url)
    token = {"Authorization": f"Bearer {settings.api_token}"} if settings.api_token else {}
    try:
        connection.request("GET", path, headers=token)
        response = connection.getresponse()
        content = json.loads(response.read())
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        reason = error or type(error).__name__
        raise StackError(f"{url}{path}: no answer ({reason}); try again, or shipper down and up") from None
    finally:
        connection.close()
    if response.status != 200:
        raise StackError(f"{url}{path}: answered {response.status}; is API_TOKEN the one it was started with?")
    return dict(content)


def connect(settings: Settings, url: str) -> http.client.HTTPConnection:
    """A connection to ``url``; over TLS exactly our own certificate is trusted, under whatever name it was issued."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=SECONDS)
    context = ssl.create_default_context(cafile=settings.api_tls_cert)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted, not who signed it
    return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
