"""The commands of whoever is told: which alerts are open, who has seen them, what is to be quiet, does a route work."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from python_shipper.cli import printing
from python_shipper.cli.options import Json
from python_shipper.core.clock import iso, now_ms
from python_shipper.errors import QueryError
from python_shipper.settings import Settings
from python_shipper.store.logs import AGO, UNITS_MS, moment

if TYPE_CHECKING:
    from python_shipper.alerts.answer import Answer
    from python_shipper.alerts.outbox import Delivery, Outbox, Silence
    from python_shipper.alerts.rules import Route
    from python_shipper.alerts.state import Alert

MOST_DELIVERIES = 20  # finished ones, for the list
rooms = typer.Typer(help="List, acknowledge and silence alerts; try the routes.", no_args_is_help=True)
Note = Annotated[str | None, typer.Option(help="A word to the others, shown in the list.")]


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``, under `alerts`."""
    rooms.command("list")(list_)
    for function in (ack, silence, test):
        rooms.command()(function)
    app.add_typer(rooms, name="alerts")


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also alerts that have ended.")] = False, json: Json = False
) -> None:
    """List open alerts, silences, and notifications that wait or went out last."""
    now = now_ms()
    with outbox() as box:
        alerts = box.alerts_where("1" if all_ else "state = 'open'")
        says = {each.id: str(box.content_of(each.id)[0]["message"]) for each in alerts}
        silences = box.silences(now)
        waiting = box.deliveries_where("state = 'waiting' ORDER BY due_ms LIMIT ?", 1000)
        ended = box.deliveries_where("state != 'waiting' ORDER BY id DESC LIMIT ?", MOST_DELIVERIES)
        counts = box.counts()
    if json:
        told = {
            "alerts": [asdict(each) | {"message": says[each.id]} for each in alerts],
            "silences": [asdict(each) for each in silences],
            "deliveries": [asdict(each) for each in (*waiting, *ended)],
        }
        printing.json(told | {"counts": counts})
        return
    show_alerts(alerts, says, silences)
    if silences:
        rows = [(each.pattern, iso(each.until_ms), each.note or "") for each in silences]
        printing.table("Silence", "Until", "Note", rows=rows)
    if waiting or ended:
        headings = ("Notification", "Route", "State", "Attempts", "Due or tried", "Answer")
        printing.table(*headings, rows=[delivery_row(each) for each in (*waiting, *ended)])


def show_alerts(alerts: list[Alert], says: Mapping[str, str], silences: list[Silence]) -> None:
    """A table of alerts, or that there are none."""
    if not alerts:
        typer.echo("no open alerts")
        return
    headings = ("Alert", "State", "Severity", "Rule", "Key", "Since", "Findings", "Message", "Note")
    rows = [
        (
            each.id,
            standing(each, silences),
            each.severity,
            each.rule,
            each.key,
            iso(each.first_ms),
            f"{each.count:,}",
            says[each.id],
            each.note or "",
        )
        for each in alerts
    ]
    printing.table(*headings, rows=rows)


def standing(alert: Alert, silences: list[Silence]) -> str:
    """How an alert stands: ended, acknowledged, silenced, or open."""
    if alert.state != "open":
        return alert.state
    if alert.acked_ms is not None:
        return "acknowledged"
    return "silenced" if any(silence.fits(alert.key) for silence in silences) else "open"


def delivery_row(each: Delivery) -> tuple[str, ...]:
    """A notification as a row of the list."""
    when = each.due_ms if each.state == "waiting" else each.tried_ms
    return each.id, each.route, each.state, f"{each.attempts}", iso(when) if when else "", each.said or ""


def ack(
    alerts: Annotated[list[str], typer.Argument(metavar="ALERT…", help="Ids, as the list shows them.")],
    note: Note = None,
    json: Json = False,
) -> None:
    """Acknowledge open alerts. They are told again only if they get worse, or end and begin anew."""
    with outbox() as box:
        found = {alert.id for alert in box.alerts_where("state = 'open'")}
        if unknown := [id for id in alerts if id not in found]:
            raise QueryError(f"alert {unknown[0]}: not open; shipper alerts list shows those that are")
        box.acknowledge(alerts, now_ms(), note)
    say({"acknowledged": alerts}, f"acknowledged: {', '.join(alerts)}", json)


