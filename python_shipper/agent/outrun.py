"""Counts the lines that were rotated away before they were read, from what segments say of themselves.

Each segment's first line tells how many lines its slot had written before it. So between two segments that were read,
the difference says how many lines there were, and what is missing of them was never read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from python_shipper.agent.segment import Segment
from python_shipper.core.segments import Header


def outrun(segments: Iterable[Segment]) -> Counter[str]:
    """Slot → lines that are gone unread, as far as segments read later tell; what is still on disk does not count."""
    slots: dict[str, list[tuple[Header, Segment]]] = defaultdict(list)
    for segment in list(segments):
        if segment.header is not None:
            slots[segment.slot].append((segment.header, segment))
    return Counter({slot: gap for slot, rows in slots.items() if (gap := gaps(rows))})


def gaps(rows: list[tuple[Header, Segment]]) -> int:
    """The lines missing between one slot's segments; none counts behind one that is still being read."""
    rows.sort(key=lambda row: row[0].number)
    missing = 0
    for (header, segment), (following, _) in pairwise(rows):
        if segment.gone or (segment.state == segment.seen and not segment.unfinished):
            missing += max(0, following.lines - header.lines - segment.counts.lines)
    return missing
