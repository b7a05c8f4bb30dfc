"""Puts lines into Logstash as Filebeat does: Lumberjack version 2 over TLS, a window at a time, each acknowledged.

Frames: ``2W`` and a number open a window, ``2C`` wraps compressed frames, ``2J`` is a sequence number and a JSON event;
the far side answers ``2A`` with the last number that it has taken (0: it is alive and busy).
"""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from python_shipper.agent import decode
from python_shipper.agent.pipeline import Source, line_digest
from python_shipper.core.clock import iso
from python_shipper.core.ulid import hashed_ulid, is_ulid
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import Answer, ExportError, Line, UnavailableError

PORT = 5044
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 30.0
FIRST_WINDOW, LEAST_WINDOW, MOST_WINDOW = 64, 8, 2_048
COMPRESSION = 3  # Filebeat's
METADATA = {"beat": "python_shipper", "type": "_doc"}
EXPECTED = "beats://host:5044, several separated by commas"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One line on its way, as the JSON that Filebeat would send."""

    id: str
    body: bytes

    @property
    def size(self) -> int:
        """Bytes in a window, before compression."""
        return len(self.body) + 10

    def frame(self, number: int) -> bytes:
        """Its frame in a window."""
        return struct.pack(">2sII", b"2J", number, len(self.body)) + self.body


class BeatsExporter:
    """The :class:`~python_shipper.exporters.Exporter` of lines into Logstash's Beats input."""

    def __init__(
        self, hosts: Sequence[tuple[str, int]], tls: ssl.SSLContext, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """Send to the first of ``hosts`` that answers, and to the next one when it fails; nothing connects yet."""
        self._tls, self._answer_seconds = tls, answer_seconds
        self._hosts = itertools.cycle(hosts)
        self._tries = len(hosts)
        self.where = ", ".join(f"{host}:{port}" for host, port in hosts)
        self._connection: ssl.SSLSocket | None = None
        self._window = FIRST_WINDOW

    def encode(self, given: Line) -> Parcel:
        """See :meth:`python_shipper.exporters.Exporter.encode`."""
        text = decode.line_text(decode.line_bytes(given.raw))
        source = given.source
        file = {"path": source.path, "fingerprint": source.fingerprint}
        event = {
            "@timestamp": iso(given.at_ms),
            "@metadata": METADATA,
            "message": text,
            "log": {"file": {name: value for name, value in file.items() if value}, "offset": source.offset},
        }
        return Parcel(id_of(text, source), orjson.dumps(event))

    def export(self, items: Sequence[Parcel]) -> Answer[Parcel]:
        """See :meth:`python_shipper.exporters.Exporter.export`; one window after the other."""
        done = 0
        while done < len(items):
            window = items[done : done + self._window]
            taken, fault = self._exchange(window)
            done += taken
            if fault is None:
                self._window = min(self._window * 2, MOST_WINDOW)
                continue
            self.close()
            self._window = max(self._window // 2, LEAST_WINDOW)
            if not done:
                raise fault
            return Answer(stored=items[:done], again=[(item, str(fault)) for item in items[done:]])
        return Answer(stored=items)

    def _exchange(self, window: Sequence[Parcel]) -> tuple[int, ExportError | None]:
        """Send a window; how many of it were acknowledged, and what went wrong before the rest was."""
        taken = 0
        try:
            connection = self._connection or self._connect()
            connection.sendall(frames(window))
            while taken < len(window):
                taken = max(taken, acknowledged(connection, len(window)))
        except (OSError, EOFError) as error:
            return taken, UnavailableError(f"Logstash at {self.where}: {said(error)}")
        except ExportError as error:
            return taken, error
        return taken, None

    def _connect(self) -> ssl.SSLSocket:
        """A connection to the next host that takes one.

        Raises:
            ExportError: a certificate is not what it must be; waiting does not mend that.
            OSError: none of the hosts answers.
        """
        for left in reversed(range(self._tries)):
            host, port = next(self._hosts)
            try:
                plain = socket.create_connection((host, port), CONNECT_SECONDS)
                try:
                    self._connection = self._tls.wrap_socket(plain, server_hostname=host)
                except BaseException:
                    plain.close()
                    raise
                self._connection.settimeout(self._answer_seconds)
                return self._connection
            except ssl.SSLCertVerificationError as error:
                raise ExportError(
                    f"Logstash at {host}:{port}: {error.verify_message}; see SECRETS_DIR/ca.crt"
                ) from error
            except OSError:
                if not left:
                    raise
        raise AssertionError("unreachable: the last host raises")

    def refused(self, refusals: Sequence[tuple[Parcel, str]]) -> Sequence[Parcel]:
        """See :meth:`python_shipper.exporters.Exporter.refused`: Logstash takes all, and has dead letters itself."""
        return ()

    def close(self) -> None:
        """See :meth:`python_shipper.exporters.Exporter.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def frames(window: Sequence[Parcel]) -> bytes:
    """A window's frames, compressed."""
    inner = zlib.compress(b"".join(item.frame(n) for n, item in enumerate(window, 1)), COMPRESSION)
    return struct.pack(">2sI", b"2W", len(window)) + struct.pack(">2sI", b"2C", len(inner)) + inner


def acknowledged(connection: ssl.SSLSocket, most: int) -> int:
    """The number in the next acknowledgement.

    Raises:
        ExportError: the far side speaks something else.
        EOFError: it hung up.
    """
    answer = b""
    while len(answer) < 6:
        part = connection.recv(6 - len(answer))
        if not part:
            raise EOFError("it closed the connection before it acknowledged")
        answer += part
    kind, number = struct.unpack(">2sI", answer)
    if kind != b"2A" or number > most:
        raise ExportError(
            f"{connection.getpeername()[0]} answers {answer!r}, which is no Beats input; check the address"
        )
    return int(number)


def id_of(text: str, source: Source) -> str:
    """The id by which Elasticsearch will know the line: its ``event.id``, or the pipeline's hash without a time."""
    try:
        given = orjson.loads(text)["event"]["id"]
    except (ValueError, KeyError, TypeError):
        given = None
    return given if is_ulid(given) else hashed_ulid(line_digest(source, text), None)


def said(error: Exception) -> str:
    """A connection's error in one line."""
    return str(error) or type(error).__name__


def hosts_of(url: str) -> list[tuple[str, int]]:
    """The hosts in an address such as ``beats://one:5044,two``.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        _, _, rest = url.partition("://")
        parts = [urlsplit(f"//{each}") for each in rest.rstrip("/").split(",")]
        found = [(part.hostname or "", part.port or PORT) for part in parts]
    except ValueError:
        found = []
    if not found or not all(host for host, _ in found) or any(part.path or part.username for part in parts):
        shown = "an address with a user or password" if "@" in url else f"{url:.80}"
        raise ConfigurationError(f"{shown}: expected {EXPECTED}; correct the address")
    return found


def tls_of(secrets: Path) -> ssl.SSLContext:
    """TLS as Filebeat has it: our authority and ``filebeat.crt`` of the secrets' folder, where they are there.

    Raises:
        ConfigurationError: a file there cannot be read.
    """
    authority, certificate, key = secrets / "ca.crt", secrets / "filebeat.crt", secrets / "filebeat.key"
    try:
        tls = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
        if certificate.exists():
            tls.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{secrets}: ca.crt, filebeat.crt, filebeat.key: {error}; correct the files"
        ) from error
    return tls
