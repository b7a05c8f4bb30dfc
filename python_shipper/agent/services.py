"""Counts the services that have log indices, and says when they are too many.

Whoever writes a log file chooses the service's name, and each name is an index a day: one that holds an id would make
thousands. ``LOG_SERVICES`` stops that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from python_shipper.contract import contract

HEAD, DATE_CHARACTERS = "christmas-logs-", len("-yyyy.mm.dd")

log = logging.getLogger(__name__)


class Services:
    """The services with an index in the store, by the index's part that stands for them."""

    def __init__(self, indices: Iterable[str]) -> None:
        self.names: set[str] = set()
        self.told = False
        self.add(indices)

    def add(self, indices: Iterable[str]) -> None:
        """Count the services of ``indices`` (names of any family), and say it once when they pass the limit."""
        self.names |= {name[len(HEAD) : -DATE_CHARACTERS] for name in indices if name.startswith(HEAD)}
        most = contract().limits.service_names
        if len(self.names) > most and not self.told:
            said = "%d services have log indices, above %d; name those that shall have their own in LOG_SERVICES"
            log.error(said, len(self.names), most)
            self.told = True
