"""For the tests of services: what was logged, as the ECS events that would have been written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from python_shipper.core import Event
from python_shipper.core.formatters import EcsFormatter


class Capture(logging.Handler):
    """Keeps each record as its ECS event, masked and encoded like a line of the file and read back."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Event] = []
        self.ecs = EcsFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's event."""
        self.lines.append(json.loads(self.ecs.encode(record)))


@contextmanager
def capture(logger: str = "", level: int = logging.DEBUG) -> Iterator[list[Event]]:
    """The events logged in a `with` block, in a list that grows.

    Args:
        logger: name of the logger whose lines, and whose children's, are wanted; all without it.
        level: the lowest level caught; the logger's own level is set to it meanwhile.
    """
    listened, handler = logging.getLogger(logger), Capture()
    before = listened.level
    listened.addHandler(handler)
    listened.setLevel(level)
    try:
        yield handler.lines
    finally:
        listened.removeHandler(handler)
        listened.setLevel(before)
