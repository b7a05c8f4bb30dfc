"""Elasticsearch's aggregations, the subset of this package, read into a tree that both engines check a request with.

Each kind (in :mod:`~python_shipper.store.metrics` and :mod:`~python_shipper.store.buckets`) offers the same four steps,
because an answer is put together from several day indices: ``ask`` what tantivy shall compute on one index, ``read``
its answer into a part that can be merged exactly, ``merge`` two parts, ``show`` the whole as Elasticsearch does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from python_shipper.errors import QueryError
from python_shipper.store import fields, schema
from python_shipper.store.query import checked, needed, only, shortened

ALL = 65_000  # the most buckets that tantivy gives in one answer
MOST_BUCKETS = 65_536  # search.max_buckets of Elasticsearch
DEEPEST = 8
Part = Any


class Overflow(Exception):  # noqa: N818  not an error: the question is asked again in smaller pieces
    """One index has more buckets than tantivy gives in one answer."""


class Aggregation(Protocol):
    """One aggregation, with those nested in it by name."""

    @property
    def subs(self) -> dict[str, Aggregation]:
        """The nested ones."""

    @property
    def meta(self) -> Any:
        """What the request wants to see again in the answer."""

    def ask(self) -> dict[str, Any] | None:
        """The tantivy request for one index; None if its column needs no asking."""

    def read(self, answer: Any) -> Part:
        """A part from tantivy's answer.

        Raises:
            Overflow: the answer was cut.
        """

    def merge(self, one: Part, other: Part) -> Part:
        """The part for the documents of both."""

    def show(self, part: Part | None) -> dict[str, Any]:
        """The whole as Elasticsearch shows it; None stands for no documents."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one aggregation is made from."""

    kind: str
    options: Mapping[str, Any]
    subs: dict[str, Aggregation]
    meta: Any
    now_ms: int

    def checked(self, *known: str) -> Mapping[str, Any]:
        """The options, if they are all among ``known``."""
        return checked(self.options, self.kind, set(known))

    def field(self, *types: str) -> schema.Field | None:
        """The aggregated field, if it is of one of ``types``; None if no document has it."""
        path = str(needed(self.options, "field", self.kind))
        found = fields.lookup(path)
        if found is None:
            return None
        if found.type == "match_only_text":
            raise QueryError(f"Fielddata is disabled on [{path}]: text fields cannot be aggregated")
        if found.type not in types:
            raise QueryError(f"Field [{path}] of type [{found.type}] is not supported for aggregation [{self.kind}]")
        return found

    def no_subs(self) -> None:
        """Refuse nested aggregations."""
        if self.subs:
            raise QueryError(f"Aggregator of type [{self.kind}] cannot accept sub-aggregations")


Maker = Callable[[Given], Aggregation]


def parse(body: Any, now_ms: int, depth: int = 0) -> dict[str, Aggregation]:
    """The aggregations of an ``aggs`` object, by name.

    Raises:
        QueryError: malformed, or outside the subset.
    """
    if not body:
        return {}
    if not isinstance(body, Mapping):
        raise QueryError(f"aggs: expected an object, got {shortened(body)}")
    if depth > DEEPEST:
        raise QueryError(f"aggs: nested deeper than {DEEPEST} levels")
    return {str(name): one(str(name), spec, now_ms, depth) for name, spec in body.items()}


def one(name: str, spec: Any, now_ms: int, depth: int) -> Aggregation:
    """The aggregation of one name."""
    from python_shipper.store.kinds import KINDS

    if not isinstance(spec, Mapping) or any(sign in name for sign in "[]>"):
        raise QueryError(f"aggs: [{name}] must be an object, its name without [ ] and >")
    subs = parse(spec.get("aggs") or spec.get("aggregations"), now_ms, depth + 1)
    kind, options = only({k: v for k, v in spec.items() if k not in ("aggs", "aggregations", "meta")}, f"aggs [{name}]")
    if kind not in KINDS:
        raise QueryError(f"unknown or unsupported aggregation [{kind}]; supported: {', '.join(sorted(KINDS))}")
    if not isinstance(options, Mapping):
        raise QueryError(f"aggs [{name}]: [{kind}] must be an object")
    return KINDS[kind](Given(kind, options, subs, spec.get("meta"), now_ms))
