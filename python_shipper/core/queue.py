"""For services that must not wait for a disk: lines are encoded on the caller, kept in memory, written by a thread.

Context, exception and message are captured where they happen. The queue is bounded in records and in bytes; what it
has no room for is dropped and counted. It is drained on exit, on SIGTERM, before a fork, and by ``flush``.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections import deque
from types import FrameType
from typing import Any

from python_shipper.core import counts
from python_shipper.core.handlers import FilesHandler

MAX_BYTES = 64 * 1024 * 1024
BATCH = 256
DRAIN_SECONDS = 10.0


class QueuedFilesHandler(FilesHandler):
    """A ``FilesHandler`` whose ``write`` does not wait: it keeps the line for a thread of its own."""

    def __init__(self, *arguments: Any, capacity: int, **keywords: Any) -> None:
        """As ``FilesHandler``; ``capacity`` is the number of lines kept at the most."""
        super().__init__(*arguments, **keywords)
        self._capacity = capacity
        self._closed = False
        self._reset()
        _queued.add(self)
        drain_on_sigterm()

    def _reset(self) -> None:
        """An empty queue without a thread; the thread starts with the first line."""
        self._lines: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        # Re-entrant: a signal handler drains in whatever the main thread was doing.
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._busy = False

    def write(self, line: bytes, level: int) -> None:
        """Keep an encoded line for writing, or count it as dropped; after ``close`` write it here and now."""
        if self._closed:
            super().write(line, level)
            return
        with self._changed:
            fits = len(self._lines) < self._capacity and self._bytes + len(line) <= MAX_BYTES
            if fits:
                self._lines.append((line, level))
                self._bytes += len(line)
                if not self._busy:
                    self._wake()
        if not fits:
            counts.dropped(1, f"the queue for {self.directory} is full (LOG_QUEUE={self._capacity})")

    def _wake(self) -> None:
        self._busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="python-shipper-queue", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._batch():
            for line, level in batch:
                super().write(line, level)
            with self._changed:
                self._bytes -= sum(len(line) for line, _ in batch)

    def _batch(self) -> list[tuple[bytes, int]]:
        """The next lines; waits for some, and gives none when the handler closes."""
        with self._changed:
            while not self._lines:
                self._busy = False
                self._changed.notify_all()
                if self._closed:
                    return []
                self._changed.wait()
            return [self._lines.popleft() for _ in range(min(BATCH, len(self._lines)))]

    def flush(self) -> None:
        """Wait until everything that was accepted is written, ten seconds at the most."""
        if threading.current_thread() is not self._thread:
            with self._changed:
                self._changed.wait_for(lambda: not self._busy and not self._lines, DRAIN_SECONDS)

    def after_fork(self) -> None:
        """In a forked child: the parent writes what was queued before the fork; start empty."""
        super().after_fork()
        self._reset()

    def close(self) -> None:
        """Write what is queued, then close the files."""
        self._closed = True
        self.flush()
        with self._changed:
            self._changed.notify_all()
        super().close()


_queued: weakref.WeakSet[QueuedFilesHandler] = weakref.WeakSet()


def drain() -> None:
    """Wait until all queues are empty."""
    for handler in list(_queued):
        handler.flush()


def drain_on_sigterm() -> None:
    """Drain before SIGTERM ends the process, where nothing else handles that signal; not possible in other threads."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _drain_and_end)


def _drain_and_end(number: int, _: FrameType | None) -> None:
    drain()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


os.register_at_fork(before=drain)
