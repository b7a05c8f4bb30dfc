"""Start, stop and ask the embedded stack: one process that tails, stores and serves, kept single by a file lock."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack.client import ask
from python_shipper.stack.lock import ProcessLock
from python_shipper.stack.ports import check_certificate, check_exposure

Report = Callable[[str], None]
T = TypeVar("T")
PACKAGES = ("tantivy", "watchdog", "fastapi", "uvicorn", "jinja2", "prometheus_client", "ddsketch")
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def up(settings: Settings, report: Report) -> None:
    """Start the process and wait until it serves; where one runs on this data folder already, say so.

    Raises:
        StackError: packages are missing, the folder cannot be written, the port is taken, …
    """
    check_packages()
    check_exposure(settings)
    check_certificate(settings)
    lock = ProcessLock(make_folder("DATA_DIR", settings.data_dir, "writable"))
    make_folder("LOG_DIR", settings.log_dir, "readable")
    if lock.held():
        report(f"already running: {address(lock)}")
        return
    launch(settings, lock)
    report(f"running: {address(lock)} (logs of {settings.log_dir}/, kept in {settings.data_dir}/)")


def down(settings: Settings, report: Report) -> None:
    """Stop the process and wait until its lock is free; nothing to do where none runs.

    Raises:
        StackError: it does not end within 30 seconds.
    """
    lock = ProcessLock(settings.data_dir)
    if not lock.held():
        report("embedded stack: not running")
        return
    note = wait_for(lock.described, 5.0)
    if note is None:
        raise StackError(f"{lock.note}: the process that holds {lock.path} has not said its pid; end it by hand")
    signal_process(int(note["pid"]))
    if not wait_for(lambda: not lock.held() and ended(int(note["pid"])), STOP_SECONDS):
        logs = settings.data_dir / "logs"
        raise StackError(f"process {note['pid']} does not end; look at {logs}, then kill -9 {note['pid']}")
    report(f"embedded stack: stopped (pid {note['pid']})")


def running(settings: Settings) -> bool:
    """Whether a process holds this data folder."""
    return ProcessLock(settings.data_dir).held()


def status(settings: Settings, report: Report | None = None) -> dict[str, Any]:
    """The running process's own figures (those of ``GET /api/status``) with ``running``, ``url`` and ``pid``.

    Raises:
        StackError: the process holds the lock but does not answer.
    """
    lock = ProcessLock(settings.data_dir)
    note = lock.described() if lock.held() else None
    if note is None:
        return {"running": False, "data_dir": str(settings.data_dir)}
    return {"running": True, **note, **ask(settings, note["url"], "/api/status")}


def check_packages() -> None:
    """Name every package that the embedded stack needs and this environment lacks, in one line."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise StackError(
            f"the embedded stack needs {', '.join(missing)}; pip install 'python-shipper[embedded,dashboard]'"
        )


def make_folder(name: str, folder: Path, use: str) -> Path:
    """``folder``, made where it is missing; ``name`` is its setting, ``use`` what it must be.

    Raises:
        StackError: it cannot be made, or not be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StackError(f"{name}={folder}: cannot be made ({error.strerror}); choose another folder") from None
    if not os.access(folder, {"readable": os.R_OK, "writable": os.W_OK}[use] | os.X_OK):
        raise StackError(f"{name}={folder}: not {use} by this user; change its owner or choose another folder")
    return folder


def launch(settings: Settings, lock: ProcessLock) -> None:
    """Start the process in a session of its own and wait until it serves or says why it cannot."""
    said = lock.path.with_name("embedded.err")
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "python_shipper.stack.process"],
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    ready = wait_for(lambda: process.poll() is not None or speaks_for(lock, process.pid), START_SECONDS)
    if process.poll() is None and ready:
        return
    if process.poll() is None:
        process.terminate()
    raise StackError(why(said, process.wait(), START_SECONDS))


def why(said: Path, code: int, seconds: float) -> str:
    """The last line that the process wrote before it ended, without its prefix."""
    lines = said.read_text(errors="replace").strip().splitlines()
    fallback = f"the embedded process ended with code {code} within {seconds:g} s, silently; see {said.parent}/logs"
    return lines[-1].removeprefix("shipper: ") if lines else fallback


def speaks_for(lock: ProcessLock, pid: int) -> bool:
    """Whether process ``pid`` has left its note, which it does once it serves."""
    note = lock.described()
    return note is not None and note.get("pid") == pid


def address(lock: ProcessLock) -> str:
    """The running process's address and pid, as far as it has said them."""
    note = lock.described() or {}
    return f"{note.get('url', 'starting')} (pid {note.get('pid', 'unknown')})"


def signal_process(pid: int) -> None:
    """Ask ``pid`` to end; that it has just ended by itself is as good."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise StackError(f"process {pid} belongs to another user; stop the stack as that user") from None


def ended(pid: int) -> bool:
    """Whether ``pid`` runs no more; one that only waits for its parent to take note has ended (proc(5), field 3)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with ``settings`` written into it, so that a child reads the same ones."""
    rest = {key: value for key, value in os.environ.items() if key not in {f.name.upper() for f in fields(Settings)}}
    given = {f.name: getattr(settings, f.name) for f in fields(Settings) if getattr(settings, f.name) != f.default}
    return rest | {name.upper(): text(value) for name, value in given.items() if value is not None}


def text(value: Any) -> str:
    """A setting's value as its environment variable holds it; folders absolute."""
    return str(value.absolute()) if isinstance(value, Path) else str(value)


def wait_for(question: Callable[[], T], seconds: float) -> T:
    """Ask until the answer is true or the time is over; the last answer."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer
