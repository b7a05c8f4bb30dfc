"""Knows which file is which segment, while services rotate, truncate, pack and delete them.

`Files.scan` looks at the folders. A file that was renamed keeps its segment, since that is bound to device and inode.
An unknown inode is a new segment, or a known one that has moved (packed by gzip, restored, another device number after
a reboot), or a copy of one that is still there, which is left alone. A known inode that changed while it was not open
is identified again, because inodes are given out anew. `Files.poll` looks at the open files only, and is cheap enough
for ten times a second.

Files with something to read, or read from lately, stay open (a quarter of the process's limit at most): an open file
that is deleted can still be read to its end, and its inode is not given to another.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from python_shipper.agent.segment import (
    HEAD,
    SETTLE_SECONDS,
    Key,
    Reader,
    Segment,
    fingerprint_of,
    intact,
    key_of,
    numbers_of,
    open_reader,
    seam_of,
)
from python_shipper.settings import Settings

SHIPPED = re.compile(r"\.ecs\.log(\.[0-9].*)?$")  # *.ecs.log and *.ecs.log.[0-9]*
IDLE_SECONDS = 60.0
UNREADABLE = (OSError, EOFError, zlib.error)
Listing = dict[Key, tuple[str, os.stat_result]]

log = logging.getLogger(__name__)


class Files:
    """The log files of some folders, as segments."""

    def __init__(
        self, folders: Sequence[Path], segments: Iterable[Segment] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.folders = folders
        self.monotonic = monotonic
        self.segments = {segment.number: segment for segment in segments}
        self.attached = {segment.key: segment for segment in self.segments.values() if not segment.gone}
        self.open: OrderedDict[int, Segment] = OrderedDict()
        self.most_open = max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self.young: dict[Key, tuple[int, float]] = {}  # files too short for a fingerprint: size, since when
        self.troubles: dict[str, str] = {}  # path → why it cannot be read
        self.copies: dict[Key, int] = {}  # files found to be copies: the number of their segment
        self.retry: set[Segment] = set()
        self.changed: set[Segment] = set()  # what the checkpoint does not know yet
        self.rescan = True
        self.lost_bytes = 0

    def scan(self) -> None:
        """Look at the folders: what is new, renamed, grown or gone."""
        self.rescan = False
        present = listing(self.folders)
        for segment in self.retry:
            segment.seen = (-1, -1)
        self.retry.clear()
        for segment in [s for key, s in self.attached.items() if key not in present]:
            self.vanished(segment)
        for key, (path, stat) in present.items():
            self.look(key, path, stat, present)
        self.young = {key: value for key, value in self.young.items() if key in present}
        self.copies = {key: value for key, value in self.copies.items() if key in present}
        self.troubles = {path: why for path, why in self.troubles.items() if os.path.exists(path)}  # noqa: PTH110

    def look(self, key: Key, path: str, stat: os.stat_result, present: Listing) -> None:
        """Bring what is known of one file up to date."""
        known = self.attached.get(key)
        if known is None:
            self.adopt(path, stat, present)
        elif known.file is not None or (known.path == path and known.state == state_of(stat)):
            if known.path != path or known.gone:
                known.path, known.gone = path, False
                self.changed.add(known)
            self.note(known, stat)
        else:
            self.detach(known)
            found = self.adopt(path, stat, present, known)
            if found is not known and known.path == path and path.endswith(".ecs.log"):
                warn_of_truncation(path)

    def poll(self) -> None:
        """Look at the open files: what has grown, and what need not stay open."""
        now = self.monotonic()
        for segment in [s for s in self.open.values() if s.file is not None]:
            self.note(segment, segment.file.stat())  # type: ignore[union-attr]
            patience = SETTLE_SECONDS if segment.closed else IDLE_SECONDS
            if segment.seen == segment.state and not segment.unfinished and now - segment.changed_at > patience:
                self.shut(segment)
                if segment.gone:
                    self.detach(segment)

    def adopt(self, path: str, stat: os.stat_result, present: Listing, former: Segment | None = None) -> Segment | None:
        """Bind an inode to its segment: a new one, or a known one that has moved; a copy is left alone."""
        if not stat.st_size:
            return None
        file = None
        try:
            file = open_reader(path)
            segment = self.identify(path, file, present, former)
        except UNREADABLE as error:
            self.trouble(path, error)
            segment = None
        if segment is None or file is None:
            if file is not None:
                file.close()
            return None
        self.bind(segment, path, file)
        return segment

    def bind(self, segment: Segment, path: str, file: Reader) -> None:
        """From now on ``file`` is where the segment is."""
        segment.path, segment.gone, segment.seen = path, False, (-1, -1)
        segment.device, segment.inode = key_of(file.stat())
        self.attached[segment.key] = segment
        self.note(segment, file.stat())
        self.keep(segment, file)
        self.changed.add(segment)

    def identify(self, path: str, file: Reader, present: Listing, former: Segment | None) -> Segment | None:
        """The segment that ``file`` is; None if that cannot be told yet, or if it is a copy of one that is there."""
        if former is not None and intact(former, file):
            return former
        head, key = file.pread(HEAD, 0), key_of(file.stat())
        if len(head) < HEAD and not self.settled(key, len(head)):
            return None
        fingerprint = fingerprint_of(head, key)
        for number in numbers_of(fingerprint):
            known = self.segments.get(number)
            if known is None:
                self.segments[number] = Segment(number, fingerprint, len(head), path, *key)
                return self.segments[number]
            if self.copies.get(key) == number and file.stat().st_size < known.offset:
                return None  # also when the original is truncated by now: the copy ends before what was read of it
            if known.key != key and known.key in present and self.attached.get(known.key) is known:
                if is_copy(file, known):
                    if known.offset:  # before anything was read, all files that begin alike look like copies
                        self.copies[key] = number
                    return None
            elif intact(known, file):
                self.attached.pop(known.key, None)
                return known
        return None

    def settled(self, key: Key, size: int) -> bool:
        """Whether a short file has kept its size for ``SETTLE_SECONDS``."""
        now = self.monotonic()
        before, since = self.young.get(key, (-1, now))
        self.young[key] = (size, since if size == before else now)
        return now - self.young[key][1] >= SETTLE_SECONDS

    def vanished(self, segment: Segment) -> None:
        """The segment's name is gone: an open file is read to its end, of another the rest is lost."""
        segment.gone = True
        self.changed.add(segment)
        if segment.file is None:
            if segment.unfinished:
                left = segment.state[0] - segment.offset
                self.lost_bytes += left
                log.warning("%s was deleted before its last %d bytes were read", segment.path, left)
            self.detach(segment)

    def detach(self, segment: Segment) -> None:
        """Unbind the segment from its inode; it stays known by its fingerprint."""
        segment.gone = True
        self.changed.add(segment)
        self.attached.pop(segment.key, None)

    def note(self, segment: Segment, stat: os.stat_result) -> None:
        """Remember how the file looks now."""
        state = state_of(stat)
        if state != segment.state:
            now = self.monotonic()
            segment.behind_since = now if segment.state == segment.seen else segment.behind_since or now
            segment.state, segment.changed_at = state, now

    def keep(self, segment: Segment, file: Reader) -> None:
        """Hold ``file`` open as the segment's, and close the one used longest ago if there are too many."""
        self.shut(segment)
        segment.file = file
        self.open[segment.number] = segment
        if len(self.open) > self.most_open:
            self.shut(next(iter(self.open.values())))

    def shut(self, segment: Segment) -> None:
        """Close the segment's file, if it is open."""
        if segment.file is not None:
            segment.file.close()
            segment.file = None
            del self.open[segment.number]

    def trouble(self, path: str, error: Exception) -> None:
        """Say once for each file and reason why it cannot be read; each scan tries again."""
        why = str(error)
        if self.troubles.get(path) != why:
            self.troubles[path] = why
            log.warning("%s cannot be read: %s; let the agent read it (it keeps trying)", path, why)

    def close(self) -> None:
        """Close all files."""
        for segment in list(self.open.values()):
            self.shut(segment)


