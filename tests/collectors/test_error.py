"""ErrorCollector on real processes: each way in which an exception can go uncaught, and what was there before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.spec.validator import checked

SET_UP = """
import asyncio, gc, os, sys, threading
import python_shipper
from python_shipper import ErrorCollector
python_shipper.configure(service="orders", log_dir=sys.argv[1])
asked = []
"""


def run(body: str, folder: Path, code: int = 0) -> tuple[list[dict[str, Any]], str]:
    """The error lines of a process that runs ``body``, and its standard error."""
    ended = subprocess.run(
        [sys.executable, "-c", SET_UP + body, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == code, ended.stderr
    lines = [line for file in folder.glob("*.ecs.log") for line in file.read_bytes().splitlines(keepends=True)]
    return [event for event in map(checked, lines) if "error" in event], ended.stderr


THREAD = "thread = threading.Thread(target=lambda: 1 / 0, name='worker'); thread.start(); thread.join()\n"
TASK = """
async def fail(): raise LookupError("no such ad")
async def main():
    task = asyncio.create_task(fail(), name="bidder")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
asyncio.run(main())
"""
FINALIZER = """
class Feed:
    def __del__(self): raise OSError("feed gone")
Feed()
gc.collect()
"""


def test_the_main_threads_exception_is_critical_and_still_printed(tmp_path: Path) -> None:
    (event,), printed = run("ErrorCollector().install()\nraise ValueError('no price')", tmp_path / "logs", code=1)
    assert event["log.level"] == "critical" and event["event"]["action"] == "uncaught_exception"
    assert event["error"]["type"] == "ValueError" and "Traceback" in event["error"]["stack_trace"]
    assert len(event["christmas"]["extra"]["error_fingerprint"]) == 16
    assert "ValueError: no price" in printed


@pytest.mark.parametrize(
    ("body", "action", "error"),
    [
        (THREAD, "thread_exception", "ZeroDivisionError"),
        (TASK, "asyncio_exception", "LookupError"),
        (FINALIZER, "unraisable_exception", "OSError"),
    ],
)
def test_each_other_way_is_one_error_line(body: str, action: str, error: str, tmp_path: Path) -> None:
    (event,), _ = run("errors = ErrorCollector(); errors.install(); errors.install()\n" + body, tmp_path / "logs")
    assert (event["event"]["action"], event["log.level"], event["error"]["type"]) == (action, "error", error)
    assert "stack_trace" in event["error"] and event["event"]["category"] == ["process"]
    if action == "thread_exception":
        assert event["process"]["thread"]["name"] == "worker"
    if action == "asyncio_exception":
        assert event["christmas"]["extra"]["task"] == "bidder"


def test_what_was_there_before_is_asked_and_given_back(tmp_path: Path) -> None:
    body = f"""
sys.excepthook = before = lambda *_: os._exit(7 if asked == ["thread", "finalizer"] else 8)
threading.excepthook = lambda args: asked.append("thread")
sys.unraisablehook = lambda args: asked.append("finalizer")
hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, asyncio.BaseEventLoop.call_exception_handler
errors = ErrorCollector()
errors.install()
errors.uninstall()
assert hooks == (
    sys.excepthook, threading.excepthook, sys.unraisablehook, asyncio.BaseEventLoop.call_exception_handler
)
errors.install()
{THREAD}{FINALIZER}
raise ValueError
"""
    events, _ = run(body, tmp_path / "logs", code=7)
    assert [event["error"]["type"] for event in events] == ["ZeroDivisionError", "OSError", "ValueError"]


def test_a_loops_own_handler_is_asked_as_well(tmp_path: Path) -> None:
    body = """
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: asked.append(context["message"]))
    if watched:
        errors.watch(loop)
    else:
        errors.install()
    loop.call_soon(lambda: 1 / 0)
    loop.call_exception_handler({"message": "no exception in it"})
    await asyncio.sleep(0.01)
errors = ErrorCollector()
for watched in (True, False):
    asyncio.run(main())
assert len(asked) == 4, asked
"""
    events, _ = run(body, tmp_path / "logs")
    assert [event["error"]["type"] for event in events] == ["asyncio", "ZeroDivisionError"] * 2


def test_a_hook_that_somebody_took_since_stays_and_passes_on(tmp_path: Path) -> None:
    body = f"""
errors = ErrorCollector()
errors.install()
ours = threading.excepthook
threading.excepthook = theirs = lambda args: (asked.append(1), ours(args))
errors.uninstall()
assert threading.excepthook is theirs
{THREAD}
assert asked == [1]
"""
    events, printed = run(body, tmp_path / "logs")
    assert events == [] and "ZeroDivisionError" in printed


def test_an_interrupt_is_nobodys_error(tmp_path: Path) -> None:
    events, printed = run("ErrorCollector().install()\nraise KeyboardInterrupt", tmp_path / "logs", code=-2)
    assert events == [] and "KeyboardInterrupt" in printed


def test_a_logger_that_fails_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    body = f"""
from python_shipper.core import counts
class Broken:
    def is_enabled_for(self, level): return True
    def log(self, *args, **fields): raise RuntimeError("no logger")
ErrorCollector(Broken()).install()
{THREAD}
assert counts.current()["lost"] == 1
"""
    events, printed = run(body, tmp_path / "logs")
    assert events == [] and "ZeroDivisionError" in printed and "no logger" in printed
