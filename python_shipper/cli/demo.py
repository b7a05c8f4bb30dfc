"""The demo: three services under traffic, a failed order found by its trace id, and every line accounted for."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from python_shipper import stack
from python_shipper.agent.verify import verify
from python_shipper.cli import printing
from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.store.traces import find_trace

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SETTLE_SECONDS = 30.0
GENTLE_RATE = 2.0  # requests a second while somebody looks around


def run(settings: Settings, seconds: float, rate: float, interactive: bool) -> int:
    """Play the demo; returns 1 if a line is missing at its end, else 0. Whatever it started is stopped again.

    Raises:
        StackError: the stack or the services cannot be started.
    """
    for number in ENDS[1:]:
        signal.signal(number, interrupted)
    runner = examples("run")
    with started(settings) as settings, services(runner, settings) as gateway:
        say(f"driving {rate:g} requests a second for {seconds:g} s through gateway → orders → analysis_engine …")
        failed = drive(runner, gateway, seconds, rate)["failed_trace_ids"]
        code = conclude(settings, failed[0] if failed else None)
        if interactive:
            say("gentle traffic goes on; Ctrl-C stops everything")
            with suppress(KeyboardInterrupt):  # the end that was announced, not an interruption
                drive(runner, gateway, 86_400, GENTLE_RATE)
    return code


def examples(name: str) -> ModuleType:
    """A module of the folder examples/, which lies beside the package in a checkout.

    Raises:
        StackError: this is an installation without it.
    """
    try:
        return importlib.import_module(f"examples.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "examples":
            raise StackError(f"the demo needs {error.name}; pip install 'python-shipper[demo]'") from None
        raise StackError("examples/: not installed; run the demo in a checkout: make demo") from None


@contextmanager
def started(settings: Settings) -> Iterator[Settings]:
    """The stack, running for a `with` block, and the settings that reach it; one that ran before is left running."""
    choice = stack.choose(settings)
    say(f"{choice.name} stack: {choice.reason}")
    engine = stack.engine(choice.name)
    settings = stack.for_demo(settings) if choice.name == "embedded" else settings
    before = engine.status(settings)["running"]
    try:
        engine.up(settings, say)
        yield settings
    finally:
        for number in ENDS:  # a second Ctrl-C must not leave half of it running
            signal.signal(number, signal.SIG_IGN)
        if not before or choice.name == "embedded":
            engine.down(settings, say)


@contextmanager
def services(runner: ModuleType, settings: Settings) -> Iterator[str]:
    """The three services, running for a `with` block; the gateway's address."""
    try:
        with runner.running(environ=embedded.environment(settings)) as addresses:
            say(", ".join(f"{name} {address}" for name, address in addresses.items()))
            yield addresses["gateway"]
    except runner.NotStartedError as error:
        raise StackError(str(error)) from None


def drive(runner: ModuleType, gateway: str, seconds: float, rate: float) -> dict[str, Any]:
    """Drive traffic in a process of its own; what it counted."""
    command = [sys.executable, "-m", "examples.traffic", "--gateway", gateway]
    command += ["--seconds", str(seconds), "--rate", str(rate)]
    done = subprocess.run(command, cwd=Path(runner.__file__ or "").parent.parent, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise StackError(f"the traffic generator ended with code {done.returncode}; its own words stand above")
    counted: dict[str, Any] = json.loads(done.stdout)
    orders = f"{counted['executed']} orders executed, {counted['failed']} failed"
    say(f"{counted['requests']} requests: {orders}, {counted['ads']} ads shown")
    return counted


def conclude(settings: Settings, trace_id: str | None) -> int:
    """Account for every line, and show a failed order's trace; the exit code."""
    store = stack.open_logs(settings)
    try:
        rows = verify(settings, store, SETTLE_SECONDS)
        found = find_trace(store, trace_id) if trace_id else None
    finally:
        store.close()
    if found and found.lines:
        say("\nOne order failed. Its trace, as `shipper trace` shows it:\n")
        printing.trace(found)
    say("\nEvery line that was written, and what became of it, as `shipper verify` shows it:\n")
    printing.verified(rows)
    say("")
    for name, text in addresses(settings, trace_id):
        say(f"{name:<13} {text}")
    return 1 if any(row.difference or row.missing for row in rows) or not (found and found.lines) else 0


def addresses(settings: Settings, trace_id: str | None) -> Iterator[tuple[str, str]]:
    """Where to look further."""
    url = embedded.status(settings).get("url")
    if url:
        yield "dashboard", f"{url}/"
    if trace_id:
        yield "failed order", f"trace {trace_id}" + (f"  {url}/trace/{trace_id}" if url else "")


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM, and the terminal's end, stop the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)  # noqa: T201
