"""Setting logging up: arguments, environment, files in three formats, servers' own loggers, and errors that help."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import python_shipper
from python_shipper.core import config
from python_shipper.core.console import ConsoleHandler
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.queue import QueuedFilesHandler
from python_shipper.errors import ConfigurationError
from tests.spec.validator import checked

SHIPPED = Path(python_shipper.__file__).parent / "logging_config.yaml"
VARIABLES = ("SERVICE_NAME", "LOG_DIR", "LOG_LEVEL", "LOG_FORMAT", "APP_ENV", "LOG_QUEUE", "LOG_MAX_BYTES")


@pytest.fixture(autouse=True)
def stock_logging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A root logger without handlers, and afterwards the one from before."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in [*root.handlers]:
        handler.close()
    root.handlers, config._active = handlers, None
    root.setLevel(level)


def lines(folder: Path, service: str = "unknown") -> list[dict[str, Any]]:
    content = (folder / f"{service}.ecs.log").read_bytes().splitlines(keepends=True)
    return [checked(line) for line in content[1:]]


def test_no_argument_works_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "SERVICE_NAME": "Shop",
        "LOG_DIR": "there",
        "LOG_LEVEL": "warning",
        "APP_ENV": "production",
    }.items():
        monkeypatch.setenv(name, value)
    python_shipper.configure()
    logging.getLogger("a").info("not written")
    logging.getLogger("a").warning("written")
    (line,) = lines(tmp_path / "there", "shop")
    assert (line["message"], line["service"]["name"]) == ("written", "Shop")


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERVICE_NAME", "environment")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    settings = python_shipper.configure("argument", log_dir=tmp_path / "a", level="debug", profile="production")
    logging.getLogger("a").debug("written")
    assert lines(tmp_path / "a", "argument")[0]["log.level"] == "debug"
    assert config.active() is settings


@pytest.mark.parametrize(
    ("profile", "level", "handlers"),
    [("development", logging.DEBUG, [FilesHandler, ConsoleHandler]), ("production", logging.INFO, [FilesHandler])],
)
def test_profiles(profile: str, level: int, handlers: list[type]) -> None:
    python_shipper.configure("shop", profile=profile)
    root = logging.getLogger()
    assert (root.level, [type(handler) for handler in root.handlers]) == (level, handlers)


def test_the_flat_form_and_the_queue_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOG_FORMAT", "flat")
    monkeypatch.setenv("LOG_QUEUE", "100")
    python_shipper.configure("shop")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, QueuedFilesHandler)
    logging.getLogger("a").info("hello")
    handler.flush()
    last = (tmp_path / "logs" / "shop.ecs.log").read_text().splitlines()[-1]
    assert json.loads(last)["level"] == "INFO"


def test_configuring_twice_writes_once_and_to_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        python_shipper.configure("shop")
        logging.getLogger("a").info("hello")
    assert [path.name for path in (tmp_path / "logs").glob("*.ecs.log")] == ["shop.ecs.log"]
    assert len(lines(tmp_path / "logs", "shop")) == 2


SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "hypercorn.access")


@pytest.mark.parametrize("by", ["configure", "dictConfig", "load_config"])
def test_servers_records_come_out_once_at_the_servers_level(by: str, tmp_path: Path) -> None:
    for name in SERVERS:
        server = logging.getLogger(name)
        server.handlers, server.propagate = [logging.StreamHandler()], False
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)
    set_up(by)
    for name in SERVERS:
        logging.getLogger(name).warning(name)
    logging.getLogger("uvicorn.error").debug("debug of the server", extra={"color_message": "\x1b[1mdebug"})
    logging.getLogger("a").debug("debug of the application")
    found = lines(tmp_path / "logs")
    assert [line["message"] for line in found] == [*SERVERS, "debug of the server"]
    assert "christmas" not in found[-1]
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


def set_up(by: str, path: Path = SHIPPED) -> None:
    if by == "configure":
        python_shipper.configure()
    elif by == "dictConfig":
        logging.config.dictConfig(yaml.safe_load(path.read_text()))
    else:
        python_shipper.load_config(path)


@pytest.mark.parametrize("by", ["dictConfig", "load_config"])
def test_the_shipped_file_follows_the_environment(by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERVICE_NAME", "shop")
    monkeypatch.setenv("APP_ENV", "development")
    set_up(by)
    root = logging.getLogger()
    assert (root.level, [type(handler) for handler in root.handlers]) == (logging.DEBUG, [FilesHandler, ConsoleHandler])
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    set_up(by)
    assert (root.level, [type(handler) for handler in root.handlers]) == (logging.ERROR, [FilesHandler])


CONTENT = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"out": {"class": "logging.FileHandler", "filename": "${OUT:-out.log}", "level": "${OUT_LEVEL:-INFO}"}},
    "root": {"level": "INFO", "handlers": ["out"]},
}
TOML = """
version = 1
disable_existing_loggers = false
[handlers.out]
class = "logging.FileHandler"
filename = "${OUT:-out.log}"
level = "${OUT_LEVEL:-INFO}"
[root]
level = "INFO"
handlers = ["out"]
"""


@pytest.mark.parametrize("name", ["c.yaml", "c.yml", "c.json", "c.toml"])
def test_three_formats_with_variables(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = {"toml": TOML, "json": json.dumps(CONTENT)}.get(name[2:], yaml.safe_dump(CONTENT))
    (tmp_path / name).write_text(text)
    monkeypatch.setenv("OUT_LEVEL", "30")
    python_shipper.load_config(tmp_path / name)
    logging.getLogger("a").info("not written")
    logging.getLogger("a").warning("written")
    assert (tmp_path / "out.log").read_text() == "written\n"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml: cannot be read: No such file"):
        python_shipper.load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got 'LOUD'"),
        ("LOG_MAX_BYTES", "10MB", "LOG_MAX_BYTES: expected a whole number of at least 10000, got '10MB'"),
        ("LOG_FILE_MODE", "rw", "LOG_FILE_MODE: expected three octal digits such as 0600, got 'rw'"),
        ("LOG_DIR", "file/logs", "LOG_DIR: cannot write to file/logs: Not a directory"),
        ("LOG_HASH_KEY_FILE", "absent", "LOG_HASH_KEY_FILE: cannot read absent"),
        ("LOG_MASKING_FILE", "absent", "LOG_MASKING_FILE: cannot read absent"),
    ],
)
def test_a_bad_environment_is_one_line(variable: str, value: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = "try: python_shipper.configure()\nexcept python_shipper.errors.ShipperError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", "import python_shipper, python_shipper.errors\n" + code],
        cwd=tmp_path, env={**os.environ, variable: value}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith(message), done
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_importing_and_configuring_needs_only_the_base_install(tmp_path: Path) -> None:
    code = """
import sys, python_shipper
python_shipper.configure("shop")
python_shipper.get_logger("a").info("hello", order_id="o1")
base = {"python_shipper", "orjson", "yaml", "_yaml", "pythonjsonlogger", "typing_extensions"}
known = set(sys.stdlib_module_names) | base | {name for name in sys.modules if "cython" in name}  # of PyYAML
print(sorted({name.split(".")[0] for name in sys.modules} - known - {"__main__"}))
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, env=paths(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def paths() -> dict[str, str]:
    """An environment in which `python -S`, which runs no .pth files, finds what is installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
