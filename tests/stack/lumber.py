"""Elastic's own Lumberjack server (go-lumber), which may be killed, held up and started again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from python_shipper.stack import certificates
from tests.stack import obtain


class LumberServer:
    """One server with certificates of its own; what it acknowledged is in ``events()``."""

    def __init__(self, folder: Path) -> None:
        self.program = obtain.part("lumberjack", lambda: obtain.go_program("lumberjack"))
        self.secrets, self.file = folder / "secrets", folder / "events"
        certificates.ensure(self.secrets)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address; the name is one of the certificate's."""
        return f"beats://localhost:{self.port}"

    def start(self) -> None:
        """Start, and wait until it listens; what a kill cut short in its file was not acknowledged, and goes."""
        if self.file.exists():
            os.truncate(self.file, self.file.read_bytes().rfind(b"\n") + 1)
        command = [self.program, f"127.0.0.1:{self.port}", self.file, self.secrets]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not self.listens():
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.02)

    def listens(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it without warning (signal 9)."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def hold(self) -> None:
        """Acknowledge nothing more (the protocol's keep-alives go on)."""
        Path(f"{self.file}.hold").touch()

    def release(self) -> None:
        """Acknowledge again."""
        Path(f"{self.file}.hold").unlink()

    def events(self) -> list[dict[str, Any]]:
        """What came, line by line; the last line may be under way."""
        if not self.file.exists():
            return []
        whole, _, _ = self.file.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]
