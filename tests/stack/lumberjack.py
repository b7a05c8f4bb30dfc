"""What Filebeat ships to in tests: a receiver of the Lumberjack protocol, version 2, over mutual TLS like Logstash's.

Frames (github.com/elastic/go-lumber): ``2W`` and a count open a window, ``2C`` wraps compressed frames, ``2J`` is a
sequence number and a JSON event; ``2A`` with the window's last number acknowledges it.
"""

from __future__ import annotations

import json
import socketserver
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

Event = dict[str, Any]


class Receiver(socketserver.ThreadingTCPServer):
    """Takes windows from any number of connections; an event counts once its window is whole and acknowledged."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, secrets: Path) -> None:
        """Listen on a free port of this machine with the certificates that Logstash would have."""
        super().__init__(("127.0.0.1", 0), Connection)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(secrets / "logstash.crt", secrets / "logstash.key")
        self.tls.load_verify_locations(secrets / "ca.crt")
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.events: list[Event] = []
        self.times: list[float] = []

    @property
    def address(self) -> str:
        """What Filebeat connects to; the name is one of the certificate's."""
        return f"localhost:{self.server_address[1]}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def lines(self) -> list[str]:
        """The raw lines received so far."""
        return [event["message"] for event in self.events]

    def wait(self, done: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until ``done``, at most ``seconds``."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"{len(self.events)} events came: {self.lines()[-3:]}"
            time.sleep(0.05)


class Connection(socketserver.StreamRequestHandler):
    """One Filebeat connection."""

    server: Receiver

    def setup(self) -> None:
        """Become TLS before the streams are made."""
        self.request.settimeout(60)
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        """Read windows until the other side is gone."""
        try:
            while header := self.rfile.read(6):
                version, kind, count = struct.unpack(">ccI", header)
                assert (version, kind) == (b"2", b"W"), header
                self.window(count)
        except (OSError, struct.error, ValueError):
            return

    def window(self, count: int) -> None:
        """Read ``count`` events, then count and acknowledge them."""
        events: list[tuple[int, Event]] = []
        while len(events) < count:
            events += frames(self.rfile)
        self.server.events += [event for _, event in events]
        self.server.times += [time.time()] * count
        self.wfile.write(struct.pack(">ccI", b"2", b"A", events[-1][0]))

    def finish(self) -> None:
        """Close, even if the other side was killed."""
        try:
            super().finish()
        except OSError:
            self.request.close()


def frames(stream: BinaryIO) -> Iterator[tuple[int, Event]]:
    """The events in the next frame: one, or those of a compressed frame."""
    _, kind, number = struct.unpack(">ccI", exactly(stream, 6))
    if kind == b"C":
        inner = zlib.decompress(exactly(stream, number))
        unpacked = BytesIO(inner)
        while unpacked.tell() < len(inner):
            yield from frames(unpacked)
        return
    assert kind == b"J", kind
    (length,) = struct.unpack(">I", exactly(stream, 4))
    yield number, json.loads(exactly(stream, length))


def exactly(stream: BinaryIO, count: int) -> bytes:
    """``count`` bytes.

    Raises:
        ValueError: the stream ended.
    """
    data = stream.read(count)
    if len(data) != count:
        raise ValueError("the connection ended within a frame")
    return data