def silence(
    which: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Which alerts: their key, with * and ?, or one alert's id.")
    ],
    for_: Annotated[str | None, typer.Option("--for", help="How long: 30m, 2h, 1d. Without it or --until, 1h.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, such as 2026-01-31T09:30:00Z.")] = None,
    end: Annotated[bool, typer.Option("--end", help="End the silence of this pattern now.")] = False,
    note: Note = None,
    json: Json = False,
) -> None:
    """Silence alerts for a while: '*' is all. What is still open at its end is told then.

    Example: shipper alerts silence 'high_error_rate|orders*' --for 2h --note 'release 4.2'
    """
    from python_shipper.alerts.outbox import Silence

    now = now_ms()
    if end:
        with outbox() as box:
            pattern = pattern_of(box, which)
            if not box.unsilence(pattern):
                raise QueryError(f"silence {pattern[:80]}: there is none; shipper alerts list shows those that hold")
        say({"ended": pattern}, f"no longer silenced: {pattern}", json)
        return
    until_ms = end_of(for_, until, now)
    with outbox() as box:
        pattern = pattern_of(box, which)
        box.silence(Silence(pattern=pattern, until_ms=until_ms, made_ms=now, note=note))
    say({"pattern": pattern, "until": iso(until_ms)}, f"silenced until {iso(until_ms)}: {pattern}", json)


def pattern_of(box: Outbox, which: str) -> str:
    """The pattern of keys that ``which`` is, or stands for as the id of an alert.

    Raises:
        QueryError: it is empty.
    """
    if not which.strip():
        raise QueryError("silence: expected an alert's id or a pattern of keys such as 'high_error_rate|orders*'")
    alert = box.alert(which)
    return glob.escape(alert.key) if alert else which


def end_of(for_: str | None, until: str | None, now: int) -> int:
    """When a silence ends.

    Raises:
        QueryError: both are given, one is malformed, or the end has passed.
    """
    if for_ is not None and until is not None:
        raise QueryError("--for and --until: give one of them")
    if until is not None:
        end = moment(until, now, "--until")
    else:
        match = AGO.fullmatch(for_ or "1h")
        if match is None:
            raise QueryError(f"--for: expected a span such as 30m, 2h or 1d, got {str(for_)[:80]!r}")
        end = now + int(match[1]) * UNITS_MS[match[2]]
    if end <= now:
        raise QueryError("a silence must end in the future; give --for 2h, or a later --until")
    return end


def test(
    routes: Annotated[list[str] | None, typer.Argument(metavar="[ROUTE]…", help="Which; without any, all.")] = None,
    json: Json = False,
) -> int:
    """Send a test notification by each route of ALERTS_FILE, and say what the far side answered. Exit code 1 if not."""
    from python_shipper.alerts.desk import try_route
    from python_shipper.alerts.rulesfile import load_rules

    settings = Settings.from_environment()
    rules = load_rules(settings.alerts_file)
    if unknown := [name for name in routes or () if name not in rules.routes]:
        raise QueryError(f"route {unknown[0]}: not in {rules.path}; it has {', '.join(rules.routes) or 'none'}")
    if not rules.routes:
        raise QueryError(f"{rules.path}: has no routes; name a file that has some in ALERTS_FILE (docs/alerts.md)")
    chosen = [rules.routes[name] for name in routes or rules.routes]
    answers = [(route, try_route(settings, route)) for route in chosen]
    show_answers(answers, json)
    return 0 if all(answer.taken for _, answer in answers) else 1


def show_answers(answers: list[tuple[Route, Answer]], json: bool) -> None:
    """What each route's far side said."""
    if json:
        found = [{"route": route.name, "type": route.type, **asdict(answer)} for route, answer in answers]
        printing.json(found)
        return
    rows = [
        (route.name, route.type, "taken" if answer.taken else "not taken", answer.said) for route, answer in answers
    ]
    printing.table("Route", "Type", "Result", "Answer", rows=rows)


def say(content: dict[str, Any], words: str, as_json: bool) -> None:
    """What was done."""
    if as_json:
        printing.json(content)
    else:
        typer.echo(printing.visible(words))


@contextmanager
def outbox() -> Iterator[Outbox]:
    """The outbox of DATA_DIR, closed afterwards."""
    from python_shipper.alerts.outbox import Outbox

    box = Outbox(Settings.from_environment().data_dir / "alerts")
    try:
        yield box
    finally:
        box.close()
