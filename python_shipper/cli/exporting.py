"""The commands that bring logs elsewhere, and back: backfill, archive, restore."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from python_shipper.cli import printing
from python_shipper.cli.options import Json, Quiet, opened
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import ExportError
from python_shipper.settings import Settings
from python_shipper.store import Store
from python_shipper.units import size

# What the commands do is imported by them: its packages are an extra, and most commands do without.

if TYPE_CHECKING:
    from python_shipper.exporters.archive import Archive, Done, Manifest, Shelf
    from python_shipper.exporters.backfill import Report, Summary
    from python_shipper.exporters.elasticsearch import ElasticsearchExporter

PATIENCE_HELP = "Seconds that a destination which is down or overloaded is tried again."
Patience = Annotated[float, typer.Option(min=0, max=86_400, help=PATIENCE_HELP)]


Format = Literal["parquet", "ndjson"]
DAYS_HELP = "Days in UTC, such as 2026-01-31; without any, all."
Days = Annotated[list[str] | None, typer.Argument(metavar="[DAY]…", help=DAYS_HELP, show_default=False)]
Services = Annotated[list[str] | None, typer.Option("--service", help="Only this service; can be given several times.")]


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``."""
    for function in (backfill, archive, restore):
        app.command()(function)


def backfill(
    paths: Annotated[list[str], typer.Argument(metavar="PATH…", help="Log files, folders of them, or patterns.")],
    without_template: Annotated[
        bool, typer.Option("--without-template", help="Go on although the cluster lacks our index templates.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send what was delivered before once more; ids decide.")
    ] = False,
    patience: Patience = 600,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Send log files to Elasticsearch that nothing shipped. Old, packed (.gz) or from elsewhere; plain or gzip.

    Each line gets the index and id that Filebeat and Logstash would give it: what is stored already is left alone.
    Lines older than the retention become dead letters of the reason `expired`, as there. Ctrl-C stops it, and so does
    any fault; the same command goes on where it was, and once all is delivered does nothing.

    Example: ELASTICSEARCH_URL=https://elastic:…@es.example.com:9200 shipper backfill /var/log/old 'archive/*.ecs.log.*'
    """
    from python_shipper.exporters import backfill as filling
    from python_shipper.exporters.delivery import Deliverer

    files = filling.found(paths)
    with destination(Settings.from_environment()) as (exporter, folder), closing(filling.Backfill(folder)) as run:
        if not without_template:
            exporter.require_templates()
        deliverer = Deliverer(exporter, patience_seconds=patience)
        try:
            with progress(hidden=quiet or json or not sys.stderr.isatty()) as report:
                summary = run.run(files, deliverer, report, again=again)
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped after {run.counts['lines']:,} lines; the same command goes on from there\n")
            raise
    tell(summary, quiet, json)


def archive(
    days: Days = None,
    service: Services = None,
    form: Annotated[Format, typer.Option("--format", help="Form of new files.")] = "parquet",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete each day from the store once its archive was read back.")
    ] = False,
    patience: Patience = 600,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put closed days of the log store into an S3 bucket. As zstd Parquet or NDJSON, with a manifest, read back.

    Without DAY, all days before today (UTC) that the archive has not yet, or that have got late lines since. Where:
    S3_URL=s3://bucket/prefix; credentials as for the AWS command line. Nothing is deleted unless told with --delete.
    """
    from python_shipper.exporters import archive as house

    results: list[Done] = []
    dates = dates_of(days)
    with storehouse(form, patience) as (keeper, logs, shelf):
        found = house.closed(logs, service or (), dates)
        for date, group in itertools.groupby(found, key=lambda each: each[0].date):
            of_day = []
            for partition, documents in group:
                of_day.append(keeper.store(logs, partition, documents, strictly=delete))
                say(of_day[-1], quiet, json)
            if delete:
                shelf.remove(date, {each.index: each.held for each in of_day})
                typer.echo("" if quiet or json else f"{date}: deleted from the store\n", nl=False)
            results += of_day
    if json:
        printing.json([asdict(each) for each in results])
    elif not results and not quiet:
        typer.echo("nothing to archive: the store holds no such day before today (UTC)")


def restore(
    days: Days = None,
    service: Services = None,
    list_: Annotated[bool, typer.Option("--list", help="List what is in the archive, and restore nothing.")] = False,
    patience: Patience = 600,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Restore days from the S3 archive of `shipper archive`. (A backup of the ELK stack: `shipper stack restore`.)

    They come beside what is there, as indices named christmas-restored-logs-<service>-<day>, which no retention
    deletes. Look at them in Kibana, or on either engine with `shipper search --restored`.
    """
    if not days and not service and not list_:
        raise ConfigurationError("restore: name days (2026-01-31) or a --service; --list shows what is in the archive")
    from python_shipper.exporters import archive as house

    results: list[Done] = []
    dates = dates_of(days)
    with storehouse("parquet", patience) as (keeper, _, shelf):
        partitions = house.archived(keeper.bucket, service or (), dates)
        if list_:
            show([keeper.manifest(each) for each in partitions], json)
            return
        if not partitions:
            raise ExportError(f"{keeper.bucket.where}: has no such day; shipper restore --list shows what it has")
        for partition in partitions:
            results.append(keeper.restore(partition, shelf))
            say(results[-1], quiet, json)
    if json:
        printing.json([asdict(each) for each in results])


@contextmanager
def destination(settings: Settings) -> Iterator[tuple[ElasticsearchExporter, Path]]:
    """The Elasticsearch that the environment points at, and the folder of what is remembered about that cluster.

    Raises:
        ConfigurationError: the environment points at the embedded store.
        ExportError: the cluster does not answer.
    """
    from elasticsearch import ApiError, TransportError

    from python_shipper.agent.dead_letters import Spool
    from python_shipper.exporters.backfill import folder_for
    from python_shipper.exporters.elasticsearch import ElasticsearchExporter, said
    from python_shipper.store.elasticsearch import ElasticsearchStore

    with opened(settings) as store:
        if not isinstance(store, ElasticsearchStore):
            raise ConfigurationError(
                "ELASTICSEARCH_URL: not set, and backfill sends to Elasticsearch; set its address (the embedded stack "
                "reads by itself what lies in LOG_DIR)"
            )
        try:
            cluster = store.client.cluster.state(metric="version", filter_path="cluster_uuid")["cluster_uuid"]
        except (ApiError, TransportError) as error:
            raise ExportError(f"Elasticsearch at {store.where}: {said(error)}; check ELASTICSEARCH_URL") from error
        folder = folder_for(settings.data_dir, cluster)
        with closing(ElasticsearchExporter(store.client, store.where, Spool(folder))) as exporter:
            yield exporter, folder


def tell(summary: Summary, quiet: bool, as_json: bool) -> None:
    """What became of all lines.

    Raises:
        ExportError: a file could not be read.
    """
    if as_json:
        printing.json(asdict(summary))
    elif not quiet:
        expired = f", {summary.expired:,} of them expired" if summary.expired else ""
        print(  # noqa: T201
            f"{summary.lines:,} lines of {summary.files:,} {'file' if summary.files == 1 else 'files'}: "
            f"{summary.stored:,} stored, {summary.known:,} there already, "
            f"{summary.dead_letters:,} dead letters{expired}"
        )
    if summary.unreadable:
        path, why = next(iter(summary.unreadable.items()))
        more = f" (and {len(summary.unreadable) - 1} more)" if len(summary.unreadable) > 1 else ""
        raise ExportError(f"{path}: cannot be read: {why}{more}; mend it and run the same command again")


@contextmanager
def progress(hidden: bool) -> Iterator[Report]:
    """A bar on standard error, so that standard output holds the result only."""
    from python_shipper.exporters.backfill import Progress as Far

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: Far) -> None:
            what = f"{done.lines:,} lines  {printing.visible(done.path)}"
            bar.update(task, completed=done.done_bytes, total=done.total_bytes, description=what)

        yield report


@contextmanager
def storehouse(form: str, patience: float) -> Iterator[tuple[Archive, Store, Shelf]]:
    """The archive that S3_URL names, the store that the environment points at, and what may be done to that store.

    Raises:
        ConfigurationError: S3_URL is not set.
        ExportError: the bucket cannot be reached.
    """
    from python_shipper.exporters.archive import Archive, workplace
    from python_shipper.exporters.s3 import Bucket
    from python_shipper.stack.shelves import shelf_of

    settings = Settings.from_environment()
    bucket = Bucket(settings)
    with closing(bucket), opened(settings) as store, workplace(settings.data_dir) as place:
        bucket.check()
        yield Archive(bucket, place, form, patience), store, shelf_of(store, settings, patience)


def dates_of(days: list[str] | None) -> list[str]:
    """The days that were named.

    Raises:
        ConfigurationError: one is none.
    """
    for day in days or ():
        try:
            datetime.strptime(day, "%Y-%m-%d")
        except ValueError:
            raise ConfigurationError(f"{day[:40]}: no day; expected the form 2026-01-31") from None
    return days or []


def show(manifests: Iterable[Manifest], as_json: bool) -> None:
    """What is in the archive."""
    rows = [(m.date, m.service, m.rows, sum(part.bytes for part in m.parts), m.format) for m in manifests]
    names = ("date", "service", "rows", "bytes", "format")
    if as_json:
        printing.json([dict(zip(names, row, strict=True)) for row in rows])
        return
    shown = [(date, service, f"{count:,}", size(taken), form) for date, service, count, taken, form in rows]
    printing.table("Day", "Service", "Lines", "Size", "Format", rows=shown)


def say(done: Done, quiet: bool, as_json: bool) -> None:
    """What was done with one day."""
    if not quiet and not as_json:
        print(f"{done.date} {done.service}: {done.what}, {done.rows:,} lines, {size(done.bytes)} ({done.index})")  # noqa: T201
