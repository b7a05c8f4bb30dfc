"""An AdLoggingSystem with files in a folder of its own, on either kind of stream; the root logger is restored."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper import AdLoggingSystem
from python_shipper.core import config
from tests.ads.redis_server import RedisServer
from tests.spec.validator import checked

PATIENT_SECONDS = 60  # for tests that are not about a Redis that does not answer


class Root:
    """What the root logger's files hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def raw(self, name: str = "ad_system.ecs.log") -> list[bytes]:
        """The lines of a file."""
        return (self.folder / name).read_bytes().splitlines(keepends=True)

    def events(self, name: str = "ad_system.ecs.log") -> list[dict[str, Any]]:
        """The events of a file, each held to the specification; without the segment's header."""
        found = [checked(line) for line in self.raw(name)]
        return [event for event in found if event["event"].get("action") != "segment-opened"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """A folder that the environment names; afterwards the root logger is as it was."""
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name in ("REDIS_URL", "ALERTS_FILE", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config, "_active", None)
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield Root(tmp_path / "logs")
    for handler in [each for each in logger.handlers if each not in before]:
        logger.removeHandler(handler)
        handler.close()
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for all tests that keep it alive."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["process", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def system(request: pytest.FixtureRequest, root: Root) -> Iterator[AdLoggingSystem]:
    """A system with its stream in this process, and one with it on an empty Redis."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        server.client().flushall()
        made = AdLoggingSystem({"redis_url": server.url, "redis_timeout": PATIENT_SECONDS})
    else:
        made = AdLoggingSystem()
    yield made
    made.close()
