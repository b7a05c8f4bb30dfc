"""The options that several commands share, and the settings and store that they work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from python_shipper.settings import Settings
from python_shipper.stack import open_logs
from python_shipper.store import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
QUERY_HELP = "What to look for: words of the message, and fields as in level:error service:orders duration:>0.5"
Query = Annotated[str, typer.Argument(metavar="QUERY", help=QUERY_HELP, show_default=False)]


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Store]:
    """The store that the environment points at, closed afterwards."""
    store = open_logs(settings or Settings.from_environment())
    try:
        yield store
    finally:
        store.close()
