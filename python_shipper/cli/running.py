"""The commands that run things: up, down, status, demo, doctor."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from python_shipper import stack
from python_shipper.cli import demo as story
from python_shipper.cli import printing
from python_shipper.cli.options import Json, Quiet
from python_shipper.settings import Settings
from python_shipper.store.logs import leaves
from python_shipper.units import figure


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``."""
    for function in (up, down, status, demo, doctor):
        app.command()(function)


def reporter(quiet: bool) -> stack.Report:
    """Where progress goes: a line each on standard output, or nowhere."""
    return (lambda _: None) if quiet else lambda text: print(text, flush=True)  # noqa: T201


def up(quiet: Quiet = False) -> None:
    """Start the stack. ELK where Docker can run it, else the embedded one; STACK=elk or STACK=embedded insists."""
    stack.up(Settings.from_environment(), reporter(quiet))


def down(quiet: Quiet = False) -> None:
    """Stop the stack. No process, port or lock is left; the data stays."""
    stack.down(Settings.from_environment(), reporter(quiet))


def status(json: Json = False) -> None:
    """Show what runs, where it listens, and how far behind it is."""
    figures = stack.status(Settings.from_environment())
    if json:
        printing.json(figures)
    else:
        printing.table("Figure", "", rows=[figure(path, shown) for path, shown in leaves(figures)])


def demo(
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long traffic runs.")] = 30.0,
    rate: Annotated[float, typer.Option(min=0.1, max=500, help="Requests a second.")] = 10.0,
) -> int:
    """Play the demo. Three services under traffic, a failed order found by its trace id.

    Every line is accounted for (exit code 1 if one is missing). On a terminal it then runs until Ctrl-C; otherwise it
    stops everything and exits.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    return story.run(Settings.from_environment(), seconds, rate, interactive)


def doctor(json: Json = False) -> int:
    """Check this machine for what would stop the ELK stack. Exit code 1 on a failure."""
    found = stack.engine("doctor").checks(Settings.from_environment())
    if json:
        printing.json([asdict(check) for check in found])
    else:
        printing.table("Check", "Result", "What to do", rows=[(each.name, each.level, each.message) for each in found])
    return 1 if any(check.level == "failure" for check in found) else 0
