"""Which stack, and starting, stopping and asking it: ELK where Docker can run it, else one embedded process.

Each engine is a module of this package with ``up``, ``down`` and ``status``, imported when it is used: ELK's needs
packages that the embedded stack does without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack.ports import free_port
from python_shipper.store import Store, open_store

Report = Callable[[str], None]
EXTRAS = {"embedded": "embedded,dashboard"}


class Choice(NamedTuple):
    """The stack that is used, ``elk`` or ``embedded``, and why, as half a sentence."""

    name: str
    reason: str


def engine(name: str) -> ModuleType:
    """The engine of that name, or another module of this package that needs ELK's packages.

    Raises:
        StackError: its packages are not installed.
    """
    try:
        return import_module(f"python_shipper.stack.{name}")
    except ModuleNotFoundError as error:
        raise StackError(
            f"it needs {error.name}; pip install 'python-shipper[{EXTRAS.get(name, 'elasticsearch')}]'"
        ) from None


def choose(settings: Settings) -> Choice:
    """The stack that ``make up`` launches here.

    Raises:
        StackError: STACK=elk insists on a stack that cannot run on this machine.
    """
    if settings.stack == "embedded":
        return Choice("embedded", "STACK=embedded asks for it")
    usable, reason = elk_usable(settings)
    if settings.stack == "elk" and not usable:
        raise StackError(f"STACK=elk: {reason}; mend that, or use STACK=embedded")
    if settings.stack == "elk":
        return Choice("elk", "STACK=elk asks for it")
    return Choice("elk" if usable else "embedded", reason)


def elk_usable(settings: Settings) -> tuple[bool, str]:
    """Whether ELK can run here, and why (not)."""
    try:
        usable, reason = engine("elk").usable(settings)
    except StackError as error:
        return False, str(error)
    return bool(usable), str(reason)


def up(settings: Settings, report: Report) -> None:
    """Start the chosen stack, or leave it as it is where it runs already.

    Raises:
        StackError: it cannot be started; the message says why and what to do.
    """
    choice = choose(settings)
    report(f"{choice.name} stack: {choice.reason}")
    engine(choice.name).up(settings, report)


def down(settings: Settings, report: Report) -> None:
    """Stop whatever runs: the embedded process, one that a demo has left, and ELK's containers.

    Raises:
        StackError: something does not stop; or STACK=elk insists and Docker cannot be asked.
    """
    embedded = engine("embedded")
    embedded.down(settings, report)
    if embedded.running(for_demo(settings)):
        embedded.down(for_demo(settings), report)
    if settings.stack == "embedded":
        return
    try:
        engine("elk").down(settings, report)
    except StackError:
        if settings.stack == "elk":  # else: no Docker that answers, so no containers of ours either
            raise


def status(settings: Settings) -> dict[str, Any]:
    """What runs, as plain data: ``stack``, ``running``, and the engine's own figures."""
    if settings.stack != "elk" and engine("embedded").running(settings):
        return {"stack": "embedded", **engine("embedded").status(settings)}
    choice = choose(settings)
    return {"stack": choice.name, "reason": choice.reason, **engine(choice.name).status(settings)}


def open_logs(settings: Settings) -> Store:
    """The store of the stack that is used here; where ELASTICSEARCH_URL is set, that one.

    Raises:
        ShipperError: it cannot be opened.
    """
    if not settings.elasticsearch_url and reads_elk(settings):
        opened: Store = engine("elk").store(settings)
        return opened
    return open_store(settings)


def reads_elk(settings: Settings) -> bool:
    """Whether logs are in this machine's ELK stack: insisted on, or it runs and the embedded one does not."""
    if settings.stack:
        return settings.stack == "elk"
    if engine("embedded").running(settings) or not settings.secrets_dir.exists():
        return False
    try:
        return bool(engine("elk").status(settings)["running"])
    except StackError:  # no Docker that answers
        return False


def for_demo(settings: Settings) -> Settings:
    """The same with folders of the demo's own, so that its lines never mix with anybody's logs, and a free port.

    A port that was chosen (API_PORT) stays; where it is taken, starting says so.
    """
    folder = settings.data_dir / "demo"
    chosen = settings.api_port != Settings().api_port
    port = settings.api_port if chosen else free_port(settings.api_host, settings.api_port)
    return replace(settings, data_dir=folder, log_dir=folder / "logs", api_port=port)