def log_folders(settings: Settings) -> list[Path]:
    """The folders that are tailed: the services' logs, and the embedded stack's own."""
    return [settings.log_dir, settings.data_dir / "logs"]


def listing(folders: Sequence[Path]) -> Listing:
    """The files to ship: (device, inode) → path and state. A folder that does not exist yet has none."""
    found: Listing = {}
    for folder in folders:
        for name in names_in(folder):
            path = os.path.join(folder, name)  # noqa: PTH118  thousands of files, once a second
            try:
                stat = os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # renamed or deleted since; the next scan finds it under its new name
            found[key_of(stat)] = (path, stat)
    return found


def names_in(folder: Path) -> list[str]:
    """The names of the files to ship in ``folder``."""
    try:
        return sorted(name for name in os.listdir(folder) if SHIPPED.search(name))  # noqa: PTH208
    except FileNotFoundError:
        return []


def state_of(stat: os.stat_result) -> tuple[int, int]:
    """Size and time of the last change, in ns."""
    return stat.st_size, stat.st_mtime_ns


def is_copy(file: Reader, known: Segment) -> bool:
    """Whether ``file`` holds what was read of ``known``, or (a copy being made) the beginning of that."""
    if intact(known, file):
        return True
    size = file.stat().st_size
    if known.packed or size >= known.offset:
        return False
    original = open_reader(known.path)
    try:
        return seam_of(original, size) == seam_of(file, size)
    finally:
        original.close()


def warn_of_truncation(path: str) -> None:
    """Say that rotation by truncation loses lines."""
    log.warning(
        "%s was truncated or replaced in place: lines that were not read before are lost, unless a copy holds them;"
        " rotate by rename, never by copytruncate",
        path,
    )
