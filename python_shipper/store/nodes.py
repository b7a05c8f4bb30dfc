"""A query after it is understood: few kinds of nodes on columns, which an engine only has to translate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Number = int | float
Kind = Literal["integer", "float", "ip"]


@dataclass(frozen=True, slots=True)
class All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No document."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Documents whose text column holds one of ``values`` exactly."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Documents whose analysed column holds ``words`` in this order, moved by at most ``slop`` places."""

    column: str
    words: tuple[str, ...]
    slop: int = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """Documents with a value in a text column that the regular expression ``regex`` matches whole."""

    column: str
    regex: str


@dataclass(frozen=True, slots=True)
class Span:
    """Documents with a value in a text column between two texts, by code points; None is open.

    Only values that start with ``prefix`` count, and the ends are what follows it.
    """

    column: str
    low: str | None
    high: str | None
    low_included: bool = True
    high_included: bool = True
    prefix: str = ""

    def holds(self, value: str) -> bool:
        """Whether a value of the column lies in the span."""
        if not value.startswith(self.prefix):
            return False
        rest = value[len(self.prefix) :]
        above = self.low is None or rest > self.low or (self.low_included and rest == self.low)
        return above and (self.high is None or rest < self.high or (self.high_included and rest == self.high))


@dataclass(frozen=True, slots=True)
class Interval:
    """Documents with a number or address in ``column`` between ``low`` and ``high``, both included; None is open."""

    column: str
    kind: Kind
    low: Number | str | None
    high: Number | str | None


@dataclass(frozen=True, slots=True)
class Present:
    """Documents that have any value in ``column``."""

    column: str


@dataclass(frozen=True, slots=True)
class Bool:
    """All of ``must``, none of ``must_not``, and at least ``minimum`` of ``should``."""

    must: tuple[Node, ...] = ()
    should: tuple[Node, ...] = ()
    must_not: tuple[Node, ...] = ()
    minimum: int = 0


Node = All | Nothing | Terms | Phrase | Pattern | Span | Interval | Present | Bool


def any_of(nodes: tuple[Node, ...]) -> Node:
    """Documents that one of ``nodes`` finds."""
    if len(nodes) == 1:
        return nodes[0]
    return Bool(should=nodes, minimum=1) if nodes else Nothing()


def all_of(nodes: tuple[Node, ...]) -> Node:
    """Documents that each of ``nodes`` finds."""
    if len(nodes) == 1:
        return nodes[0]
    return Bool(must=nodes) if nodes else All()


def time_span(node: Node) -> tuple[float, float]:
    """The span of ``@timestamp`` in milliseconds outside of which ``node`` finds nothing."""
    low, high = -math.inf, math.inf
    if isinstance(node, Interval) and node.column == "@timestamp":
        low, high = (end if isinstance(end, int) else default for end, default in ((node.low, low), (node.high, high)))
    elif isinstance(node, Bool):
        for inner in node.must:
            least, most = time_span(inner)
            low, high = max(low, least), min(high, most)
    return low, high
