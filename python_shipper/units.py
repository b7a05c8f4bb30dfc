"""Durations and sizes as people read them, the same on the pages and in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


def milliseconds(ms: float | None) -> str:
    """A duration for people: ``0.4 ms``, ``12 ms``, ``1.25 s``, ``3 min 5 s``; empty for None."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms:.1f} ms" if 0 < ms < 10 else f"{ms:.0f} ms"
    if ms < 120_000:
        return f"{ms / 1000:.2f} s"
    return f"{ms // 60_000:.0f} min {ms % 60_000 // 1000:.0f} s"


def size(count: float) -> str:
    """A number of bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def figure(path: str, shown: Any) -> tuple[str, str]:
    """A process's figure for people, by the end of its name: ``lag_bytes`` → ("lag", "1.2 MB")."""
    name, _, unit = path.replace(".", " ").rpartition("_")
    if isinstance(shown, bool) or not isinstance(shown, int | float) or unit not in FORMATS:
        return path.replace(".", " ").replace("_", " "), plain(shown)
    return (name or unit).replace("_", " "), FORMATS[unit](shown)


def plain(shown: Any) -> str:
    """A value without a unit."""
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    return number(shown) if isinstance(shown, int | float) else str(shown or "none")


def number(count: float) -> str:
    """A number with thousands separated."""
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.2f}"


def utc(ms: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


FORMATS: dict[str, Callable[[float], str]] = {
    "bytes": size,
    "seconds": lambda seconds: f"{seconds:,.1f} s",
    "ms": utc,
    "pid": str,
}
