"""Posts JSON to a webhook with the standard library: bounded in time and in what is read, and without redirects."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from python_shipper.alerts.answer import Answer, short

READ_BYTES = 2_000
WHOLE_FACTOR = 3  # an exchange may take this many time-outs: each step has one of its own
MOST_RETRY_AFTER_SECONDS = 3_600.0
BUSY = frozenset({408, 425, 429})
# Python's own words would show the address or the header, and so a secret.
UNSENDABLE = Answer(taken=False, said="the address or a header holds what HTTP cannot", refused=True)


def post(url: str, content: object, *, headers: Mapping[str, str], timeout: float, ca: Path | None = None) -> Answer:
    """Post ``content`` as JSON; every failure is an answer too.

    Args:
        url: where to; https, or http on this machine.
        content: what JSON can hold.
        headers: beside those that JSON needs.
        timeout: seconds for each step: connecting, sending, each read.
        ca: PEM file of the authorities to trust; without it the system's.
    """
    try:
        return exchanged(url, orjson.dumps(content), headers, timeout, ca)
    except TimeoutError:
        return Answer(taken=False, said=f"timed out after {timeout:g} s")
    except http.client.InvalidURL:
        return UNSENDABLE
    except (OSError, http.client.HTTPException) as error:
        return Answer(taken=False, said=short(f"{type(error).__name__}: {error}"))
    except ValueError:
        return UNSENDABLE


def exchanged(url: str, body: bytes, headers: Mapping[str, str], timeout: float, ca: Path | None) -> Answer:
    """One request and its answer.

    Raises:
        OSError: the connection failed or timed out.
        http.client.HTTPException: the answer is not HTTP.
    """
    parts = urlsplit(url)
    connection = connected(parts.scheme, parts.hostname or "", parts.port, timeout, ca)
    stopped = threading.Event()
    watch = threading.Timer(timeout * WHOLE_FACTOR, cut, (connection, stopped))
    watch.daemon = True
    watch.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        own = {"Content-Type": "application/json", "User-Agent": "python-shipper", "Connection": "close"}
        connection.request("POST", target, body, {**own, **headers})
        response = connection.getresponse()
        return answer_of(response, response.read(READ_BYTES))
    except (OSError, http.client.HTTPException) as error:
        if stopped.is_set():
            raise TimeoutError from error
        raise
    finally:
        watch.cancel()
        connection.close()


def connected(scheme: str, host: str, port: int | None, timeout: float, ca: Path | None) -> http.client.HTTPConnection:
    """A connection that is yet to be opened."""
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def cut(connection: http.client.HTTPConnection, stopped: threading.Event) -> None:
    """End an exchange that trickles: each of its reads is in time, the whole is not."""
    stopped.set()
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def answer_of(response: http.client.HTTPResponse, body: bytes) -> Answer:
    """What a response means: 2xx is taken, 4xx refused but for those that mean later."""
    taken = 200 <= response.status < 300
    words = f"{response.status} {response.reason}: {body.decode('utf-8', 'replace')}" if body else ""
    return Answer(
        taken=taken,
        said=short(words or f"{response.status} {response.reason}"),
        retry_after_seconds=None if taken else retry_after(response.getheader("Retry-After")),
        refused=300 <= response.status < 500 and response.status not in BUSY,
    )


def retry_after(text: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, a number or a date (RFC 9110 section 10.2.3); an hour at the most."""
    if not text:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else until(text)
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), MOST_RETRY_AFTER_SECONDS)


def until(text: str) -> float:
    """Seconds until a date."""
    moment = parsedate_to_datetime(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
