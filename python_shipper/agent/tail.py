"""Gives the lines that services append to their files, each once, a chunk at a time.

Memory is bounded by a chunk, or one line of at most 10,485,760 bytes, however far behind the agent is: nothing is read
before the lines read so far are on their way into the store.

Before each chunk the file is compared with what was read from it before. One that was truncated or replaced in place
is let go and taken anew; the rest of the old content is read from the copy, where rotation left one.

A line without line break waits in an open file. In a closed one (rotated, packed or deleted) it counts as a line, once
the file has been left alone for ``SETTLE_SECONDS``. Empty lines are passed over.
"""

from __future__ import annotations

from python_shipper.agent.files import UNREADABLE, Files, warn_of_truncation
from python_shipper.agent.segment import SETTLE_SECONDS, Line, Reader, Segment, intact, key_of, open_reader, seam_of

CHUNK = 524_288
LONGEST_LINE = 10_485_760  # Filebeat's message_max_bytes


class Tail(Files):
    """The log files of some folders, read line by line."""

    def ready(self) -> list[Segment]:
        """Segments with something to read: closed ones first, since they will be deleted, the oldest of them first."""
        found = [s for s in self.attached.values() if s.state != s.seen or self.ending(s)]
        return sorted(found, key=lambda s: (not s.closed, s.state[1]))

    def read(self, segment: Segment) -> list[Line]:
        """The next lines of ``segment``, at most a chunk of them; none when there are no complete ones."""
        try:
            file = self.opened(segment)
            return self.lines(segment, file) if file and self.still(segment, file) else []
        except UNREADABLE as error:
            self.trouble(segment.path, error)
            self.retry.add(segment)
            segment.seen = segment.state
            self.shut(segment)
            return []

    def opened(self, segment: Segment) -> Reader | None:
        """The segment's open file; None if its path leads elsewhere by now, which the next scan sets right."""
        if segment.file is None:
            file = open_reader(segment.path)
            if key_of(file.stat()) != segment.key or (segment.packed and not intact(segment, file)):
                file.close()
                self.rescan = True
                return None
            self.keep(segment, file)
        self.open.move_to_end(segment.number)
        return segment.file

    def still(self, segment: Segment, file: Reader) -> bool:
        """Whether the file is still what it was; if not, it is let go, to be taken anew by the next scan."""
        if segment.packed or intact(segment, file):  # a packed file is compared when it is opened
            return True
        warn_of_truncation(segment.path)
        self.shut(segment)
        self.detach(segment)
        self.rescan = True
        return False

    def lines(self, segment: Segment, file: Reader) -> list[Line]:
        """The complete lines of one chunk; moves the segment's position behind them."""
        self.note(segment, file.stat())
        data = file.pread(CHUNK, segment.offset)
        at_end = len(data) < CHUNK
        stop = data.rfind(b"\n") + 1
        if stop:
            found = split(data, stop, segment.offset)
        elif at_end:
            stop = len(data) if segment.packed or self.ending(segment) else 0
            found = unfinished(data[:stop], segment.offset)
        else:
            found, stop = self.long_line(segment, file)
        if not stop or (at_end and (stop == len(data) or not segment.packed)):
            segment.seen = segment.state
        if stop:
            self.changed.add(segment)
            segment.offset += stop
            segment.seam = seam_of(file, segment.offset)
        return found

    def long_line(self, segment: Segment, file: Reader) -> tuple[list[Line], int]:
        """A line longer than a chunk, cut to ``LONGEST_LINE`` bytes, and its whole length; nothing if it has no end."""
        position, stop, more = max(segment.offset, segment.scanned), 0, True
        while more and not stop:
            data = file.pread(CHUNK, position)
            stop, more = data.find(b"\n") + 1, len(data) == CHUNK
            position += stop or len(data)
        segment.scanned = position
        if not stop and not segment.packed and not self.ending(segment):
            return [], 0
        length = position - segment.offset
        bare = length - bool(stop)
        segment.counts.cut += bare > LONGEST_LINE
        raw = file.pread(min(LONGEST_LINE, bare), segment.offset)
        return [Line(raw.removesuffix(b"\r"), segment.offset, position)], length

    def ending(self, segment: Segment) -> bool:
        """Whether what is left in a closed file is its last line, without line break."""
        left = segment.closed and segment.unfinished and segment.seen == segment.state
        return left and self.monotonic() - segment.changed_at >= SETTLE_SECONDS

    def lag(self) -> tuple[int, float]:
        """Bytes not read yet, and for how many seconds the oldest of them have been waiting."""
        behind = [s for s in list(self.attached.values()) if s.state != s.seen]  # asked from other threads too
        waiting = sum(max(0, s.state[0] - (0 if s.packed else s.offset)) for s in behind)
        return waiting, max((self.monotonic() - s.behind_since for s in behind), default=0.0) if waiting else 0.0


def split(data: bytes, stop: int, offset: int) -> list[Line]:
    """The lines of ``data[:stop]``, which ends with a line break; ``offset`` is where ``data`` begins in its file."""
    lines = []
    for raw in data[: stop - 1].split(b"\n"):
        end = offset + len(raw) + 1
        if raw and raw != b"\r":
            lines.append(Line(raw.removesuffix(b"\r"), offset, end))
        offset = end
    return lines


def unfinished(data: bytes, offset: int) -> list[Line]:
    """What follows the last line break of a file that is closed, as a line."""
    return [Line(data.removesuffix(b"\r"), offset, offset + len(data))] if data.strip(b"\r") else []
