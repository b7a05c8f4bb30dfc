"""Brings batches to a destination until every item is settled: batching, retry with jitter, refusals one by one.

Killed at any moment, the same batch is sent again, and the ids decide at the far side. Nothing here drops an item: it
is stored, was there already, was refused (a dead letter), or is still to be sent.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from python_shipper.errors import ShipperError
from python_shipper.exporters import Answer, Encoded, Exporter, ExportError, Line, UnavailableError
from python_shipper.exporters.memory import MemorySpool
from python_shipper.exporters.spool import Spool

LINGER_SECONDS = 0.2
GRACE_SECONDS = 1.0
MOST_ASKED_SECONDS = 300.0
T = TypeVar("T")

log = logging.getLogger(__name__)


class StoppedError(ShipperError):
    """Delivery was told to stop before all was settled; what is left stays where it was taken from."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much goes at once, and how long to pause between attempts (seconds; doubled each time)."""

    items: int = 1_000
    bytes: int = 5_000_000
    first_pause_seconds: float = 0.5
    most_pause_seconds: float = 30.0


DEFAULT = Limits()


@dataclass(slots=True)
class Pauses:
    """Doubling pauses with jitter (half of each is random), so that many senders do not come back at one moment."""

    limits: Limits
    attempt: int = 0

    def next(self, asked_seconds: float | None = None) -> float:
        """The seconds to wait now, never less than the destination asked for."""
        longest = min(self.limits.most_pause_seconds, self.limits.first_pause_seconds * 2 ** min(self.attempt, 30))
        self.attempt += 1
        return max(random.uniform(longest / 2, longest), min(asked_seconds or 0.0, MOST_ASKED_SECONDS))  # noqa: S311


def batches(items: Iterable[Encoded], limits: Limits = DEFAULT) -> Iterator[list[Encoded]]:
    """The items in lists of at most ``limits``; one that is larger alone goes alone."""
    batch: list[Encoded] = []
    size = 0
    for item in items:
        if batch and (len(batch) >= limits.items or size + item.size > limits.bytes):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def slept(seconds: float) -> bool:
    """Pause; never a reason to stop."""
    time.sleep(seconds)
    return False


@dataclass(slots=True)
class Deliverer(Generic[T, Encoded]):
    """Sends batches to one exporter, again and again.

    Args:
        exporter: The destination.
        limits: Batches and pauses.
        wait: Pauses for so many seconds; true means stop.
        patience_seconds: How long one batch may make no progress before that is an error; None: for ever.
    """

    exporter: Exporter[T, Encoded]
    limits: Limits = DEFAULT
    wait: Callable[[float], bool] = slept
    patience_seconds: float | None = None
    counts: Counter[str] = field(default_factory=Counter)
    fault: str | None = None

    def deliver(self, items: Iterable[Encoded]) -> None:
        """Settle every item; ``counts`` tells how: stored, known, refused, retries.

        Raises:
            UnavailableError: no progress for ``patience_seconds``.
            ExportError: the destination refuses for a reason that a person must mend.
            StoppedError: ``wait`` said stop.
        """
        for batch in batches(items, self.limits):
            self.settle(batch)

    def settle(self, batch: list[Encoded]) -> None:
        """Send one batch until nothing of it is left."""
        pauses, progress_at = Pauses(self.limits), time.monotonic()
        left = batch
        while left:
            answer = self.attempt(left)
            replacements = list(self.exporter.refused(answer.refused)) if answer.refused else []
            if len(answer.again) < len(left):
                pauses, progress_at, self.fault = Pauses(self.limits), time.monotonic(), None
            left = [item for item, _ in answer.again] + replacements
            if answer.again:
                self.pause(answer, pauses, progress_at)

    def attempt(self, left: list[Encoded]) -> Answer[Encoded]:
        """Send once, and count; a destination that is away settles nothing."""
        try:
            answer = self.exporter.export(left)
        except UnavailableError as error:
            answer = Answer(again=[(item, str(error)) for item in left], retry_after_seconds=error.retry_after_seconds)
        parts = {"stored": answer.stored, "known": answer.known, "refused": answer.refused}
        if sum(map(len, parts.values())) + len(answer.again) != len(left):
            raise ExportError("the exporter did not account for every item; nothing of this batch is settled")
        self.counts.update({name: len(part) for name, part in parts.items()})
        return answer

    def pause(self, answer: Answer[Encoded], pauses: Pauses, progress_at: float) -> None:
        """Wait before the next attempt, and say once why."""
        reason = answer.again[0][1]
        self.counts["retries"] += 1
        if self.patience_seconds is not None and time.monotonic() - progress_at >= self.patience_seconds:
            raise UnavailableError(reason)
        if self.fault is None:
            log.warning("%s; it is tried again until it succeeds", reason)
        self.fault = reason
        if self.wait(pauses.next(answer.retry_after_seconds)):
            raise StoppedError(reason)


