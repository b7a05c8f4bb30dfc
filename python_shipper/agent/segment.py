"""What makes a log file itself, whatever it is called now: device and inode, and a hash of its first bytes.

A file's name says nothing: rotation renames it, copytruncate copies it, gzip packs it, and an inode is given out again
as soon as it is free. So a segment is its *fingerprint*, SHA-256 of the first 128 bytes (as Filebeat has it: offset 0,
length 128), and is bound to an inode only while that inode still shows those bytes. Two files that begin alike are
told apart by the *seam*, a hash of the bytes before the position that has been read: a file whose seam differs is
another file, and gets a number of its own.

A file of less than 128 bytes waits. One that stays so short is taken after ``SETTLE_SECONDS`` with the hash of what is
there and of its device and inode, since so few bytes are not unique.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson

from python_shipper.core.segments import OPENED, Header

HEAD = 128
SEAM = 64
SETTLE_SECONDS = 5.0
Key = tuple[int, int]  # device and inode


class Line(NamedTuple):
    """One line: its bytes without line break, and where in the file it begins and ends (break included)."""

    raw: bytes
    offset: int
    end: int


@dataclass(slots=True)
class Counts:
    """What became of a segment's lines; ``lines`` is the sum of the next three, ``cut`` those that were over-long."""

    lines: int = 0
    stored: int = 0
    known: int = 0
    dead_letters: int = 0
    cut: int = 0


class Reader(Protocol):
    """An open file that is read by offset; of a packed one, the offsets are those of its content."""

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end."""

    def stat(self) -> os.stat_result:
        """The file's state now, also when its name is gone."""

    def close(self) -> None:
        """Give the file descriptor back."""


class PlainFile:
    """A log file, read by offset without moving a position."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end."""
        return os.pread(self.fd, size, offset)

    def stat(self) -> os.stat_result:
        """The file's state now, also when its name is gone."""
        return os.fstat(self.fd)

    def close(self) -> None:
        """Give the file descriptor back."""
        os.close(self.fd)


class GzipFile:
    """An old segment that something has packed; reading backwards unpacks again from the start.

    Raises:
        EOFError, gzip.BadGzipFile, zlib.error: the file is not complete yet, or damaged.
    """

    def __init__(self, path: str) -> None:
        self.packed = Path(path).open("rb")  # noqa: SIM115  closed by close()
        self.content = gzip.GzipFile(fileobj=self.packed)
        self.window, self.start = b"", 0  # what was unpacked last: a step back within it costs nothing

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` unpacked bytes from ``offset`` of the content; fewer only at the end."""
        if not self.start <= offset <= self.start + len(self.window):
            self.content.seek(offset)
            self.window, self.start = b"", offset
        missing = offset + size - self.start - len(self.window)
        if missing > 0:
            past = max(0, offset - self.start - SEAM)
            self.window, self.start = self.window[past:] + self.content.read(missing), self.start + past
        return self.window[offset - self.start :][:size]

    def stat(self) -> os.stat_result:
        """The packed file's state."""
        return os.fstat(self.packed.fileno())

    def close(self) -> None:
        """Give the file descriptor back."""
        self.packed.close()


@dataclass(slots=True, eq=False)
class Segment:
    """One log file as the agent knows it: identity, where it is, how far it has been read, what became of its lines."""

    number: int
    fingerprint: str
    head_length: int
    path: str
    device: int
    inode: int
    offset: int = 0
    seam: str = ""
    header: Header | None = None
    counts: Counts = field(default_factory=Counts)
    gone: bool = False
    # What follows is of this process only.
    state: tuple[int, int] = (0, 0)  # size and mtime, as last looked at
    seen: tuple[int, int] = (-1, -1)  # the state in which there was nothing more to read
    scanned: int = 0  # up to here the unfinished last line has no line break
    changed_at: float = 0.0  # monotonic time of the last change
    behind_since: float = 0.0  # monotonic time since which there has been something to read
    reread_until: int = 0  # below this, an id that the store knows is one that this segment brought there
    file: Reader | None = None

    @property
    def key(self) -> Key:
        """Device and inode."""
        return self.device, self.inode

    @property
    def slot(self) -> str:
        """The writer's file without rotation: ``orders.1`` for ``orders.1.ecs.log.000007``."""
        return slot_of(self.path)

    @property
    def packed(self) -> bool:
        """Whether the file is gzip'd."""
        return self.path.endswith(".gz")

    @property
    def closed(self) -> bool:
        """Whether nobody is expected to append: rotated, packed or deleted."""
        return self.gone or not self.path.endswith(".ecs.log")

    @property
    def unfinished(self) -> bool:
        """Whether something follows the position (of a packed file that is not known before it is read)."""
        return not self.packed and self.offset < self.state[0]


def open_reader(path: str) -> Reader:
    """The file at ``path``, unpacked if its name ends in ``.gz``."""
    return GzipFile(path) if path.endswith(".gz") else PlainFile(path)


def slot_of(path: str) -> str:
    """The part of a log file's name before ``.ecs.log``."""
    return os.path.basename(path).partition(".ecs.log")[0]  # noqa: PTH119  a Path costs 3 µs, and this runs for each line


def key_of(stat: os.stat_result) -> Key:
    """Device and inode."""
    return stat.st_dev, stat.st_ino


def fingerprint_of(head: bytes, key: Key) -> str:
    """SHA-256 of the first bytes, in hex; of less than ``HEAD`` bytes, device and inode are made part of it."""
    return sha256(head if len(head) >= HEAD else b"%b\n%d:%d" % (head, *key)).hexdigest()


def numbers_of(fingerprint: str) -> Iterator[int]:
    """Candidates for a segment's number (60 bits): the first, and further ones for files that begin alike."""
    ordinal = 0
    while True:
        text = fingerprint if not ordinal else sha256(f"{fingerprint}#{ordinal}".encode()).hexdigest()
        yield int(text[:15], 16)
        ordinal += 1


def seam_of(file: Reader, offset: int) -> str:
    """A hash of the bytes just before ``offset``; empty at the start."""
    start = max(0, offset - SEAM)
    before = file.pread(offset - start, start)
    return sha256(before).hexdigest()[:16] if len(before) == offset - start and before else ""


def intact(segment: Segment, file: Reader) -> bool:
    """Whether ``file`` still begins as ``segment`` did and holds, before its offset, what was read from there."""
    head = file.pread(segment.head_length, 0)
    if fingerprint_of(head, segment.key) != segment.fingerprint:
        return False
    return seam_of(file, segment.offset) == segment.seam


def header_of(raw: bytes) -> Header | None:
    """What a segment-opened line says, or None for any other line."""
    if OPENED.encode() not in raw:
        return None
    try:
        event = orjson.loads(raw)
        if event["event"]["action"] != OPENED:
            return None
        return Header(int(event["christmas"]["segment"]["number"]), int(event["christmas"]["segment"]["lines"]))
    except (ValueError, KeyError, TypeError):
        return None
