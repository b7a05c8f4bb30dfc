"""Several processes of one service each write files of their own: a slot, held by a lock the kernel frees at death.

Slot 0 is `<service>.ecs.log`, slot n `<service>.<n>.ecs.log`. The lock files lie in `<LOG_DIR>/.slots/`; nothing is
locked per record.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

FOLDER = ".slots"


@dataclass(slots=True)
class Slot:
    """A slot that this process holds; ``stem`` begins the names of its files."""

    stem: str
    _fd: int

    @classmethod
    def take(cls, folder: Path, service: str) -> Slot:
        """The first free slot of ``service`` (an index part) in the log folder.

        Raises:
            OSError: the folder cannot be written.
        """
        locks = folder / FOLDER
        locks.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            stem = f"{service}.{number}" if number else service
            fd = os.open(locks / f"{stem}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            return cls(stem, fd)
        raise AssertionError("unreachable: there is always a next number")

    def free(self) -> None:
        """Give the slot back; in a forked child only this process's handle, the parent keeps its slot."""
        os.close(self._fd)
