"""The demo from start to end: what it shows, that it leaves nothing running, and that it never touches other logs."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from python_shipper.settings import Settings
from python_shipper.stack import embedded, for_demo

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "python_shipper", "demo", "--seconds", "4", "--rate", "8"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in ("LOG_DIR", "API_PORT", "SHIPPER_NOW")}
    return kept | {"DATA_DIR": str(tmp_path / "data"), "STACK": "embedded"}


def test_without_a_terminal_it_tells_its_story_and_stops(environ: dict[str, str], tmp_path: Path) -> None:
    for _ in range(2):  # a second run finds what the first has left, and adds to it
        done = subprocess.run(
            COMMAND, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (trace_id,) = re.findall(r"^failed order  trace ([0-9a-f]{32})  http://127", done.stdout, re.MULTILINE)
        assert f"Trace {trace_id}  3 services, " in done.stdout
        assert "ERROR        analysis_engine  MACD computation failed" in done.stdout
        assert "Traceback (most recent call last):" in done.stdout
        table = done.stdout[done.stdout.index("\nService ") :].splitlines()[2:6]
        assert [row.split()[0] for row in table] == ["analysis_engine", "gateway", "orders", "shipper"]
        assert {row.split()[-1] for row in table} == {"0"}
        assert done.stdout.endswith(")\n")
        assert "embedded stack: stopped (pid " in done.stdout
        assert done.stderr == ""
    assert not embedded.running(for_demo(Settings(data_dir=tmp_path / "data")))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"demo"}


def test_on_a_terminal_it_runs_until_ctrl_c(environ: dict[str, str], tmp_path: Path) -> None:
    with on_a_terminal(environ) as (pid, terminal):
        said = read_until(terminal, b"Ctrl-C stops everything")
        (address,) = re.findall(rb"dashboard +http://127\.0\.0\.1:([0-9]+)/", said)
        socket.create_connection(("127.0.0.1", int(address)), timeout=5).close()
        os.write(terminal, b"\x03")
        assert b"stopped (pid" in read_until(terminal, b"stopped (pid")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not embedded.running(for_demo(Settings(data_dir=tmp_path / "data")))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address)), timeout=5)


@contextmanager
def on_a_terminal(environ: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The demo with a terminal of its own: its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execve(COMMAND[0], COMMAND, environ)  # noqa: S606 - no shell is what we want
    try:
        yield pid, terminal
    finally:
        os.close(terminal)


def read_until(terminal: int, words: bytes, seconds: float = 120) -> bytes:
    """What the terminal shows until ``words`` appear."""
    shown, end = b"", time.monotonic() + seconds
    while words not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 65_536)
    return shown
