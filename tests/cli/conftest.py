"""The command line in this process, on a filled store, at a fixed time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from python_shipper import cli
from tests.dashboard.sample import NOW, fill


class Said(NamedTuple):
    """What a command left: its exit code and both outputs."""

    code: int
    out: str
    err: str


Shipper = Callable[..., Said]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def shipper(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shipper:
    for name, text in (
        ("DATA_DIR", filled),
        ("LOG_DIR", tmp_path / "logs"),
        ("STACK", "embedded"),
        ("SHIPPER_NOW", NOW),
    ):
        monkeypatch.setenv(name, str(text))

    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run
