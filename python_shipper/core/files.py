"""Files that only grow, one write a line: opened for appending, bytes counted here rather than asked of the disk.

``RotatingFile`` closes a segment by one rename and never shifts numbers; ``DailyFile`` starts a new file at midnight
UTC. Neither locks: the caller does.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from os import write  # called for every line
from pathlib import Path

SECONDS_OF_DAY = 86_400
BLOCK = 1 << 20
TORN = -1  # the room of a file whose last line must be ended first


class AppendFile:
    """An open file; a line that the disk took only in part is ended before the next one begins."""

    __slots__ = ("_limit", "fd", "lines", "path", "room", "size")

    def __init__(self, path: Path, mode: int, limit: int | None) -> None:
        """Open or create ``path`` with permission bits ``mode``; ``limit`` is its size in bytes at the most.

        A file without a limit is shared with other processes: a last line without end may be one that another is
        writing right now, so it is not ended here.

        Raises:
            OSError: the file cannot be opened.
        """
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
        self.size = os.fstat(self.fd).st_size
        if not self.size:
            os.fchmod(self.fd, mode)  # whatever the umask says
        self.lines = 0
        self._limit = sys.maxsize if limit is None else limit
        torn = limit is not None and self.size > 0 and os.pread(self.fd, 1, self.size - 1) != b"\n"
        self.room = TORN if torn else self._limit

    def write(self, line: bytes) -> bool:
        """Append ``line``, which ends with its only newline; False, and nothing done, if the file has no room for it.

        Raises:
            OSError: the disk did not take all of it.
        """
        length = len(line)
        if self.size + length > self.room:
            return False
        written = write(self.fd, line)
        self.size += written
        if written != length:
            self._finish(line, written)
        self.lines += 1
        return True

    def _finish(self, line: bytes, written: int) -> None:
        """Write what a first, partial write left; the disk says why if it cannot."""
        room, self.room = self.room, TORN
        while written < len(line):
            step = write(self.fd, line[written:])
            self.size += step
            written += step
        self.room = room

    def end_torn_line(self) -> None:
        """End a line that a full disk or a dead process left without its newline.

        Raises:
            OSError: the disk is still full.
        """
        if self.room == TORN:
            self.size += write(self.fd, b"\n")
            self.lines += 1
            self.room = self._limit

    def is_current(self) -> bool:
        """Whether the path still leads to this file: someone may have moved or deleted it."""
        try:
            there, here = self.path.stat(), os.fstat(self.fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def count_lines(self) -> int:
        """Newlines in the whole file."""
        newlines = position = 0
        while block := os.pread(self.fd, BLOCK, position):
            newlines += block.count(b"\n")
            position += len(block)
        return newlines

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class RotatingFile:
    """`<name>`, closed at a size as `<name>.<6-digit number>`; ``keep`` closed ones stay."""

    def __init__(self, path: Path, mode: int, max_bytes: int, keep: int) -> None:
        """Open ``path``, or go on with it."""
        self.path, self._mode, self._max_bytes, self._keep = path, mode, max_bytes, keep
        self.file = self.opened()

    def opened(self) -> AppendFile:
        """The open segment."""
        return AppendFile(self.path, self._mode, self._max_bytes)

    def write(self, line: bytes) -> None:
        """Append ``line``, after closing a segment that it would make too long.

        Raises:
            OSError: the disk did not take the line.
        """
        if self.file.write(line):
            return
        self.file.end_torn_line()
        if self.file.write(line):
            return
        if not self.is_fresh():
            self.rotate()
        if not self.file.write(line):
            self.file.room = len(line) + self.file.size
            self.file.write(line)

    def is_fresh(self) -> bool:
        """Whether the open segment holds no record yet; such a one is not closed for a record longer than itself."""
        return self.file.size == 0

    def rotate(self) -> None:
        """Rename the open segment to its number, open the next one, and delete the oldest closed ones.

        Raises:
            OSError: the disk has no room for a new file; the old one then stays open under its name.
        """
        closed = numbered(self.path, self.closing_number())
        self.path.rename(closed)
        try:
            following = self.opened()
        except OSError:
            closed.rename(self.path)
            raise
        self.file.close()
        self.file = following
        for old in closed_numbers(self.path)[: -self._keep]:
            numbered(self.path, old).unlink(missing_ok=True)

    def closing_number(self) -> int:
        """The number that the open segment gets."""
        return max(closed_numbers(self.path), default=0) + 1

    def check(self, now_seconds: float) -> None:
        """Open a new file where the old one was moved or deleted from outside."""
        if not self.file.is_current():
            following = self.opened()
            self.file.close()
            self.file = following

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class DailyFile:
    """`<stem>.daily.<yyyy-mm-dd>.log` of the UTC day, shared by the processes of a service; ``keep`` days stay."""

    def __init__(self, folder: Path, stem: str, mode: int, keep: int, now_seconds: float) -> None:
        """Open the file of the day of ``now_seconds`` (since 1970)."""
        self._folder, self._stem, self._mode, self._keep = folder, stem, mode, keep
        self._open(now_seconds)

    def _open(self, now_seconds: float) -> None:
        self._end = (now_seconds // SECONDS_OF_DAY + 1) * SECONDS_OF_DAY
        day = datetime.fromtimestamp(now_seconds, UTC).date()
        self.file = AppendFile(self._folder / f"{self._stem}.daily.{day}.log", self._mode, None)
        for old in self._days()[: -self._keep]:
            (self._folder / old).unlink(missing_ok=True)

    def _days(self) -> list[str]:
        shape = re.compile(re.escape(self._stem) + r"\.daily\.[0-9]{4}-[0-9]{2}-[0-9]{2}\.log")
        return sorted(path.name for path in self._folder.iterdir() if shape.fullmatch(path.name))

    def write(self, line: bytes) -> None:
        """Append ``line``.

        Raises:
            OSError: the disk did not take it.
        """
        self.file.end_torn_line()
        self.file.write(line)

    def check(self, now_seconds: float) -> None:
        """Go on to the next day's file after midnight, and open a new one where the old one was moved."""
        if now_seconds >= self._end or not self.file.is_current():
            self.file.close()
            self._open(now_seconds)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def closed_numbers(path: Path) -> list[int]:
    """The numbers of the closed segments of ``path``, rising."""
    shape = re.compile(re.escape(path.name) + r"\.([0-9]{6,})")
    return sorted(int(match[1]) for there in path.parent.iterdir() if (match := shape.fullmatch(there.name)))


def numbered(path: Path, number: int) -> Path:
    """The name of a closed segment of ``path``."""
    return path.with_name(f"{path.name}.{number:06d}")
