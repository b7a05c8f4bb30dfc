"""The facts of what a store holds, page by page in the order of ids, from either engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from python_shipper.analyzers.batch_lines import WANTED, Fact, fact
from python_shipper.core.clock import iso
from python_shipper.store import LOGS, Store
from python_shipper.store.logs import leaves

PAGE = 10_000  # the most that one answer holds
# A store keeps an event.id that is no ULID, which two documents may share, among what no field takes.
FOREIGN_ID = "christmas.extra.event.id"


def stored_facts(
    store: Store, start_ms: int | None, end_ms: int | None, told: Callable[[int, int], None] | None = None
) -> Iterator[Fact]:
    """The facts of every log line from ``start_ms`` to before ``end_ms``; ``told`` hears how many of how many are done.

    Raises:
        StoreError: the store cannot be read.
    """
    bounds = {name: iso(ms) for name, ms in (("gte", start_ms), ("lt", end_ms)) if ms is not None}
    query: dict[str, Any] = {"range": {"@timestamp": bounds}} if bounds else {"match_all": {}}
    body: dict[str, Any] = {"query": query, "sort": [{"event.id": "asc"}], "size": PAGE, "track_total_hits": True}
    body["_source"] = [*sorted(WANTED), "event.id", "christmas.extra"]
    done, total = 0, None
    while True:
        found = store.search(LOGS, body)["hits"]
        total = found["total"]["value"] if total is None else total
        for hit in found["hits"]:
            fields = dict(leaves(hit["_source"]))
            yield fact(fields | ({"event.id": str(fields[FOREIGN_ID])} if FOREIGN_ID in fields else {}))
        done += len(found["hits"])
        if told:
            told(done, total)
        if len(found["hits"]) < PAGE:
            return
        body |= {"search_after": [found["hits"][-1]["_source"]["event"]["id"]], "track_total_hits": False}
