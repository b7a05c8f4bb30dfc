"""Sends what a logging call hands over, from a thread of its own: bounded, patient, never in the caller's way.

For what only tells people (Slack, e-mail). What must not get lost goes through ``python_shipper.alerts``.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from python_shipper.ads.system import files_above
from python_shipper.alerts.answer import Answer
from python_shipper.core import Event
from python_shipper.core.formatters import EcsFormatter

T = TypeVar("T")
CAPACITY = 1_000
BATCH = 20
FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
PATIENCE_SECONDS = 900.0  # a batch that nobody took for so long is given up
CLOSE_SECONDS = 5.0
QUIET_SECONDS = 60.0


class Courier(Generic[T]):
    """A queue and the thread that empties it; ``send`` gets up to ``batch`` things and says what became of them.

    ``dropped`` counts what found the queue full, ``failed`` what the far side refused or took too long to take.
    """

    def __init__(
        self, name: str, send: Callable[[list[T]], Answer], *, batch: int = BATCH, capacity: int = CAPACITY
    ) -> None:
        self.name, self.send, self.batch, self.capacity = name, send, batch, capacity
        self.dropped = self.failed = self.sent = 0
        self.said_at = float("-inf")
        self.reset()
        _couriers.add(self)

    def reset(self) -> None:
        """An empty queue without a thread; the thread starts with the first thing."""
        self.things: deque[T] = deque()
        self.changed = threading.Condition(threading.RLock())  # re-entrant: a signal handler may log as well
        self.thread: threading.Thread | None = None
        self.busy = self.closing = False

    def put(self, thing: T) -> bool:
        """Take ``thing`` along; False, and counted, where the queue is full. Never waits for the far side."""
        with self.changed:
            if len(self.things) >= self.capacity or self.closing:
                self.dropped += 1
                return False
            self.things.append(thing)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name=f"python-shipper-{self.name}", daemon=True)
                self.thread.start()
            self.changed.notify_all()
        return True

    def run(self) -> None:
        """Send until closed."""
        while things := self.take():
            self.deliver(things)
            with self.changed:
                self.busy = False
                self.changed.notify_all()

    def take(self) -> list[T]:
        """The next batch; waits for one, and gives none when the courier closes."""
        with self.changed:
            while not self.things:
                if self.closing:
                    return []
                self.changed.wait()
            self.busy = True
            return [self.things.popleft() for _ in range(min(self.batch, len(self.things)))]

    def deliver(self, things: list[T]) -> None:
        """Send a batch, again and again with longer pauses, until it is taken, refused, or nobody waits any more."""
        began, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            answer = self.attempt(things)
            if answer.taken:
                self.sent += len(things)
                return
            pause = self.pause(attempts, answer)
            if answer.refused or self.closing or time.monotonic() + pause - began > PATIENCE_SECONDS:
                self.failed += len(things)
                self.say(f"{len(things)} given up: {answer.said}")
                return
            self.say(f"{answer.said}; it is tried again")
            with self.changed:
                self.changed.wait_for(lambda: self.closing, pause)

    def attempt(self, things: list[T]) -> Answer:
        """Send once; a fault of ours must not end the thread."""
        try:
            return self.send(things)
        except Exception as error:
            return Answer(taken=False, said=f"{type(error).__name__}: {error}", refused=True)

    def pause(self, attempts: int, answer: Answer) -> float:
        """Seconds until the next attempt: doubling with jitter, and never sooner than the far side asked for."""
        most = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(attempts - 1, 20))
        return max(random.uniform(most / 2, most), answer.retry_after_seconds or 0.0)  # noqa: S311  spreads senders

    def say(self, words: str) -> None:
        """A word on standard error, once a minute at the most: a log line would come back to us."""
        if sys.stderr is not None and time.monotonic() - self.said_at >= QUIET_SECONDS:
            self.said_at = time.monotonic()
            try:
                sys.stderr.write(f"python_shipper: {self.name}: {words}\n")
            except (OSError, ValueError):
                return  # standard error is closed; the counts stand

    def flush(self, seconds: float) -> bool:
        """Wait until everything is sent or given up; whether it is."""
        if threading.current_thread() is self.thread:
            return False
        with self.changed:
            return self.changed.wait_for(lambda: not self.things and not self.busy, seconds)

    def close(self) -> None:
        """Send what is queued, five seconds at the most, and end the thread."""
        self.flush(CLOSE_SECONDS)
        with self.changed:
            self.closing = True
            self.failed += len(self.things)
            self.things.clear()
            self.changed.notify_all()


class CourierHandler(logging.Handler):
    """A handler whose records a courier takes to people, masked as in the files."""

    courier: Courier[Any]

    def __init__(self, level: int | str) -> None:
        super().__init__(level)
        self._encoder = EcsFormatter(origin=True)

    def event(self, record: logging.LogRecord) -> Event:
        """The record as the event that the files have of it: of the same service."""
        event = self._encoder.format_to_ecs(record)
        if files := files_above(logging.getLogger(record.name)):
            event["service"]["name"] = files.service
        return event

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Count what could not become a message."""
        self.courier.failed += 1

    def close(self) -> None:
        """Send what is queued, five seconds at the most."""
        self.courier.close()
        super().close()


_couriers: weakref.WeakSet[Courier[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: the parent sends what was queued before the fork."""
    for courier in list(_couriers):
        courier.reset()


def _at_exit() -> None:
    deadline = time.monotonic() + CLOSE_SECONDS
    for courier in list(_couriers):
        courier.flush(max(0.0, deadline - time.monotonic()))


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
