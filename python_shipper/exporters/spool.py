"""A bounded queue of records on disk, for what waits while its destination is down; survives ``kill -9`` at any byte.

A folder of files ``<12 digits>.spool``, each a sequence of records: length and CRC-32 (4 bytes each, little-endian),
then the bytes. Records are appended to the newest file and taken from the oldest; ``position`` (replaced by rename)
says up to where they are settled. Whoever is killed between a delivery and its note delivers that batch again.

What is on disk when: a record is written (``write(2)``) before :meth:`Spool.append` returns, so the death of the
process loses none. It is synced (``fdatasync``) once a second while records come, and when a file is full or closed: a
power failure loses the last second at the most, or nothing with ``sync_each``. A torn record at the end of a file is
cut off; a damaged one within ends its file there, is counted in ``lost_bytes``, and the next file goes on.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from python_shipper.errors import ShipperError, StoreError, StoreLockedError

SUFFIX = ".spool"
FILE_BYTES = 8_388_608
MOST_BYTES = 268_435_456
LONGEST_RECORD = 16_777_216  # a longer length is damage
SYNC_SECONDS = 1.0
HEAD = struct.Struct("<II")

log = logging.getLogger(__name__)


class SpoolFullError(ShipperError):
    """The spool holds as much as it may: the record was not taken."""


class Position(NamedTuple):
    """A place between two records: number of the file, and bytes from its start."""

    file: int
    offset: int


class Spool:
    """The records of one folder; threads may append while another takes. One process at a time, held by a lock.

    Raises:
        StoreLockedError: another process uses the folder.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, *, sync_each: bool = False) -> None:
        """Open ``folder``, made if absent; ``most_bytes`` bound what waits in it."""
        self.folder, self.most_bytes, self.sync_each = folder, most_bytes, sync_each
        self.lost_bytes = 0
        self.mutex = threading.Lock()
        self.lock = locked(folder)
        self.settled = self.read_position()
        for number in self.numbers():
            if number < self.settled.file:
                self.path(number).unlink()
        number = max(self.numbers(), default=self.settled.file)
        self.fd = os.open(self.path(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        start = self.settled.offset if number == self.settled.file else 0
        self.end = Position(number, self.repaired(start))
        # A power failure may leave the note ahead of what is on disk.
        self.settled = self.taken = min(self.settled, self.end)
        self.synced_at, self.unsynced = time.monotonic(), False
        older = range(self.settled.file, self.end.file)
        self.waiting = sum(self.size(number) for number in older) + self.end.offset - self.settled.offset

    @classmethod
    def slot(cls, parent: Path, most_bytes: int = MOST_BYTES) -> Spool:
        """The spool in the first folder ``parent/0``, ``parent/1``, … that no other process uses.

        Raises:
            StoreError: the folder cannot be written.
        """
        for number in itertools.count():
            try:
                return cls(parent / str(number), most_bytes)
            except StoreLockedError:
                continue
        raise AssertionError("unreachable: there is always a next number")

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{number:012}{SUFFIX}"

    def numbers(self) -> list[int]:
        """The files' numbers, oldest first."""
        return sorted(int(path.stem) for path in self.folder.glob(f"*{SUFFIX}"))

    def size(self, number: int) -> int:
        """Bytes of a file."""
        return self.path(number).stat().st_size

    def read_position(self) -> Position:
        """Up to where records are settled."""
        try:
            number, offset = map(int, (self.folder / "position").read_text().split())
            return Position(number, offset)
        except (FileNotFoundError, ValueError):  # none yet, or a power failure left it empty: all is delivered again
            return Position(min(self.numbers(), default=1), 0)

    def repaired(self, start: int) -> int:
        """Where the newest file's last whole record ends; what follows (a kill within a write) is cut off."""
        size = os.fstat(self.fd).st_size
        end, _ = whole_records(self.fd, min(start, size), size, size)
        if end < size:
            log.warning("%s: its last %d bytes are no whole record, and were cut off", self.folder, size - end)
            os.ftruncate(self.fd, end)
        return end

    def append(self, record: bytes) -> None:
        """Add one record; it survives the death of this process once this returns.

        Raises:
            SpoolFullError: ``most_bytes`` would be passed; nothing was written.
            OSError: the disk refuses, or the spool is closed; nothing was written.
            ValueError: the record is empty.
        """
        if not record:
            raise ValueError("a spool takes no empty record: it could not be told from blank disk")
        framed = HEAD.pack(len(record), zlib.crc32(record)) + record
        with self.mutex:
            if self.lock < 0:  # the number of its file may be another file's by now
                raise OSError(errno.EBADF, "the spool is closed", str(self.folder))
            if self.waiting + len(framed) > self.most_bytes or len(record) > LONGEST_RECORD:
                raise SpoolFullError(f"{self.folder}: {self.waiting} of {self.most_bytes} bytes wait; none was added")
            if self.end.offset and self.end.offset + len(framed) > FILE_BYTES:
                self.begin_file()
            self.write(framed)
            self.waiting += len(framed)
            self.unsynced = True
            if self.sync_each or time.monotonic() - self.synced_at >= SYNC_SECONDS:
                self.sync_now()

    def write(self, framed: bytes) -> None:
        """Write at the end, wholly or not at all."""
        done = 0
        try:
            while done < len(framed):
                done += os.pwrite(self.fd, framed[done:], self.end.offset + done)
        except OSError:
            os.ftruncate(self.fd, self.end.offset)
            raise
        self.end = Position(self.end.file, self.end.offset + len(framed))

    def begin_file(self) -> None:
        """Close the newest file, synced, and begin another."""
        number = self.end.file + 1
        self.sync_now()
        fd = os.open(self.path(number), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.close(self.fd)
        self.fd, self.end = fd, Position(number, 0)

    def take(self, most_items: int, most_bytes: int) -> tuple[list[bytes], Position]:
        """The next records not taken yet, and the position to :meth:`settle` once they are delivered."""
        records: list[bytes] = []
        with self.mutex:
            while not records and self.taken < self.end:
                records = self.take_from_file(most_items, most_bytes)
            return records, self.taken

    def take_from_file(self, most_items: int, most_bytes: int) -> list[bytes]:
        """The next records of the file at which taking stands; moves on to the next file at its end."""
        number, offset = self.taken
        last = number == self.end.file
        fd = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = self.end.offset if last else os.fstat(fd).st_size
            end, records = whole_records(fd, offset, size, most_bytes, most_items)
        finally:
            os.close(fd)
        if not records and end < size:
            self.lost_bytes += size - end
            log.error("%s: damaged at byte %d; its last %d bytes are lost", self.path(number), end, size - end)
        finished = not records or end == size
        self.taken = Position(number + 1, 0) if finished and not last else Position(number, end)
        return records

    def settle(self, position: Position) -> None:
        """Note that all before ``position`` is delivered, and delete the files that hold nothing else."""
        with self.mutex:
            between = range(self.settled.file, position.file)
            freed = sum(self.size(n) for n in between) - self.settled.offset + position.offset
            note = self.folder / "position.new"
            note.write_text(f"{position.file} {position.offset}")
            note.replace(self.folder / "position")
            for number in between:
                self.path(number).unlink()
            self.settled = position
            self.waiting -= freed

    def back(self) -> None:
        """Take again from the first record that is not settled."""
        with self.mutex:
            self.taken = self.settled

    def sync(self) -> None:
        """Bring what was appended to disk, if :data:`SYNC_SECONDS` have passed since that was last done."""
        with self.mutex:
            if self.unsynced and time.monotonic() - self.synced_at >= SYNC_SECONDS:
                self.sync_now()

    def sync_now(self) -> None:
        """Bring what was appended to disk."""
        os.fdatasync(self.fd)
        self.synced_at, self.unsynced = time.monotonic(), False

    def close(self) -> None:
        """Sync, and let another process use the folder."""
        with self.mutex:
            if self.lock >= 0:
                self.sync_now()
                os.close(self.fd)
                os.close(self.lock)
            self.lock = -1

    def after_fork(self) -> None:
        """In a forked child: leave the folder to the parent, also when the child outlives it."""
        if self.lock >= 0:
            os.close(self.fd)
            os.close(self.lock)
        self.lock = -1


def whole_records(
    fd: int, offset: int, size: int, most_bytes: int, most_items: int | None = None
) -> tuple[int, list[bytes]]:
    """The records from ``offset`` up to ``size`` that are whole, at least one of them if any; and where they end."""
    records: list[bytes] = []
    taken = 0
    while offset + HEAD.size <= size and (most_items is None or len(records) < most_items):
        length, checksum = HEAD.unpack(os.pread(fd, HEAD.size, offset))
        end = offset + HEAD.size + length
        if not 0 < length <= LONGEST_RECORD or end > size or (records and taken + length > most_bytes):
            break
        record = os.pread(fd, length, offset + HEAD.size)
        if len(record) != length or zlib.crc32(record) != checksum:
            break
        records.append(record)
        taken += length
        offset = end
    return offset, records


def locked(folder: Path) -> int:
    """An open, exclusively locked file in ``folder``."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreLockedError(f"{folder}: another process uses it; stop that one, or choose another folder") from None
    return lock
