"""The handler behind a service's log files: a record is encoded once, and the same bytes go to every file it is for.

`<service>.ecs.log` is shipped; `<service>.daily.<day>.log` and `<service>.error.log` are for people. One write a file
and record, nothing buffered: what a logging call accepted survives ``os._exit`` and ``kill -9``.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from pathlib import Path
from time import time

from python_shipper.core import counts
from python_shipper.core.files import DailyFile, RotatingFile
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.names import index_part
from python_shipper.core.plain import safe_text
from python_shipper.core.records import never_raise
from python_shipper.core.segments import SegmentFile
from python_shipper.core.slots import Slot
from python_shipper.settings import Settings

CHECK_SECONDS = 1.0
_living: weakref.WeakSet[FilesHandler] = weakref.WeakSet()


class Files:
    """The open files of one slot; used under the handler's lock."""

    def __init__(self, folder: Path, service: str, settings: Settings, *, daily: bool, error: bool) -> None:
        """Take a slot and open its files.

        Raises:
            OSError: the folder cannot be written.
        """
        part, mode = index_part(service), int(settings.log_file_mode, 8)
        size, keep = settings.log_max_bytes, settings.log_backup_count
        self.slot = Slot.take(folder, part)
        stem = self.slot.stem
        self.ecs = SegmentFile(folder / f"{stem}.ecs.log", mode, size, keep, service)
        self.error = RotatingFile(folder / f"{stem}.error.log", mode, size, keep) if error else None
        days = settings.log_daily_backup_count
        self.daily = DailyFile(folder, part, mode, days, time()) if daily else None

        self.for_people = daily or error

    def copy(self, line: bytes, level: int) -> None:
        """Append ``line`` to the files for people.

        Raises:
            OSError: a disk did not take it.
        """
        if self.daily is not None:
            self.daily.write(line)
        if level >= logging.ERROR and self.error is not None:
            self.error.write(line)

    def check(self) -> float:
        """Go on to a new day's file, open new files where old ones were moved or deleted; gives ``next_check``."""
        self.ecs.check()
        if self.error is not None:
            self.error.check()
        if self.daily is not None:
            self.daily.check(time())
        return self.next_check()

    def next_check(self) -> float:
        """When to check again: in a second, and at midnight (seconds since 1970)."""
        soon = time() + CHECK_SECONDS
        return soon if self.daily is None else min(soon, self.daily.end)

    def close(self) -> None:
        """Close the files and give the slot back."""
        for file in (self.ecs, self.error, self.daily):
            if file is not None:
                file.close()
        self.slot.free()


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
        self.service = service or self._settings.service_name
        self.directory = Path(directory or self._settings.log_dir)
        self._daily, self._error = daily, error
        self.encoder: EcsFormatter | None = None
        self.setFormatter(EcsFormatter(service=self.service))
        self._files: Files
        self._next_check = 0.0  # seconds since 1970; 0: no files are open
        self._writing = threading.Lock()
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
            try:
                if time() >= self._next_check:
                    self._check()
                files = self._files
                # Straight to the open file: only a full one needs more.
                if not files.ecs.file.write(line):
                    files.ecs.write(line)
            except Exception as error:
                counts.lost(1, f"{self.directory}: {error}")
                return
            if files.for_people:
                try:
                    files.copy(line, level)
                except Exception as error:
                    counts.missed(1, f"{self.directory}: {error}")

    def _check(self) -> None:
        """Open the files, or look whether they are still the right ones."""
        if self._next_check:
            self._next_check = self._files.check()
        else:
            files = Files(self.directory, self.service, self._settings, daily=self._daily, error=self._error)
            self._files, self._next_check = files, files.next_check()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's files and slot to the parent, take new ones at the next record."""
        self._writing = threading.Lock()
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
