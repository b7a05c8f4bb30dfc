"""The commands that account for every line: verify, dead-letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from python_shipper.agent import dead_letters
from python_shipper.agent import verify as accounts
from python_shipper.cli import printing
from python_shipper.cli.options import Json, opened
from python_shipper.settings import Settings

letters = typer.Typer(help="List and replay the lines that could not be stored as logs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``."""
    app.command()(verify)
    app.add_typer(letters, name="dead-letters")


def verify(
    patience: Annotated[float, typer.Option(min=0, max=600, help="Seconds that lines under way get to arrive.")] = 5.0,
    json: Json = False,
) -> int:
    """Account for every line that services wrote. Stored, dead-lettered, expired, rotated away unread.

    Exit code 1 if a line is missing; each is named by its event.id.
    """
    settings = Settings.from_environment()
    with opened(settings) as store:
        rows = accounts.verify(settings, store, patience)
    if json:
        printing.json([asdict(row) | {"difference": row.difference} for row in rows])
    else:
        printing.verified(rows)
    return 1 if any(row.difference or row.missing for row in rows) else 0


@letters.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Dead letters at most.")] = 100,
    json: Json = False,
) -> None:
    """List the newest dead letters: why, where they stood, and whether they can be replayed."""
    settings = Settings.from_environment()
    with opened(settings) as store:
        found = dead_letters.list_(settings, store, limit)
    if json:
        for letter in found:
            printing.json(asdict(letter))
        return
    headings = ("Time", "Reason", "Service", "File", "Offset", "State", "Id", "Text")
    rows = [
        (
            each.timestamp,
            each.reason,
            each.service or "",
            each.path or "",
            f"{each.offset}",
            each.state,
            each.id,
            each.message[:60],
        )
        for each in found
    ]
    printing.table(*headings, rows=rows)


@letters.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Which; without any, all.")] = None,
    json: Json = False,
) -> int:
    """Send dead letters through today's contract again; exit code 1 if some are dead letters still."""
    done = dead_letters.replay(Settings.from_environment(), ids or None)
    if json:
        printing.json(asdict(done))
    else:
        print(f"{done.replayed} replayed, {done.still} still cannot be stored")  # noqa: T201
    return 1 if done.still else 0