def patiently(step: Callable[[], T], limits: Limits = DEFAULT, patience_seconds: float | None = None) -> T:
    """``step`` again and again while its destination is away, with the pauses of ``limits``.

    Raises:
        UnavailableError: it was away for ``patience_seconds``.
    """
    pauses, began_at = Pauses(limits), time.monotonic()
    while True:
        try:
            return step()
        except UnavailableError as error:
            if patience_seconds is not None and time.monotonic() - began_at >= patience_seconds:
                raise
            if not pauses.attempt:
                log.warning("%s; it is tried again until it succeeds", error)
            time.sleep(pauses.next(error.retry_after_seconds))


class Delivery(Generic[Encoded]):
    """Takes lines from any thread into a spool, and delivers them in the background until it is closed."""

    def __init__(self, exporter: Exporter[Line, Encoded], spool: Spool | MemorySpool, limits: Limits = DEFAULT) -> None:
        """``exporter`` and ``spool`` belong to this delivery from now on, and are closed with it."""
        self.exporter, self.spool, self.limits = exporter, spool, limits
        self.arrived, self.stopping = threading.Event(), threading.Event()
        self.ends_at = float("inf")
        self.deliverer = Deliverer(exporter, limits, self.wait)
        self.thread = threading.Thread(target=self.run, name="shipper-delivery", daemon=True)

    def start(self) -> None:
        """Begin with what the spool holds."""
        self.thread.start()

    def put(self, line: Line) -> None:
        """Take a line; once this returns it survives the death of the process.

        Raises:
            SpoolFullError: too much waits already; the line was not taken.
            OSError: the disk refuses; the line was not taken.
        """
        self.spool.append(line.packed())
        self.arrived.set()

    def close(self, patience_seconds: float = 5.0) -> None:
        """Deliver what waits for at most so long; what is left stays in the spool for the next start."""
        self.ends_at = time.monotonic() + patience_seconds
        self.stopping.set()
        self.arrived.set()
        if self.thread.ident is None:
            self.spool.close()
            self.exporter.close()
        else:
            self.thread.join(patience_seconds + GRACE_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Pause; whether the time to stop has come."""
        if not self.stopping.wait(seconds):
            return False
        left = self.ends_at - time.monotonic()
        if left > 0:
            time.sleep(min(seconds, left))
        return time.monotonic() >= self.ends_at

    def run(self) -> None:
        """Deliver batch by batch; a fault is said once, and tried again."""
        pauses = Pauses(self.limits)
        try:
            while not self.stopping.is_set() or time.monotonic() < self.ends_at:
                try:
                    if not self.turn():
                        return
                    pauses = Pauses(self.limits)
                except StoppedError:
                    return
                except Exception as error:
                    self.fail(error)
                    if self.wait(pauses.next()):
                        return
        finally:
            self.spool.close()
            self.exporter.close()

    def turn(self) -> bool:
        """Deliver the next records, or wait for some; false at the end."""
        records, position = self.spool.take(self.limits.items, self.limits.bytes)
        if not records:
            self.spool.sync()
            self.arrived.clear()
            if self.stopping.is_set():
                return False
            if self.arrived.wait(1.0):
                self.stopping.wait(LINGER_SECONDS)  # a few more will have come: one request for all
            return True
        self.deliverer.deliver(self.exporter.encode(Line.unpacked(record)) for record in records)
        self.spool.settle(position)
        self.deliverer.fault = None
        return True

    def fail(self, error: Exception) -> None:
        """Take the batch again later; say why once."""
        self.spool.back()
        if str(error) != self.deliverer.fault:
            unexpected = None if isinstance(error, ShipperError | OSError) else error
            log.error("%s; what waits stays in %s, and is tried again", error, self.spool.folder, exc_info=unexpected)
        self.deliverer.fault = str(error)

    def status(self) -> dict[str, Any]:
        """Bytes that wait, counts since the start, and the present fault if there is one."""
        counts = self.deliverer.counts
        names = ("stored", "known", "refused", "retries")
        return {
            "waiting_bytes": self.spool.waiting,
            "lost_bytes": self.spool.lost_bytes,
            "fault": self.deliverer.fault,
            **{f"{name}_total": counts[name] for name in names},
        }
