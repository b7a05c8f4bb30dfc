"""The handler behind a service's log files: a record is encoded once, and the same bytes go to every file it is for.

`<service>.ecs.log` is shipped; `<service>.daily.<day>.log` and `<service>.error.log` are for people. One write a file
and record, nothing buffered: what a logging call accepted survives ``os._exit`` and ``kill -9``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from pathlib import Path

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
        self.daily = DailyFile(folder, part, mode, days, time.time()) if daily else None

    def check(self, now_seconds: float) -> None:
        """Go on to a new day's file, and open new files where old ones were moved or deleted from outside."""
        self.ecs.check()
        if self.error is not None:
            self.error.check()
        if self.daily is not None:
            self.daily.check(now_seconds)

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
        self.formatter: EcsFormatter | logging.Formatter = EcsFormatter(service=self.service)
        self._files: Files | None = None
        self._next_check = 0.0
        self._writing = threading.Lock()
        _living.add(self)

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Write a record that the filters let through; encoding happens outside of the lock."""
        passed = self.filter(record)
        if passed:
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
            return self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception as error:
            counts.reduced(f"{type(error).__name__}: {safe_text(error)}")
            return EcsFormatter(service=self.service).encode(record)

    def write(self, line: bytes, level: int) -> None:
        """Append an encoded line to the files that a record of ``level`` is for; a failure is counted."""
        with self._writing:
            try:
                now = time.time()
                files = self._files
                if files is None or now >= self._next_check:
                    files = self._checked(now)
                files.ecs.write(line)
            except OSError as error:
                counts.lost(1, f"{self.directory}: {error.strerror or error}")
                return
            try:
                if files.daily is not None:
                    files.daily.write(line)
                if files.error is not None and level >= logging.ERROR:
                    files.error.write(line)
            except OSError as error:
                counts.missed(1, f"{self.directory}: {error.strerror or error}")

    def _checked(self, now: float) -> Files:
        if self._files is None:
            self._files = Files(self.directory, self.service, self._settings, daily=self._daily, error=self._error)
        else:
            self._files.check(now)
        self._next_check = now + CHECK_SECONDS
        if self._files.daily is not None:
            self._next_check = min(self._next_check, self._files.daily.end)
        return self._files

    def after_fork(self) -> None:
        """In a forked child: leave the parent's files and slot to the parent, take new ones at the next record."""
        self._writing = threading.Lock()
        if self._files is not None:
            self._files.close()
            self._files = None

    def close(self) -> None:
        """Close the files and give the slot back."""
        with self._writing:
            if self._files is not None:
                self._files.close()
                self._files = None
        super().close()


def _after_fork() -> None:
    for handler in list(_living):
        handler.after_fork()


os.register_at_fork(after_in_child=_after_fork)
