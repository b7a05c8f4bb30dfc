"""What the routes share: the settings, the store, the agent's figures, and the bounded way to ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request

import python_shipper
from python_shipper.dashboard.metrics import Collector, exposition
from python_shipper.dashboard.searches import Searches
from python_shipper.settings import Settings
from python_shipper.store import Store

Status = Callable[[], dict[str, Any]]


class Analysis(Protocol):
    """What looks at logs as they come."""

    def status(self) -> dict[str, Any]:
        """Its figures, by group."""

    def findings(self) -> dict[str, Any]:
        """What is open, what ended lately, and the figures of the last minute."""


@dataclass(frozen=True, slots=True)
class Service:
    """One running dashboard."""

    settings: Settings
    store: Store
    status: Status
    searches: Searches
    collectors: Sequence[Collector] = ()
    analysis: Analysis | None = None

    def figures(self) -> dict[str, Any]:
        """The figures of ``/api/status``, ``/metrics`` and the status page."""
        indices = self.store.indices()
        return {
            "version": python_shipper.__version__,
            "agent": self.status(),
            "indices": len(indices),
            "documents": sum(index.documents for index in indices),
            "size_bytes": sum(index.size_bytes for index in indices),
            "searches_running": self.searches.running,
            **(self.analysis.status() if self.analysis else {}),
        }

    def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """What a scrape gets, and its content type."""
        return exposition(self.figures(), self.collectors, accept)

    def findings(self) -> dict[str, Any]:
        """What the analysis found; nothing where there is none."""
        return self.analysis.findings() if self.analysis else {"open": [], "ended": [], "last_minute": []}

    def index_rows(self) -> list[dict[str, Any]]:
        """The indices as plain data."""
        return [asdict(index) for index in self.store.indices()]


def of(request: Request) -> Service:
    """The service of the application that got ``request``."""
    return cast(Service, request.app.state.service)


Shared = Annotated[Service, Depends(of)]
