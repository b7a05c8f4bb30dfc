"""For machines without a disk or without Filebeat: the handler that sends a service's lines itself.

A line is encoded once, written to the service's files where there are some, and put into a spool from which a thread
delivers it. Wherever else the same line comes from, its ``event.id`` makes it one document.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from python_shipper.agent.pipeline import Source
from python_shipper.core import counts
from python_shipper.core.clock import now_ms
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.names import index_part
from python_shipper.errors import StoreError
from python_shipper.exporters import Exporter, Line
from python_shipper.exporters.delivery import DEFAULT, Delivery, Limits
from python_shipper.exporters.memory import MemorySpool
from python_shipper.exporters.spool import Spool, SpoolFullError

CLOSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class RemoteHandler(FilesHandler):
    """A :class:`~python_shipper.core.handlers.FilesHandler` whose lines are also delivered elsewhere."""

    def __init__(
        self,
        *arguments: Any,
        destination: Callable[[], Exporter[Line, Any]],
        spool: Path,
        files: bool = True,
        limits: Limits = DEFAULT,
        **keywords: Any,
    ) -> None:
        """As ``FilesHandler``; nothing is opened before the first record.

        Args:
            arguments: see ``FilesHandler``.
            destination: makes the exporter; called once a process.
            spool: folder of what waits, one below it a process; where it cannot be written, 16 MiB wait in memory.
            files: write the service's files as well.
            limits: batches and pauses of the delivery.
            keywords: see ``FilesHandler``.
        """
        super().__init__(*arguments, **keywords)
        self._destination, self._spool, self._limits = destination, spool, limits
        self.writes_files = files
        self._path = f"{socket.gethostname()}/{index_part(self.service)}.ecs.log"
        self._reset()

    def _reset(self) -> None:
        """Nothing delivered yet; the delivery starts with the first line."""
        self.delivery: Delivery[Any] | None = None
        self._offset = 0
        self._handing = threading.RLock()  # re-entrant: a signal handler may log while the main thread does
        self._handed: deque[bytes] = deque()
        self._busy = False

    def write(self, line: bytes, level: int) -> None:
        """Write an encoded line to the files, and hand it over for delivery; a failure is counted."""
        if self.writes_files:
            super().write(line, level)
        # What the delivery itself has to say would cause the next delivery, and so on.
        if self.delivery is None or threading.current_thread() is not self.delivery.thread:
            self._hand_over(line)

    def _hand_over(self, line: bytes) -> None:
        with self._handing:
            self._handed.append(line)
            if self._busy:  # a signal handler logs while this thread is here: the line waits its turn
                return
            self._busy = True
            try:
                while self._handed:
                    self._put(self._handed.popleft())
            finally:
                self._busy = False

    def _put(self, line: bytes) -> None:
        raw = line.rstrip(b"\n")
        source = Source(self._path, "", self._offset)
        self._offset += len(line)
        try:
            self.delivery = self.delivery or self._begin()
            self.delivery.put(Line(raw, source, now_ms()))
        except (SpoolFullError, OSError) as error:
            counts.dropped(1, f"remote logging: {error}")
        except Exception as error:  # a logging call never raises
            counts.dropped(1, f"remote logging: {error!r}")

    def _begin(self) -> Delivery[Any]:
        delivery: Delivery[Any] = Delivery(self._destination(), opened(self._spool), self._limits)
        delivery.start()
        return delivery

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's to deliver; begin anew at the next record."""
        super().after_fork()
        if self.delivery is not None:
            self.delivery.spool.after_fork()
        self._reset()

    def close(self) -> None:
        """Deliver what waits, five seconds at the most; what is left on disk goes out after the next start."""
        with self._handing:
            delivery, self.delivery = self.delivery, None
        if delivery is not None:
            delivery.close(CLOSE_SECONDS)
            if isinstance(delivery.spool, MemorySpool) and (left := len(delivery.spool.records)):
                counts.dropped(left, f"remote logging: not delivered within {CLOSE_SECONDS:.0f} s of the end")
        super().close()

    def status(self) -> dict[str, Any]:
        """How the delivery does; see :meth:`python_shipper.exporters.delivery.Delivery.status`."""
        return self.delivery.status() if self.delivery else {}


def opened(folder: Path) -> Spool | MemorySpool:
    """A spool below ``folder``; in memory where that cannot be written."""
    try:
        return Spool.slot(folder)
    except StoreError as error:
        log.warning("%s; lines wait in memory until they are delivered", error)
        return MemorySpool()
