"""LINES → ELSEWHERE: one interface for every destination, delivered at least once and recognised there by its id.

settings → exporter → ``encode`` → batches → ``export`` → each item settled → what is left again, after a pause

``encode`` is pure: the same line gives the same item with the same id, so whatever is sent twice (a kill, an answer
that got lost) lands on itself. ``export`` says of each item what became of it. :class:`delivery.Deliverer` repeats the
rest, :class:`delivery.Delivery` does so in the background from a spool on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import orjson

from python_shipper.agent.pipeline import Source
from python_shipper.errors import ShipperError


class ExportError(ShipperError):
    """A destination refuses for a reason that waiting does not mend; a person has to act."""


class UnavailableError(ExportError):
    """A destination is down, overloaded or does not answer: the same again later may succeed.

    ``retry_after_seconds`` is the pause that it asked for, if it did.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Line(NamedTuple):
    """A raw line on its way: its bytes without line break, where it stood, and when it was read (ms since 1970).

    The moment is part of the line: what the pipeline makes of it (expired, dead letter of which day) must come out the
    same whenever it is encoded.
    """

    raw: bytes
    source: Source
    at_ms: int

    def packed(self) -> bytes:
        """The line as a record of a spool."""
        path, fingerprint, offset = self.source.path, self.source.fingerprint, self.source.offset
        return orjson.dumps([path, fingerprint, offset, self.at_ms]) + b"\n" + self.raw

    @classmethod
    def unpacked(cls, record: bytes) -> Line:
        """The line of :meth:`packed`."""
        head, _, raw = record.partition(b"\n")
        path, fingerprint, offset, at_ms = orjson.loads(head)
        return cls(raw, Source(path, fingerprint, offset), at_ms)


class Item(Protocol):
    """What an exporter makes of one thing it was given: ``id`` is deterministic, ``size`` in bytes."""

    @property
    def id(self) -> str:
        """The id by which the far side recognises it."""

    @property
    def size(self) -> int:
        """Bytes that it takes in a batch."""


Given = TypeVar("Given", contravariant=True)
Encoded = TypeVar("Encoded", bound=Item)


@dataclass(frozen=True, slots=True)
class Answer(Generic[Encoded]):
    """What became of a batch, item by item: stored now, there already, refused for good, to be sent again.

    The latter two hold (item, reason).
    """

    stored: Sequence[Encoded] = ()
    known: Sequence[Encoded] = ()
    refused: Sequence[tuple[Encoded, str]] = ()
    again: Sequence[tuple[Encoded, str]] = ()
    retry_after_seconds: float | None = None


class Exporter(Protocol[Given, Encoded]):
    """One destination."""

    def encode(self, given: Given) -> Encoded:
        """The item of one thing; the same whenever it is called."""

    def export(self, items: Sequence[Encoded]) -> Answer[Encoded]:
        """Send a batch once.

        Raises:
            UnavailableError: nothing is known of any item; all are to be sent again.
            ExportError: sending again will not help.
        """

    def refused(self, refusals: Sequence[tuple[Encoded, str]]) -> Sequence[Encoded]:
        """Keep what the destination refused (dead letters); the items to send in their place, if any."""

    def close(self) -> None:
        """Let go of connections and files."""
