"""The commands that read: search, trace, tail, indices."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import orjson
import typer

from python_shipper.cli import printing
from python_shipper.cli.options import Json, Query, opened
from python_shipper.core.clock import now_ms
from python_shipper.errors import QueryError
from python_shipper.store import LOGS
from python_shipper.store.logs import Follower, Question, moment, search_logs
from python_shipper.store.traces import as_json, find_trace

EVERY_SECONDS = 0.5
RESTORED = "christmas-restored-*"
SINCE_HELP = "Begin: 15m, 1h, 2d ago, or a time such as 2026-01-31T09:30:00Z; without it, the last hour."


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``."""
    for function in (search, trace, tail, indices):
        app.command()(function)


def search(
    query: Query = "",
    since: Annotated[str | None, typer.Option(help=SINCE_HELP, show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help="End, in the same form; without it, now.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Lines at most, the newest.")] = 100,
    restored: Annotated[bool, typer.Option("--restored", help="Search what was restored, of any time.")] = False,
    json: Json = False,
) -> None:
    """Search the logs of all services. Prints the newest matching lines, the oldest of them first.

    \b
    timeout                           the word is in the message; several words: all of them
    "connection refused"              these words in this order
    level:error service:orders        a field's value: level, service, trace_id, user_id, order_id, error_type, …
    http.response.status_code:502     or any ECS field
    duration:>0.5                     longer than half a second; a range: duration:[0.1 TO 0.5]
    level:(error OR warning) -timeout one or the other, but without the word

    Example: shipper search 'level:error service:orders timeout' --since 1h
    """  # noqa: D301 - the backspace is click's mark for a paragraph to leave as it is
    now = now_ms()
    until_ms = moment(until, now, "--until") if until else None
    begin = since or (None if restored else "1h")
    since_ms = moment(begin, now, "--since") if begin else None
    index = RESTORED if restored else LOGS
    with opened() as store:
        found = search_logs(store, Question(query, since_ms, until_ms, limit=limit, index=index))
    printing.hits(list(reversed(found.hits)), json)
    if not json:
        printing.summary(found, limit)


def trace(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="The trace id, as a line shows it.")],
    json: Json = False,
) -> None:
    """Show one transaction across services. Who called whom, how long it took, every line, and errors in full."""
    with opened() as store:
        found = find_trace(store, trace_id)
    if json:
        printing.json(as_json(found))
    elif found.lines:
        printing.trace(found)
    else:
        raise QueryError(f"trace {trace_id}: no line has this id; check it, or wait two seconds and try again")


def tail(
    query: Query = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="Lines shown at once.")] = 20,
    json: Json = False,
) -> None:
    """Follow the newest lines of all services. With a query, those that match; until Ctrl-C."""
    with opened() as store:
        follower = Follower(store, query)
        printing.hits(follower.newest(now_ms(), lines), json)
        while True:
            sys.stdout.flush()
            time.sleep(EVERY_SECONDS)
            printing.hits(list(follower.fresh(now_ms())), json)


def indices(json: Json = False) -> None:
    """List the indices with their number of documents and size."""
    with opened() as store:
        found = store.indices()
    if json:
        sys.stdout.write(orjson.dumps(found).decode() + "\n")
    else:
        printing.indices(found)
