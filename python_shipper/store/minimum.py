"""`minimum_should_match`: how many optional clauses must match, by Elasticsearch's rules."""

from __future__ import annotations

from typing import Any

from python_shipper.errors import QueryError


def minimum_should_match(spec: Any, clauses: int) -> int:
    """The number for ``clauses`` optional clauses; forms: ``2``, ``-1``, ``75%``, ``-25%``, ``2<75% 9<-3``.

    Raises:
        QueryError: none of these forms.
    """
    if spec is None:
        return 0
    try:
        return max(conditional(" ".join(str(spec).replace("<", " < ").split()).replace(" < ", "<"), clauses), 0)
    except ValueError as error:
        raise QueryError(f"minimum_should_match {spec!r}: expected a form such as 2, -1, 75% or 3<90%") from error


def conditional(spec: str, clauses: int) -> int:
    """The number for a spec that may have conditions."""
    if "<" not in spec:
        return plain(spec, clauses)
    result = clauses
    for part in spec.split(" "):
        limit, _, then = part.partition("<")
        if clauses <= int(limit):
            return result
        result = plain(then, clauses)
    return result


def plain(spec: str, clauses: int) -> int:
    """The number for a count or a percentage; negative ones are subtracted."""
    count = int(clauses * int(spec[:-1]) / 100) if spec.endswith("%") else int(spec)
    return clauses + count if count < 0 else count
