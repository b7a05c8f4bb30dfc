"""Runs the ingest in a thread of this process: starts, stops, recovers from faults, and tells how it is doing."""

from __future__ import annotations

import gc
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any

from python_shipper.agent.files import log_folders
from python_shipper.agent.ingest import POLL_SECONDS, Ingest
from python_shipper.agent.watch import Watch
from python_shipper.core.clock import now_ms
from python_shipper.core.names import day
from python_shipper.errors import ShipperError
from python_shipper.settings import Settings
from python_shipper.store.writer import Committed

RETRY_SECONDS = 1.0
MOST_RETRY_SECONDS = 10.0
HOUSE_SECONDS = 3600.0
OBSERVE_SECONDS = 300.0

log = logging.getLogger(__name__)


class Agent:
    """Tails the log folders into the embedded store, until it is stopped."""

    def __init__(self, settings: Settings, committed: Sequence[Committed] = ()) -> None:
        """Make an agent; each of ``committed`` is given the JSON sources of newly stored logs, once they are durable.

        They are called in the agent's thread, in turn, and hold up storing while they run: take note and return. What
        one raises is logged and counted, and keeps nothing from the others. A document is handed over when it is
        stored, so at most once: lines read again after a crash that are in the store already are not, and of what was
        committed at the moment of a kill some may never be. Only where stored days were lost or set aside as damaged,
        and their lines are stored anew, are they handed over anew.
        """
        self.settings = settings
        self.listeners = tuple(committed)
        self.listener_faults = 0
        self.watch: Watch | None = None
        self.ingest: Ingest | None = None
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None
        self.fault: str | None = None
        self.faults = 0
        self.observed = time.monotonic()

    def start(self) -> None:
        """Open the store and begin.

        Raises:
            StoreError: the store is in use by another process, or cannot be opened; nothing was started.
        """
        self.ingest = Ingest(self.settings, self.hand_over if self.listeners else None)
        self.watch = Watch(log_folders(self.settings))
        self.thread = threading.Thread(target=self.run, name="shipper-agent", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Commit what was read, and close everything."""
        self.stopping.set()
        if self.watch:
            self.watch.changed.set()
        if self.thread:
            self.thread.join()
        if self.watch:
            self.watch.close()

    def run(self) -> None:
        """Ingest until stopped; after a fault, close everything and start from the checkpoint again."""
        pause = RETRY_SECONDS
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                self.ingest = self.ingest or Ingest(self.settings, self.hand_over if self.listeners else None)
                self.follow(self.ingest)
            except ShipperError as error:
                self.fail(str(error))
            except (OSError, sqlite3.Error) as error:
                self.fail(f"{self.settings.data_dir}: {error}")
            except Exception as error:
                self.fail(f"unexpected: {error!r}", error)
            self.close()
            pause = RETRY_SECONDS if time.monotonic() - started > MOST_RETRY_SECONDS else pause * 2
            self.stopping.wait(min(pause, MOST_RETRY_SECONDS) if self.fault else 0)
        self.close()

    def follow(self, ingest: Ingest) -> None:
        """Take turns until stopped, then commit."""
        watch, housed, day_housed = self.watch, float("-inf"), ""
        assert watch is not None  # noqa: S101  start() makes it
        while not self.stopping.is_set():
            at_ms, now = now_ms(), time.monotonic()
            if now - housed > HOUSE_SECONDS or day(at_ms) != day_housed:
                ingest.keep_house(at_ms)
                housed, day_housed = now, day(at_ms)
            ingest.tail.rescan |= watch.changed.is_set()
            watch.changed.clear()
            busy = ingest.turn()
            ingest.replay(at_ms)
            self.recover(ingest)
            self.observe(now)
            if not busy:
                watch.changed.wait(POLL_SECONDS)
        ingest.commit()

    def hand_over(self, sources: list[bytes]) -> None:
        """Give committed documents to each listener; a listener's fault is its own, and stops no storing."""
        for listener in self.listeners:
            try:
                listener(sources)
            except Exception:
                self.listener_faults += 1
                if self.listener_faults == 1:
                    log.exception("what listens to the agent failed; storing goes on")

    def fail(self, what: str, error: Exception | None = None) -> None:
        """Say what went wrong, once for each different fault in a row."""
        self.faults += 1
        if what != self.fault:
            log.error("%s; the agent keeps trying, and goes on where it was", what, exc_info=error)
        self.fault = what

    def recover(self, ingest: Ingest) -> None:
        """Say so when all that was read has been committed after a fault."""
        if self.fault and not ingest.tail.changed:
            log.warning("the agent goes on after: %s", self.fault)
            self.fault = None

    def observe(self, now: float) -> None:
        """Every five minutes one line about itself; it also tells that the agent is alive."""
        if now - self.observed >= OBSERVE_SECONDS:
            self.observed = now
            status = self.status()
            figures = {name: value for name, value in status.items() if isinstance(value, int | float)}
            sentence = "%.0f lines/s, %d bytes behind, %d dead letters, %d bytes of disk free"
            names = ("lines_per_second", "lag_bytes", "dead_letters_total", "disk_free_bytes")
            log.info(sentence, *(status[name] for name in names), extra={"agent": figures})

    def close(self) -> None:
        """Let go of the store and the files."""
        ingest, self.ingest = self.ingest, None
        try:
            if ingest:
                ingest.close()
        except (ShipperError, OSError, sqlite3.Error) as error:
            log.warning("while closing: %s; what was not committed is read again", error)
        gc.collect()  # frames of a caught error may hold an index writer, and with it the index's lock

    def status(self) -> dict[str, Any]:
        """How it is doing: state, lag in bytes and seconds, rate, counts since the start, disk in bytes."""
        ingest = self.ingest
        alive = self.thread is not None and self.thread.is_alive()
        disk = shutil.disk_usage(self.settings.data_dir)
        return {
            "state": ("fault" if self.fault else "running") if alive else "stopped",
            "fault": self.fault,
            "faults_total": self.faults,
            "listener_faults_total": self.listener_faults,
            "disk_free_bytes": disk.free,
            "disk_total_bytes": disk.total,
            **(ingest.status() if ingest else {}),
        }
