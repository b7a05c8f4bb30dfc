"""The real engines, each started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import elasticsearch as engine
from tests.stack import obtain


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[engine.Server]:
    """A real Elasticsearch with our configuration, templates and roles."""
    try:
        with engine.any_server() as server:
            yield server
    except obtain.MissingError as missing:
        pytest.skip(f"elasticsearch: {missing}")
