"""A bounded queue of records in memory, for machines without a disk: what the spool is, gone with the process."""

from __future__ import annotations

import itertools
import threading
from collections import deque

from python_shipper.exporters.spool import LONGEST_RECORD, Position, SpoolFullError

MOST_BYTES = 16_777_216


class MemorySpool:
    """The interface of :class:`~python_shipper.exporters.spool.Spool`."""

    folder = "memory"
    lost_bytes = 0

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Hold ``most_bytes`` at the most."""
        self.most_bytes = most_bytes
        self.records: deque[bytes] = deque()
        self.waiting = 0
        self.mutex = threading.Lock()
        self.settled = self.taken = 0  # records since the start

    def append(self, record: bytes) -> None:
        """Take a record.

        Raises:
            SpoolFullError: too much waits already; the record was not taken.
        """
        with self.mutex:
            if self.waiting + len(record) > self.most_bytes or len(record) > LONGEST_RECORD:
                raise SpoolFullError(f"{self.waiting} of {self.most_bytes} bytes wait in memory; none was added")
            self.records.append(record)
            self.waiting += len(record)

    def take(self, most_items: int, most_bytes: int) -> tuple[list[bytes], Position]:
        """The next records not taken yet, and the position to :meth:`settle` once they are delivered."""
        found: list[bytes] = []
        size = 0
        with self.mutex:
            begin = self.taken - self.settled
            for record in itertools.islice(self.records, begin, begin + most_items):
                size += len(record)
                if found and size > most_bytes:
                    break
                found.append(record)
            self.taken += len(found)
            return found, Position(0, self.taken)

    def settle(self, position: Position) -> None:
        """Forget all before ``position``."""
        with self.mutex:
            while self.settled < position.offset:
                self.waiting -= len(self.records.popleft())
                self.settled += 1

    def back(self) -> None:
        """Take again from the first record that is not settled."""
        with self.mutex:
            self.taken = self.settled

    def sync(self) -> None:
        """Nothing to bring to disk."""

    def close(self) -> None:
        """Nothing to close."""

    def after_fork(self) -> None:
        """See :meth:`python_shipper.exporters.spool.Spool.after_fork`: nothing is shared."""
