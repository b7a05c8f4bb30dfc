"""The process's figures in Prometheus' text exposition format (version 0.0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from python_shipper.store.logs import leaves

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]+")


def exposition(figures: Mapping[str, Any]) -> str:
    """Every number in ``figures``, named by its path; names in ``_total`` are counters, which only grow."""
    return "".join(f"# TYPE {name} {kind}\n{name} {number!r}\n" for name, kind, number in samples(figures))


def samples(figures: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Each number as (metric name, its kind, value); truth is 1 or 0."""
    for path, figure in leaves(dict(figures)):
        name = f"shipper_{NOT_IN_A_NAME.sub('_', path)}"
        if isinstance(figure, bool | int | float):
            yield name, "counter" if name.endswith("_total") else "gauge", figure + 0
