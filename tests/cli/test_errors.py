"""Whatever is wrong with the machine or the environment is one line on standard error and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from python_shipper import cli
from python_shipper.cli import reading
from tests.cli.conftest import Shipper


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("STACK", "kubernetes", ["STACK", "elk, embedded", "'kubernetes'"]),
        ("API_PORT", "80000", ["API_PORT", "65535"]),
        ("SHIPPER_NOW", "soon", ["SHIPPER_NOW", "ISO 8601"]),
    ],
)
def test_a_wrong_setting(
    shipper: Shipper, monkeypatch: pytest.MonkeyPatch, name: str, text: str, words: list[str]
) -> None:
    monkeypatch.setenv(name, text)
    said = shipper("search", "x")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert all(word in said.err for word in words), said.err


@pytest.mark.parametrize("arguments", [(), ("alerts",)])
def test_a_group_without_a_command_shows_its_help(shipper: Shipper, arguments: tuple[str, ...]) -> None:
    said = shipper(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: shipper") and "\nCommands:\n" in said.err


def test_a_system_error_names_the_file(shipper: Shipper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    said = shipper("up")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"shipper: DATA_DIR={tmp_path / 'file'}: cannot be made (File exists); choose another")


def test_interrupting_is_quiet_and_130(shipper: Shipper, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading.time, "sleep", interrupt)
    said = shipper("tail", "tick", "--lines", "3")
    assert (said.code, said.err) == (130, "")
    assert [line.split("tick ")[1].split()[0] for line in said.out.splitlines()] == ["147", "148", "149"]


def test_a_reader_that_leaves_early_is_no_error(filled: Path) -> None:
    environ = os.environ | {"DATA_DIR": str(filled), "STACK": "embedded", "SHIPPER_NOW": "2026-11-22T12:10:00Z"}
    command = [sys.executable, "-c", "from python_shipper.__main__ import main; main()", "search", "--limit", "10000"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_the_base_install_says_what_the_command_needs(missing: str) -> None:
    hide = f"import sys; sys.modules[{missing!r}] = None; from python_shipper.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"shipper: {missing} is not installed: the command line needs typer and rich; "
        "pip install 'python-shipper[embedded,dashboard]'\n"
    )


def test_every_command_has_help(shipper: Shipper) -> None:
    said = shipper("--help")
    assert said.code == 0
    for command in (
        "search",
        "trace",
        "tail",
        "indices",
        "verify",
        "dead-letters",
        "backfill",
        "archive",
        "restore",
        "up",
        "down",
        "status",
        "demo",
    ):
        assert f"\n  {command} " in said.out
        assert cli.run([command, "--help"]) == 0


def test_status_says_that_nothing_runs(shipper: Shipper) -> None:
    done = shipper("status")
    assert done.code == 0
    assert "running" in done.out
    assert "embedded" in done.out
