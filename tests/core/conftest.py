"""A files handler on a logger of its own, and what it wrote."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_shipper.core import context
from python_shipper.core.handlers import FilesHandler


@pytest.fixture(autouse=True)
def nothing_bound() -> Iterator[None]:
    before = context.variable.get()
    context.variable.set(context.NOTHING)
    yield
    context.variable.set(before)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FilesHandler]:
    handler = FilesHandler("orders", tmp_path / "logs")
    yield handler
    handler.close()


class Unheard(logging.Logger):
    """A logger that pytest's own handler, added to every logger that does not propagate, is kept away from."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  logging's name
        if isinstance(hdlr, FilesHandler):
            super().addHandler(hdlr)


@pytest.fixture
def logger(files: FilesHandler, request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    name = f"tests.{request.node.nodeid}".replace(".py", "")
    made = logging.Logger.manager.loggerDict[name] = Unheard(name, logging.DEBUG)
    made.addHandler(files)
    yield made
    del logging.Logger.manager.loggerDict[name]


@pytest.fixture
def written(files: FilesHandler) -> Callable[[], list[bytes]]:
    """The lines of the shipped file but for its header."""

    def lines() -> list[bytes]:
        return (files.directory / "orders.ecs.log").read_bytes().splitlines(keepends=True)[1:]

    return lines
