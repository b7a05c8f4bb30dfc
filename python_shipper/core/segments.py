"""The shipped file: a rotating file whose every segment opens with a header line that no other segment shares.

Filebeat knows a file by its first 128 bytes, and ``shipper verify`` adds up the header's counts; a header is an ECS
event like any line.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import orjson

from python_shipper.contract import contract
from python_shipper.core import Event
from python_shipper.core.clock import iso
from python_shipper.core.files import AppendFile, RotatingFile, closed_numbers, numbered
from python_shipper.core.ulid import new_ulid

OPENED = "segment-opened"
HEADER_BYTES = 8192


class Header(NamedTuple):
    """What a segment says of itself: its number, and the lines that its slot wrote in all segments before it."""

    number: int
    lines: int


def header_event(service: str, header: Header, ms: int) -> Event:
    """The ECS event that opens a segment at ``ms`` (since 1970)."""
    identity = new_ulid(ms)
    return {
        "@timestamp": iso(ms),
        "log.level": "info",
        "message": f"segment {header.number} {identity}",
        "ecs.version": contract().ecs_version,
        "service": {"name": service},
        "event": {"id": identity, "action": OPENED},
        "christmas": {"segment": {"number": header.number, "lines": header.lines}},
    }


class SegmentFile(RotatingFile):
    """The rotating file of one slot, with headers and counted lines."""

    def __init__(self, path: Path, mode: int, max_bytes: int, keep: int, service: str) -> None:
        """Open ``path``, or go on with the segment that an earlier process left open."""
        self._service = service
        self.header: Header | None = None
        super().__init__(path, mode, max_bytes, keep)

    def opened(self) -> AppendFile:
        """The open segment: one that an earlier process left, with its counts, or a new one with a header."""
        file = super().opened()
        if file.size:
            self.header = header_of(file)
            file.lines = file.count_lines()
            if self.header is not None:
                return file
            file.close()
            self.path.rename(numbered(self.path, max(closed_numbers(self.path), default=0) + 1))
            file = super().opened()
        try:
            return self._begun(file)
        except OSError:
            file.close()
            self.path.unlink()
            raise

    def _begun(self, file: AppendFile) -> AppendFile:
        header = self._following()
        event = header_event(self._service, header, time.time_ns() // 1_000_000)
        file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        self.header = header
        return file

    def _following(self) -> Header:
        """The header after the open segment; for a slot without one, after the newest closed segments."""
        if self.header is not None:
            return Header(self.header.number + 1, self.header.lines + self.file.lines)
        lines, numbers = 0, closed_numbers(self.path)
        for number in reversed(numbers):
            closed = AppendFile(numbered(self.path, number), self._mode, None)
            header, lines = header_of(closed), lines + closed.count_lines()
            closed.close()
            if header is not None:
                return Header(numbers[-1] + 1, lines + header.lines)
        return Header(max(numbers, default=0) + 1, lines)

    def is_fresh(self) -> bool:
        """Whether only the header is there."""
        return self.file.lines <= 1

    def closing_number(self) -> int:
        """The segment's own number."""
        return self.header.number if self.header is not None else super().closing_number()


def header_of(file: AppendFile) -> Header | None:
    """The header in a segment's first line; None if that is something else."""
    try:
        event = orjson.loads(os.pread(file.fd, HEADER_BYTES, 0).partition(b"\n")[0])
        segment = event["christmas"]["segment"]
        return Header(int(segment["number"]), int(segment["lines"])) if event["event"]["action"] == OPENED else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
