"""Reads log files that nobody ships (old, packed, from elsewhere) and delivers their lines as the agent would.

Files are read by the agent's tail, so a file is known by its content wherever it lies and whatever it is called, plain
or gzip, and a line without an id gets the one that it would have got anyway. After each delivered chunk the position
is saved; interrupted or killed, the next run goes on there, and a run after that finds nothing to do. What the
checkpoint is behind is sent again, and known by its id.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from python_shipper.agent.checkpoint import Checkpoint
from python_shipper.agent.files import names_in
from python_shipper.agent.pipeline import Source
from python_shipper.agent.segment import Segment, key_of
from python_shipper.agent.tail import Tail
from python_shipper.core.clock import now_ms
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import Line
from python_shipper.exporters.delivery import Deliverer
from python_shipper.exporters.elasticsearch import Document
from python_shipper.exporters.spool import locked

LOOKS = 3  # a short file is taken at the second look, the last line without line break read at one more


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: bytes of files done (packed ones as they lie on disk) of all, and lines read."""

    done_bytes: int
    total_bytes: int
    lines: int
    path: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the lines that this run read; ``expired`` (older than retention) are among the dead letters."""

    files: int
    lines: int
    stored: int
    known: int
    dead_letters: int
    expired: int
    unreadable: dict[str, str]


Report = Callable[[Progress], None]


class Backfill:
    """Lines of files to one destination; ``folder`` keeps positions and the raw bytes of dead letters.

    Raises:
        StoreError: the folder cannot be written, or another backfill to this destination runs.
    """

    def __init__(self, folder: Path) -> None:
        with ExitStack() as stack:
            lock = locked(folder)
            stack.callback(os.close, lock)
            self.checkpoint = stack.enter_context(closing(Checkpoint(folder)))
            self.resources = stack.pop_all()
        self.counts: Counter[str] = Counter()

    def run(
        self, paths: Sequence[Path], deliverer: Deliverer[Line, Document], report: Report, *, again: bool = False
    ) -> Summary:
        """Deliver every line of ``paths`` not delivered before; with ``again`` all of them.

        Raises:
            ExportError: the destination refuses, or stays away; what was delivered is remembered.
        """
        if again:
            self.checkpoint.rewind()
        ticks = itertools.count(0, 60)
        tail = Tail([], self.checkpoint.load(), lambda: float(next(ticks)))  # nothing here is waited for
        sizes = {path: path.stat().st_size for path in paths}
        done, total = 0, sum(sizes.values())
        with closing(tail):
            for path in sorted(paths, key=lambda each: each.stat().st_mtime_ns):
                for segment, lines in self.read(tail, path):
                    self.deliver(deliverer, lines)
                    segment.counts.lines += len(lines)
                    self.checkpoint.save([segment], {}, now_ms())
                    within = 0 if segment.packed else min(segment.offset, sizes[path])
                    report(Progress(done + within, total, self.counts["lines"], str(path)))
                done += sizes[path]
                report(Progress(done, total, self.counts["lines"], str(path)))
        return self.summary(deliverer, len(paths), tail.troubles)

    def read(self, tail: Tail, path: Path) -> Iterator[tuple[Segment, list[Line]]]:
        """The lines of one file that were not delivered yet, chunk by chunk."""
        segment = None
        for _ in range(LOOKS):
            segment = segment or tail.adopt(str(path.absolute()), path.stat(), {})
            while segment is not None and (lines := tail.read(segment)):
                at_ms = now_ms()
                yield segment, [Line(raw, source_of(segment, offset), at_ms) for raw, offset, _ in lines]
        if segment is not None:
            tail.shut(segment)

    def deliver(self, deliverer: Deliverer[Line, Document], lines: Iterable[Line]) -> None:
        """Deliver one chunk, and count what it holds."""
        documents = [deliverer.exporter.encode(line) for line in lines]
        deliverer.deliver(documents)
        self.counts["lines"] += len(documents)
        self.counts["dead_letters"] += sum(each.is_letter for each in documents)
        self.counts["expired"] += sum(each.is_letter and b'"reason":"expired"' in each.body for each in documents)

    def summary(self, deliverer: Deliverer[Line, Document], files: int, troubles: dict[str, str]) -> Summary:
        """What became of all."""
        refused = deliverer.counts["refused"]
        letters = self.counts["dead_letters"] + refused
        stored, known = deliverer.counts["stored"], deliverer.counts["known"]
        return Summary(files, self.counts["lines"], stored, known, letters, self.counts["expired"], dict(troubles))

    def close(self) -> None:
        """Close the files and let another run begin."""
        self.resources.close()


def source_of(segment: Segment, offset: int) -> Source:
    """Where a line stands, as the agent has it."""
    return Source(segment.path, segment.fingerprint, offset)


def folder_for(data_dir: Path, destination: str) -> Path:
    """The folder of what is remembered about one ``destination``, such as a cluster's UUID."""
    return data_dir / "exports" / f"elasticsearch-{hashlib.sha256(destination.encode()).hexdigest()[:12]}"


def found(given: Sequence[str]) -> list[Path]:
    """The files that the arguments name: files as they are, a folder's log files, or a pattern's matches; each once.

    Raises:
        ConfigurationError: one names nothing.
    """
    files = [path for text in given for path in named(text)]
    return list({key_of(path.stat()): path for path in files}.values())


def named(text: str) -> list[Path]:
    """The files that one argument names."""
    path = Path(text).expanduser()
    if path.is_dir():
        files = [path / name for name in names_in(path)]
        if not files:
            raise ConfigurationError(f"{text}: holds no *.ecs.log or *.ecs.log.<number>; name other files one by one")
        return files
    files = [path] if path.exists() else [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  the pattern may be absolute
    files = [each for each in files if each.is_file()]
    if not files:
        raise ConfigurationError(f"{text}: no such file or folder, and no file matches it; check the path")
    return files
