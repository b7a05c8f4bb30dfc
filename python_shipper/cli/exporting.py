"""The commands that bring logs elsewhere: backfill."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from python_shipper.cli import printing
from python_shipper.cli.options import Json, Quiet, opened
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import ExportError
from python_shipper.settings import Settings

# What the commands do is imported by them: its packages are an extra, and most commands do without.

if TYPE_CHECKING:
    from python_shipper.exporters.backfill import Report, Summary
    from python_shipper.exporters.elasticsearch import ElasticsearchExporter

PATIENCE_HELP = "Seconds that a destination which is down or overloaded is tried again."
Patience = Annotated[float, typer.Option(min=0, max=86_400, help=PATIENCE_HELP)]


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``."""
    app.command()(backfill)


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
    from python_shipper.exporters.backfill import Progress as Done

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: Done) -> None:
            what = f"{done.lines:,} lines  {printing.visible(done.path)}"
            bar.update(task, completed=done.done_bytes, total=done.total_bytes, description=what)

        yield report
