"""The ad system's logger on real files, and the events in them, each held to the specification and to the mapping."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import now_ms
from tests.ads.system import redis_server, root, system  # noqa: F401  fixtures
from tests.core.conftest import files, logger, nothing_bound, written  # noqa: F401  fixtures
from tests.spec.validator import checked

Events = Callable[[], list[dict[str, Any]]]
FILE = Source("/logs/orders.ecs.log", "f" * 64, 0)


@pytest.fixture
def events(written: Callable[[], list[bytes]]) -> Events:  # noqa: F811  the fixture
    """The events written so far, which the pipeline would store as they are."""

    def read() -> list[dict[str, Any]]:
        found = [(checked(line), line) for line in written()]
        for event, line in found:
            routed = Pipeline().process(line, FILE, now_ms())
            stored = json.loads(json.dumps(routed.document))
            del stored["log"]["file"], stored["log"]["offset"]
            assert routed.index.startswith("christmas-logs-") and stored == event
        return [event for event, _ in found]

    return read


@pytest.fixture
def name(logger: logging.Logger) -> str:  # noqa: F811  the fixture
    """The name of a logger that writes to files."""
    return logger.name
