"""The process's figures, and what exporters count beside them, in the format that a scrape asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from python_shipper.store.logs import leaves

NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]+")


class Collector(Protocol):
    """Something with metrics of its own."""

    def collect(self) -> Iterable[Metric]:
        """Them, as they are now."""


class Scrape:
    """One scrape's answer: every number in ``figures``, then what the collectors have."""

    def __init__(self, figures: Mapping[str, Any], collectors: Sequence[Collector] = ()) -> None:
        self.figures, self.collectors = figures, collectors

    def collect(self) -> Iterator[Metric]:
        """Figures are named by their path; names in ``_total`` are counters, which only grow."""
        return chain(families(self.figures), *(each.collect() for each in self.collectors))


def exposition(figures: Mapping[str, Any], collectors: Sequence[Collector] = (), accept: str = "") -> tuple[bytes, str]:
    """The metrics and their content type: OpenMetrics with exemplars if ``accept`` takes it, else Prometheus' text."""
    encode, content_type = choose_encoder(accept)
    return encode(Scrape(figures, collectors)), content_type


def families(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Each number as a metric; truth is 1 or 0."""
    for path, figure in leaves(dict(figures)):
        name, text = f"shipper_{NOT_IN_A_NAME.sub('_', path)}", f"{path} of the embedded process."
        if isinstance(figure, bool | int | float):
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name, text, figure + 0)
