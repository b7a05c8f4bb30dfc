"""Writes the metrics to a file for node_exporter's textfile collector, whole or not at all, in a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from python_shipper.errors import ConfigurationError, ShipperError

EVERY_SECONDS = 15.0

log = logging.getLogger(__name__)


class Textfile:
    """The file at ``path``, with what ``render`` gives, every 15 seconds and once more at the end.

    Raises:
        ConfigurationError: the path cannot be written, or is none that node_exporter reads.
    """

    def __init__(self, path: Path, render: Callable[[], bytes], every_seconds: float = EVERY_SECONDS) -> None:
        if path.suffix != ".prom":
            raise ConfigurationError(f"PROMETHEUS_TEXTFILE: {path}: node_exporter reads *.prom only; name it so")
        self.path, self.render, self.every_seconds = path, render, every_seconds
        self.fault: str | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="shipper-textfile", daemon=True)
        try:
            write(path, render())
        except OSError as error:
            what = f"{path}: {error.strerror or error}; name a file in a folder that this user can write"
            raise ConfigurationError(f"PROMETHEUS_TEXTFILE: {what}") from error

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def run(self) -> None:
        """Write until told to stop; a fault is said once, and the file keeps its last content until it is over."""
        stopped = False
        while not stopped:
            stopped = self.stopping.wait(self.every_seconds)
            try:
                write(self.path, self.render())
                self.fault = None
            except Exception as error:  # whatever one number's source has: the next write may succeed
                if str(error) != self.fault:
                    unexpected = None if isinstance(error, ShipperError | OSError) else error
                    log.error("PROMETHEUS_TEXTFILE: %s: %s; it is tried again", self.path, error, exc_info=unexpected)
                self.fault = str(error)

    def close(self) -> None:
        """Write a last time and end."""
        self.stopping.set()
        self.thread.join()


def write(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` by ``content`` in one step. Everybody may read it: node_exporter is another user.

    Raises:
        OSError: it cannot be written; the file is what it was.
    """
    new = path.with_name(f".{path.name}.new")  # not *.prom: the collector must not read it half written
    try:
        with new.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
