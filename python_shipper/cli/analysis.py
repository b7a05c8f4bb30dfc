"""The command that reports: analyze."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from python_shipper.cli.options import Quiet, opened
from python_shipper.core.clock import iso, now_ms
from python_shipper.errors import ConfigurationError, QueryError
from python_shipper.store.logs import AGO, UNITS_MS

FORMS = {".json": "json", ".html": "html", ".htm": "html"}  # by the output's suffix, where none is asked for
FOUND = 1
Moment = str | None


def add_to(app: typer.Typer) -> None:
    """Make this function a command of ``app``."""
    app.command()(analyze)


def analyze(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH…", help="Log files, folders or patterns; plain or gzip.", show_default=False),
    ] = None,
    since: Annotated[
        Moment, typer.Option("--from", help="Begin: 1h, 2d ago, or a time such as 2026-01-31T09:30:00Z.")
    ] = None,
    until: Annotated[Moment, typer.Option("--to", help="End, in the same form.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="text, json or html; without it by --output's suffix.")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the report: en or ko.")] = "en",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to this file.")] = None,
    store: Annotated[bool, typer.Option("--store", help="Ask the log store instead of reading files.")] = False,
    max_error_rate: Annotated[
        float, typer.Option(min=0, help="Errors by events above which there is an anomaly.")
    ] = 0.05,
    max_p95_ms: Annotated[
        float, typer.Option(min=0, help="95th percentile of an operation above which there is one.")
    ] = 1000,
    timezone: Annotated[str, typer.Option(help="Zone of times that name none, such as Asia/Seoul.")] = "UTC",
    memory: Annotated[str, typer.Option(help="What the work may take before it spills to disk.")] = "300MB",
    check: Annotated[bool, typer.Option("--check", help="Exit with code 1 where there is an anomaly.")] = False,
    quiet: Quiet = False,
) -> None:
    """Report on log files, or on the store. Events, errors, durations, campaigns, traces, and what is out of bounds.

    \b
    shipper analyze logs                          all services' files in a folder
    shipper analyze 'old/*.log.gz' --from 2d      compared with the two days before
    shipper analyze --store --from 1h -o report.html --lang ko
    """  # noqa: D301 - the backspace is click's mark for a paragraph to leave as it is
    from python_shipper.analyzers.batch import AdLogAnalyzer, zone
    from python_shipper.analyzers.batch_anomalies import Limits
    from python_shipper.analyzers.batch_report import REPORTS
    from python_shipper.analyzers.batch_words import words

    form = form or FORMS.get(output.suffix.lower() if output else "", "text")
    if form not in REPORTS:
        raise ConfigurationError(f"--format: expected {', '.join(REPORTS)}, got {form!r}")
    words(lang)
    if bool(paths) == store:
        raise ConfigurationError("analyze: name log files or folders, or --store for the log store; one of the two")
    if output and not output.absolute().parent.is_dir():
        raise ConfigurationError(f"--output: the folder {output.absolute().parent} does not exist; make it")
    begin, end = moment(since, "--from", zone(timezone)), moment(until, "--to", zone(timezone))
    options: dict[str, Any] = {"limits": Limits(max_error_rate, max_p95_ms), "timezone": timezone, "memory": memory}
    with opened() if store else nullcontext() as found, progress(quiet) as told:
        analyzer = AdLogAnalyzer(paths or None, store=found, told=told, **options)
        results = analyzer.analyze_logs(begin, end)
    report = analyzer.generate_report(results, form, lang)  # type: ignore[arg-type]  # both are checked above
    if output:
        output.write_text(report, encoding="utf-8")
    else:
        sys.stdout.write(report)
    if check and results["anomalies"]:
        raise typer.Exit(FOUND)


def moment(text: str | None, name: str, zone: Any) -> datetime | None:
    """The time that an option means: that long ago, or ISO 8601, in ``zone`` where it names none."""
    if text is None:
        return None
    if ago := AGO.fullmatch(text.strip()):
        return datetime.fromtimestamp(max(0, now_ms() - int(ago[1]) * UNITS_MS[ago[2]]) / 1000, UTC)
    try:
        when = datetime.fromisoformat(text.strip())
        when = when if when.tzinfo else when.replace(tzinfo=zone)
        iso(round(when.timestamp() * 1000))
        return when
    except (ValueError, OverflowError):
        expected = "a span such as 15m, 1h or 2d, or a time such as 2026-01-31T09:30:00Z"
        raise QueryError(f"{name}: expected {expected}, got {text[:80]!r}") from None


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """A bar on standard error while somebody looks at it; gives what to tell how far the work is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("reading", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
