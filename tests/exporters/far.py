"""A destination in memory that takes, refuses or is away as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from python_shipper.exporters import Answer, Line, UnavailableError


class Parcel(NamedTuple):
    id: str
    size: int


@dataclass
class Far:
    """The :class:`~python_shipper.exporters.Exporter` of lines that begin with their id."""

    again_once: set[str] = field(default_factory=set)
    refuse: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    down_for: int = 0  # requests
    closed: bool = False

    def __post_init__(self) -> None:
        self.ids = set(self.holds)
        self.requests: list[list[str]] = []

    def encode(self, given: Line) -> Parcel:
        return Parcel(given.raw.split()[0].decode(), len(given.raw))

    def export(self, items: Sequence[Parcel]) -> Answer[Parcel]:
        if self.down_for:
            self.down_for -= 1
            raise UnavailableError("the far side is down")
        self.requests.append([item.id for item in items])
        again = [(item, "busy") for item in items if item.id in self.again_once]
        self.again_once -= {item.id for item, _ in again}
        refused = [(item, "no") for item in items if item.id in self.refuse]
        left = [item for item in items if item not in {each for each, _ in (*again, *refused)}]
        known = [item for item in left if item.id in self.ids]
        stored = [item for item in left if item.id not in self.ids]
        self.ids |= {item.id for item in stored}
        return Answer(stored, known, refused, again)

    def refused(self, refusals: Sequence[tuple[Parcel, str]]) -> list[Parcel]:
        return [Parcel(f"letter of {item.id}", item.size) for item, _ in refusals]

    def close(self) -> None:
        self.closed = True
