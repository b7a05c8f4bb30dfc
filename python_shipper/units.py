"""Durations and sizes as people read them, the same on the pages and in the terminal."""

from __future__ import annotations


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
