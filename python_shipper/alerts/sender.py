"""One thread a route: takes what is due from the outbox, sends it, and waits longer after each failure.

A route that hangs holds up no other. Of several processes on one outbox one sends for a route: whoever has its lock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from python_shipper.alerts.answer import Answer, short
from python_shipper.alerts.outbox import FAILED, SENT, WAITING, Delivery, Outbox
from python_shipper.alerts.rules import Route
from python_shipper.core.clock import now_ms

POLL_SECONDS = 1.0  # another process may have put something in
FIRST_SECONDS = 1.0
MOST_SECONDS = 900.0
GIVE_UP_SECONDS = 86_400.0

log = logging.getLogger(__name__)
Send = Callable[[Route, Delivery], Answer]


def back_off(attempts: int, answer: Answer) -> float:
    """Seconds until the next attempt: doubling with jitter, and never sooner than the far side asked for."""
    most = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(attempts, 20))
    jittered = random.uniform(most / 2, most)  # noqa: S311  spreads senders; nothing secret
    return max(jittered, answer.retry_after_seconds or 0.0)


class Sender:
    """Sends for one route until it is stopped."""

    def __init__(self, outbox: Outbox, route: Route, send: Send) -> None:
        self.outbox, self.route, self.send = outbox, route, send
        self.wake = threading.Event()
        self.stopping = threading.Event()
        self.paused_until_ms = 0
        self.failing: str | None = None  # what the far side said, while it takes nothing
        self.lock_file: int | None = None
        self.thread = threading.Thread(target=self.run, name=f"shipper-alerts-{route.name}", daemon=True)

    def run(self) -> None:
        """Send what is due; a fault of the outbox is said, and tried again."""
        while not self.stopping.is_set():
            try:
                busy = self.leads() and self.turn()
            except (OSError, sqlite3.Error) as error:
                busy = self.fail(f"{self.outbox.path}: {error}")
            if not busy:
                self.wake.wait(POLL_SECONDS)
                self.wake.clear()
        if self.lock_file is not None:
            os.close(self.lock_file)

    def leads(self) -> bool:
        """Whether this process sends for the route; the system frees the lock of one that is killed."""
        if self.lock_file is not None:
            return True
        path = Path(self.outbox.path).with_name(f"{self.route.name}.lock")
        lock_file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_file)
            return False
        self.lock_file = lock_file
        return True

    def turn(self) -> bool:
        """One attempt, if one is due; whether there was one."""
        now = now_ms()
        delivery = self.outbox.next_due(self.route.name, now) if now >= self.paused_until_ms else None
        if delivery is None:
            return False
        try:
            answer = self.send(self.route, delivery)
        except Exception as error:  # a fault of ours must not end the thread; it is told as the route's failure
            answer = Answer(taken=False, said=short(f"{type(error).__name__}: {error}"), refused=True)
        self.settle(delivery, answer)
        return True

    def settle(self, delivery: Delivery, answer: Answer) -> None:
        """Write the outcome down; after a failure set the next attempt, for the whole route where it took nothing."""
        now = now_ms()
        if answer.taken:
            self.recover()
            self.outbox.settle(delivery.id, SENT, answer.said, now)
            return
        attempts = delivery.attempts + 1
        due = now + round(back_off(attempts, answer) * 1000)
        given_up = now - delivery.made_ms > GIVE_UP_SECONDS * 1000
        self.outbox.settle(delivery.id, FAILED if given_up else WAITING, answer.said, due)
        if not answer.refused:
            self.paused_until_ms = due
        if given_up:
            log.error("alert route %s: notification %s is given up: %s", self.route.name, delivery.id, answer.said)
        self.fail(answer.said)

    def fail(self, what: str) -> bool:
        """Say what went wrong, once for each different fault in a row."""
        if what != self.failing:
            log.warning("alert route %s: %s; it is tried again", self.route.name, what)
        self.failing = what
        return False

    def recover(self) -> None:
        """Say that the route takes notifications again."""
        if self.failing:
            log.info("alert route %s takes notifications again", self.route.name)
        self.failing, self.paused_until_ms = None, 0
