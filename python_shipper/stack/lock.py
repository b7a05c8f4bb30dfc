"""One embedded process a data folder: an flock that the kernel drops with the process, and what it says of itself."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ProcessLock:
    """The exclusive lock of a data folder, and the note beside it (pid, address) for those who find it taken."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "embedded.lock"
        self.note = folder / "embedded.json"
        self.descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock unless another process holds it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            if not locked(descriptor):
                os.close(descriptor)
                return False
            if same_file(descriptor, self.path):
                self.descriptor = descriptor
                return True
            os.close(descriptor)  # its last holder removed the file between our open and our lock

    def held(self) -> bool:
        """Whether some process holds the lock."""
        if not self.path.exists():
            return False
        if not self.take():
            return True
        self.release()
        return False

    def describe(self, note: dict[str, Any]) -> None:
        """Leave ``note`` for other processes, whole or not at all, readable by this user only."""
        fresh = self.note.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(note, file)
        fresh.replace(self.note)

    def described(self) -> dict[str, Any] | None:
        """The holder's note, if there is one."""
        try:
            note = json.loads(self.note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return note if isinstance(note, dict) else None

    def release(self) -> None:
        """Remove note and lock file, then let go; the order keeps a newcomer from locking a removed file unseen."""
        if self.descriptor is None:
            return
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self.descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def locked(descriptor: int) -> bool:
    """Whether this process now holds the lock on ``descriptor``."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def same_file(descriptor: int, path: Path) -> bool:
    """Whether ``path`` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
