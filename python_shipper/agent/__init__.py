"""FILE → STORE: tails the log files, normalises and masks each line, and indexes it exactly once.

tail (files, segment, watch) → pipeline → store.writer, by ingest; checkpoint and dead_letters remember; verify proves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from python_shipper.agent.agent import Agent

__all__ = ["Agent"]


def __getattr__(name: str) -> Any:
    """`Agent`, imported when it is asked for: the pipeline alone must not need a search engine installed."""
    if name == "Agent":
        from python_shipper.agent.agent import Agent

        return Agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
