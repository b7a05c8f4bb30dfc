"""Lines that were rotated away unread are counted from the segments' own headers."""

import pytest

from python_shipper.agent.outrun import outrun
from python_shipper.agent.segment import Counts, Segment
from python_shipper.core.segments import Header


def segment(number: int, before: int, lines: int, *, gone: bool = True, left: int = 0) -> Segment:
    made = Segment(number, "", 128, f"/logs/orders.ecs.log.{number:06d}", 1, number)
    made.header, made.counts, made.gone = Header(number, before), Counts(lines=lines), gone
    made.offset, made.state = 100, (100 + left, 1)
    made.seen = made.state
    return made


@pytest.mark.parametrize(
    ("segments", "lost"),
    [
        ([segment(1, 0, 10), segment(2, 10, 10), segment(3, 20, 5)], 0),
        ([segment(1, 0, 10), segment(4, 40, 5)], 30),
        ([segment(3, 20, 5), segment(1, 0, 7), segment(2, 10, 10)], 3),
        ([segment(1, 0, 4, gone=False, left=60), segment(2, 10, 10)], 0),
        ([segment(1, 0, 10, gone=False), segment(2, 10, 0)], 0),
        ([segment(1, 0, 10)], 0),
        ([], 0),
    ],
    ids=["none", "gap", "cut short", "still read", "still there", "one", "no segments"],
)
def test_gaps(segments, lost):
    assert outrun(segments) == ({"orders": lost} if lost else {})


def test_slots_do_not_mix():
    other = segment(9, 500, 1)
    other.path = "/logs/orders.1.ecs.log.000009"
    assert outrun([segment(1, 0, 10), other, segment(2, 12, 3)]) == {"orders": 2}
