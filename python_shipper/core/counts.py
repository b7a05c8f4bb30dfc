"""How many records went wrong on their way to a file; a logging call must not raise, so it counts instead.

``current()`` gives the numbers of this process; a word goes to standard error when the first record is lost and then
at most once a minute.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TypedDict

QUIET_SECONDS = 60.0


class Counts(TypedDict):
    """Records of this process, by what became of them."""

    lost: int  # written nowhere: disk full, folder gone
    dropped: int  # the queue had no room
    missed: int  # shipped, but missing from the daily or the error file
    reduced: int  # written with less than they held


_counts: Counts = {"lost": 0, "dropped": 0, "missed": 0, "reduced": 0}
_lock = threading.RLock()  # re-entrant, as the handler's
_next_word: dict[str, float] = {}


def current() -> Counts:
    """The numbers since the process started."""
    with _lock:
        return _counts.copy()


def lost(number: int, why: str) -> None:
    """Count records that no file took."""
    _count("lost", number, why)


def dropped(number: int, why: str) -> None:
    """Count records that the queue had no room for."""
    _count("dropped", number, why)


def missed(number: int, why: str) -> None:
    """Count records that a file for people did not take, though the shipped one did."""
    _count("missed", number, why)


def reduced(why: str) -> None:
    """Count a record that could not be formatted whole."""
    _count("reduced", 1, why)


def _count(kind: str, number: int, why: str) -> None:
    with _lock:
        _counts[kind] += number  # type: ignore[literal-required]
        total = _counts[kind]  # type: ignore[literal-required]
        now = time.monotonic()
        speak = now >= _next_word.get(kind, 0.0)
        if speak:
            _next_word[kind] = now + QUIET_SECONDS
    if speak and sys.stderr is not None:
        try:
            sys.stderr.write(f"python_shipper: {total} log record(s) {kind} so far: {why}\n")
        except (OSError, ValueError):
            return  # standard error is closed; the count stands
