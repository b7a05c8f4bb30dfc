"""A real redis-server of its own, which may be killed, hung and started again."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis


def free_port() -> int:
    """A port that no outgoing connection gets, so that it is still free when a killed server starts again."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """One server on a free port; with ``durable`` it has what it acknowledged on disk."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self.options = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it answers."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        files = ["--dir", str(self.folder), "--save", "", "--logfile", "redis.log"]
        command = ["redis-server", *address, *files, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self.answers():
            assert self.process.poll() is None, "redis-server ended"
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it is up and has loaded its file."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        """A connection past everything of ours."""
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        """End it without warning (signal 9)."""
        if self.process:
            self.process.kill()
            self.process.wait(60)
            self.process = None

    def hang(self) -> None:
        """Keep its connections open and answer nothing more."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def found_a_torn_file(self) -> bool:
        """Whether it was ever killed while it wrote to its file, and said so at its next start."""
        return b"short read while loading" in (self.folder / "redis.log").read_bytes()
