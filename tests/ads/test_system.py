"""AdSystemLogger: where lines of which level go, and what a second call does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from python_shipper import AdSystemLogger, configure
from python_shipper.ads import system
from python_shipper.core import config
from python_shipper.core.handlers import FilesHandler
from python_shipper.errors import ConfigurationError
from tests.spec.validator import checked


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the environment names; afterwards the loggers are as they were."""
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setattr(config, "_active", None)
    yield tmp_path / "logs"
    for name, (_, handlers) in system._set_up.items():
        for handler in handlers:
            logging.getLogger(name).removeHandler(handler)
            handler.close()
    system._set_up.clear()


def messages(logs: Path, pattern: str) -> list[str]:
    (file,) = logs.glob(pattern)
    events = [checked(line) for line in file.read_bytes().splitlines(keepends=True)]
    return [event["message"] for event in events if event["event"].get("action") != "segment-opened"]


def test_each_level_goes_where_it_belongs(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = AdSystemLogger.setup_logging()
    for level in ("debug", "info", "error"):
        getattr(logger.getChild("bids"), level)("a line of level %s", level)
    assert messages(logs, "ad_system.ecs.log") == messages(logs, "ad_system.daily.*.log")
    assert [text.rpartition(" ")[2] for text in messages(logs, "ad_system.ecs.log")] == ["debug", "info", "error"]
    assert messages(logs, "ad_system.error.log") == ["a line of level error"]
    console = capsys.readouterr().err
    assert "level info" in console and "level error" in console and "level debug" not in console


def test_thirty_days_are_kept(logs: Path) -> None:
    logs.mkdir()
    old = [logs / f"ad_system.daily.2020-01-{day:02}.log" for day in range(1, 32)]
    for path in old:
        path.touch()
    AdSystemLogger.setup_logging().info("line")
    assert [path.exists() for path in old] == [False, False] + [True] * 29


def test_calling_it_again_changes_nothing(logs: Path) -> None:
    handlers = AdSystemLogger.setup_logging().handlers[:]
    threads = [threading.Thread(target=AdSystemLogger.setup_logging) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger = AdSystemLogger.setup_logging()
    assert logger.handlers == handlers
    logger.info("once")
    assert messages(logs, "*.ecs.log") == ["once"]


def test_two_applications_have_files_of_their_own(logs: Path) -> None:
    for name in ("ad_system", "reports"):
        AdSystemLogger.setup_logging(name).info("from %s", name)
    assert messages(logs, "reports.ecs.log") == ["from reports"]
    assert messages(logs, "ad_system.ecs.log") == ["from ad_system"]


def test_other_settings_take_the_place_of_the_old_ones(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AdSystemLogger.setup_logging().info("first")
    monkeypatch.setenv("LOG_DIR", str(logs / "moved"))
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    logger = AdSystemLogger.setup_logging()
    logger.info("second")
    logger.warning("third")
    assert messages(logs, "ad_system.ecs.log") == ["first"]
    assert messages(logs / "moved", "ad_system.ecs.log") == ["third"]


def test_lines_are_not_written_by_the_root_logger_as_well(logs: Path) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure(service="gateway")
        AdSystemLogger.setup_logging().info("once")
        logging.getLogger("elsewhere").warning("by the root")
    finally:
        for handler in logging.getLogger().handlers[:]:
            handler.close()
        logging.getLogger().handlers[:] = before
    assert messages(logs, "ad_system.ecs.log") == ["once"]
    assert messages(logs, "gateway.ecs.log") == ["by the root"]


def test_a_folder_that_cannot_be_written_is_said(logs: Path) -> None:
    logs.write_text("a file")
    with pytest.raises(ConfigurationError, match="LOG_DIR"):
        AdSystemLogger.setup_logging()
    assert not any(isinstance(handler, FilesHandler) for handler in logging.getLogger("ad_system").handlers)
