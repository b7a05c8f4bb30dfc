"""The process's figures in Prometheus' text exposition format (version 0.0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]+")


def exposition(figures: Mapping[str, Any], prefix: str = "shipper") -> str:
    """Every number in ``figures``, named by its path; a mapping's own names under ``by_<label>`` become a label.

    Counters are the names that end in ``_total``; everything else is a gauge.
    """
    lines: list[str] = []
    named: set[str] = set()
    for name, label, number in samples(figures, prefix):
        if name not in named:
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            named.add(name)
        lines.append(f"{name}{label} {float(number):g}" if isinstance(number, float) else f"{name}{label} {number}")
    return "\n".join(lines) + "\n"


def samples(figures: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, float]]:
    """Each number as (metric name, label part, value), depth first, so that one metric's samples stay together."""
    for key, figure in figures.items():
        name = f"{prefix}_{NOT_A_NAME.sub('_', key)}"
        if isinstance(figure, bool | int | float):
            yield name, "", figure + 0
        elif isinstance(figure, Mapping) and "_by_" in key:
            metric, _, label = name.partition("_by_")
            for text, number in figure.items():
                yield metric, f'{{{label}="{escaped(str(text))}"}}', number + 0
        elif isinstance(figure, Mapping):
            yield from samples(figure, name)


def escaped(text: str) -> str:
    """A label's value as the format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
