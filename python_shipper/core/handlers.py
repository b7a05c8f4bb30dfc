"""The handler behind a service's log files: a record is encoded once, and the same bytes go to every file it is for.

`<service>.ecs.log` is shipped; `<service>.daily.<day>.log` and `<service>.error.log` are for people. One write a file
and record, nothing buffered: what a logging call accepted survives ``os._exit`` and ``kill -9``.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Protocol

from python_shipper.core import counts
from python_shipper.core.files import SECONDS_OF_DAY, DailyFile, RotatingFile
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.names import index_part
from python_shipper.core.plain import safe_text, well_formed
from python_shipper.core.records import never_raise
from python_shipper.core.segments import SegmentFile
from python_shipper.core.slots import Slot
from python_shipper.settings import Settings

CHECK_SECONDS = 1.0
_living: weakref.WeakSet[FilesHandler] = weakref.WeakSet()


class GrowingFile(Protocol):
    """What a rotating and a daily file have in common."""

    def write(self, line: bytes) -> None:
        """Append ``line``."""

    def check(self, now_seconds: float) -> None:
        """See whether the open file is still the right one."""

    def close(self) -> None:
        """Close the file."""


class Copy:
    """A file for people: opened by its first record, for a folder may refuse it though the shipped file works."""

    def __init__(self, least_level: int, opener: Callable[[], GrowingFile]) -> None:
        self.least_level = least_level
        self._opener = opener
        self.file: GrowingFile | None = None

    def write(self, line: bytes) -> None:
        """Append ``line``.

        Raises:
            OSError: the file cannot be opened, or the disk did not take the line.
        """
        if self.file is None:
            self.file = self._opener()
        self.file.write(line)


class Files:
    """The open files of one slot; used under the handler's lock."""

    def __init__(self, folder: Path, service: str, settings: Settings, *, daily: bool, error: bool) -> None:
        """Take a slot and open its shipped file.

        Raises:
            OSError: the folder cannot be written.
        """
        part, mode = index_part(service), int(settings.log_file_mode, 8)
        size, keep, days = settings.log_max_bytes, settings.log_backup_count, settings.log_daily_backup_count
        self._slot = slot = Slot.take(folder, part)
        try:
            self.ecs = SegmentFile(folder / f"{slot.stem}.ecs.log", mode, size, keep, service)
        except OSError:
            slot.free()
            raise
        self.copies: list[Copy] = []
        if daily:
            self.copies.append(Copy(logging.NOTSET, lambda: DailyFile(folder, part, mode, days, time())))
        if error:
            path = folder / f"{slot.stem}.error.log"
            self.copies.append(Copy(logging.ERROR, lambda: RotatingFile(path, mode, size, keep)))

    def check(self) -> None:
        """Go on to a new day's file, and open new files where old ones were moved or deleted."""
        now = time()
        self.ecs.check(now)
        for copy in self.copies:
            if copy.file is not None:
                copy.file.check(now)

    def close(self) -> None:
        """Close the files and give the slot back."""
        self.ecs.close()
        for copy in self.copies:
            if copy.file is not None:
                copy.file.close()
        self._slot.free()


class FilesHandler(logging.Handler):
    """Writes records to a service's files; several processes of a service do not meet."""

    def __init__(
        self,
        service: str | None = None,
        directory: str | Path | None = None,
        *,
        daily: bool = True,
        error: bool = True,
        settings: Settings | None = None,
    ) -> None:
        """Prepare; files are opened by the first record, so that a forked worker takes a slot of its own.

        Args:
            service: name of the service; without it SERVICE_NAME.
            directory: folder of the files; without it LOG_DIR.
            daily: write the file of the day.
            error: write the file of errors.
            settings: sizes, numbers and permission bits; without it those of the environment.
        """
        super().__init__()
        never_raise()
        self._settings = settings or Settings.from_environment()
        self.service = well_formed(service or self._settings.service_name)
        self.directory = Path(directory or self._settings.log_dir)
        self._daily, self._error = daily, error
        self.encoder: EcsFormatter | None = None
        self.setFormatter(EcsFormatter(service=self.service))
        self._files: Files
        self._next_check = 0.0  # seconds since 1970; 0: no files are open
        self._writing = threading.RLock()  # re-entrant: a signal handler may log while the main thread does
        self._inside = False
        self._waiting: deque[tuple[bytes, int]] = deque()
        _living.add(self)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802  logging's name
        """Use ``fmt``; ``encoder`` is the same if it is one that :class:`Logger` may use without a record."""
        super().setFormatter(fmt)
        self.encoder = fmt if type(fmt) is EcsFormatter and not fmt.origin else None

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Write a record that the filters let through; encoding happens outside of the lock."""
        passed = self.filter(record) if self.filters else record
        if passed:
            # From Python 3.12 on a filter may give another record.
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Encode and write a record; never raises."""
        self.write(self.encode(record), record.levelno)

    def encode(self, record: logging.LogRecord) -> bytes:
        """The record's line by the handler's formatter, with a newline."""
        if isinstance(self.formatter, EcsFormatter):
            return self.formatter.encode(record)
        try:
            # One record is one line, whatever the formatter makes of it.
            return self.format(record).replace("\n", "\\n").encode("utf-8", "backslashreplace") + b"\n"
        except Exception as error:
            counts.reduced(f"{type(error).__name__}: {safe_text(error)}")
            return EcsFormatter(service=self.service).encode(record)

    def write(self, line: bytes, level: int) -> None:
        """Append an encoded line to the files that a record of ``level`` is for; a failure is counted."""
        with self._writing:
            if self._inside:
                # A signal handler logs while this thread writes: the line waits its turn.
                self._waiting.append((line, level))
                return
            self._inside = True
            try:
                if time() >= self._next_check:
                    self._check()
                files = self._files
                # Straight to the open file: only a full one needs more.
                if not files.ecs.file.write(line):
                    files.ecs.write(line)
                if files.copies:
                    self._copy(files.copies, line, level)
            except Exception as error:
                counts.lost(1, f"{self.directory}: {error}")
            finally:
                self._inside = False
            if self._waiting:
                self.write(*self._waiting.popleft())

    def _copy(self, copies: list[Copy], line: bytes, level: int) -> None:
        for copy in copies:
            if level >= copy.least_level:
                try:
                    copy.write(line)
                except Exception as error:
                    counts.missed(1, f"{self.directory}: {error}")

    def _check(self) -> None:
        """Open the files, or look whether they are still the right ones; again in a second, and at midnight."""
        if self._next_check:
            self._files.check()
        else:
            self._files = Files(self.directory, self.service, self._settings, daily=self._daily, error=self._error)
        now = time()
        self._next_check = min(now + CHECK_SECONDS, (now // SECONDS_OF_DAY + 1) * SECONDS_OF_DAY)

    def after_fork(self) -> None:
        """In a forked child: leave the parent's files and slot to the parent, take new ones at the next record."""
        self._writing, self._inside = threading.RLock(), False
        self._waiting.clear()
        self._close_files()

    def _close_files(self) -> None:
        if self._next_check:
            self._next_check = 0.0
            self._files.close()

    def close(self) -> None:
        """Close the files and give the slot back."""
        with self._writing:
            self._close_files()
        super().close()


def _after_fork() -> None:
    for handler in list(_living):
        handler.after_fork()


os.register_at_fork(after_in_child=_after_fork)
