"""What an archive does to a log store of either engine: delete an archived day, restore one beside what is there.

Restored days are ``christmas-restored-logs-<service>-<yyyy.MM.dd>``, as those of ``shipper stack restore``: no pattern
of a retention matches that name. In the embedded store they have a family of their own, ``DATA_DIR/store/restored/``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date as calendar_date
from pathlib import Path
from typing import Any

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError

from python_shipper.agent.checkpoint import Checkpoint
from python_shipper.agent.pipeline import Source
from python_shipper.errors import StackError, StoreLockedError
from python_shipper.exporters import ExportError, Line
from python_shipper.exporters.archive import Shelf
from python_shipper.exporters.delivery import Deliverer
from python_shipper.exporters.elasticsearch import Document, ElasticsearchExporter, said
from python_shipper.exporters.parquet import Row
from python_shipper.exporters.spool import locked
from python_shipper.settings import Settings
from python_shipper.stack.backup import RESTORED
from python_shipper.store import Store
from python_shipper.store.days import Day, store_root
from python_shipper.store.elasticsearch import ElasticsearchStore
from python_shipper.store.retention import on_hold
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer

LATE = "lines have come since it was archived; nothing of this day was deleted, archive again"


def restored_index(service: str, date: str) -> str:
    """The name of a restored day."""
    return f"{RESTORED}logs-{service}-{date.replace('-', '.')}"


class Returning(ElasticsearchExporter):
    """Stores documents that were stored before: what is refused now is a fault of the index, not a dead letter."""

    def refused(self, refusals: Sequence[tuple[Document, str]]) -> list[Document]:
        """Stop at the first."""
        item, why = refusals[0]
        raise ExportError(f"{item.index}: refused the restored document {item.id}: {why}")


@dataclass(frozen=True, slots=True)
class ElasticsearchShelf:
    """The :class:`~python_shipper.exporters.archive.Shelf` of a cluster."""

    client: Elasticsearch
    where: str
    patience_seconds: float | None = None

    def remove(self, date: str, indices: Mapping[str, int]) -> None:
        """See :meth:`python_shipper.exporters.archive.Shelf.remove`; nobody writes between count and delete."""
        try:
            for index, documents in indices.items():
                self.client.indices.add_block(index=index, block="write")
                self.client.indices.refresh(index=index)
                if self.client.count(index=index)["count"] != documents:
                    self.client.indices.put_settings(index=index, settings={"index.blocks.write": None})
                    raise StackError(f"{index}: {LATE}")
                self.client.indices.delete(index=index)
        except (ApiError, TransportError) as error:
            raise StackError(f"Elasticsearch at {self.where}: {said(error)}") from error

    def restore(self, service: str, date: str, rows: Iterable[Sequence[Row]]) -> str:
        """See :meth:`python_shipper.exporters.archive.Shelf.restore`; mapped as logs are, without their lifecycle."""
        index = restored_index(service, date)
        try:
            if not self.client.indices.exists(index=index):
                self.create(index, f"christmas-logs-{service}-{date.replace('-', '.')}")
            deliverer = Deliverer(Returning(self.client, self.where), patience_seconds=self.patience_seconds)
            for some in rows:
                deliverer.deliver(returned(index, row) for row in some)
            self.client.indices.refresh(index=index)
        except (ApiError, TransportError) as error:
            raise StackError(f"Elasticsearch at {self.where}: {said(error)}") from error
        return index

    def create(self, index: str, like: str) -> None:
        """Make an index as the template makes one named ``like``."""
        resolved: Any = self.client.indices.simulate_index_template(name=like)["template"]
        settings = dict(resolved.get("settings", {}).get("index", {}))
        settings.pop("lifecycle", None)
        self.client.indices.create(index=index, settings={"index": settings}, mappings=resolved.get("mappings"))


def returned(index: str, row: Row) -> Document:
    """A document on its way back."""
    body = row.document.encode()
    return Document(index, row.id, body, Line(body, Source(index, "", 0), 0))


@dataclass(frozen=True, slots=True)
class EmbeddedShelf:
    """The :class:`~python_shipper.exporters.archive.Shelf` of the embedded store."""

    data_dir: Path

    def remove(self, date: str, indices: Mapping[str, int]) -> None:
        """See :meth:`python_shipper.exporters.archive.Shelf.remove`; this store deletes whole days only."""
        try:
            writer = Writer(self.data_dir)
        except StoreLockedError:
            raise StackError(
                f"{date}: archived, and not deleted, since the running stack writes the store; shipper down, then again"
            ) from None
        with closing(writer):
            day = Day(calendar_date.fromisoformat(date), "logs")
            if on_hold(day.folder(store_root(self.data_dir))):
                raise StackError(f"{date}: archived, and not deleted, since a file .hold in its folder forbids that")
            with closing(TantivyStore.open(self.data_dir)) as store:
                there = {each.name: each.documents for each in store.indices(f"christmas-logs-*{day.suffix}")}
            if others := sorted(there.keys() - indices.keys()):
                what = f"whole days only are deleted, and it also holds {others[0]}"
                raise StackError(f"{date}: {what}; archive that service too")
            if there != dict(indices):
                raise StackError(f"{date}: {LATE}")
            writer.drop(day)
        with closing(Checkpoint(self.data_dir)) as checkpoint:
            checkpoint.drop_indices(indices)

    def restore(self, service: str, date: str, rows: Iterable[Sequence[Row]]) -> str:
        """See :meth:`python_shipper.exporters.archive.Shelf.restore`; made aside and moved in: the stack may run."""
        index = restored_index(service, date)
        aside = self.data_dir / "exports" / "restoring"
        lock = locked(aside)
        try:
            shutil.rmtree(store_root(aside), ignore_errors=True)
            day = Day(calendar_date.fromisoformat(date), "restored")
            made, target = day.folder(store_root(aside)), day.folder(store_root(self.data_dir))
            if target.exists():  # other services of that day
                shutil.copytree(target, made)
            with closing(Writer(aside)) as writer:
                for some in rows:
                    added = writer.add([(index, row.id, orjson.loads(row.document), 0, 0) for row in some])
                    if added.refused:
                        raise StackError(f"{index}: refused a restored document: {added.refused[0][1]}")
                    writer.commit()
            swap(made, target)
            shutil.rmtree(store_root(aside))
        finally:
            os.close(lock)
        return index


def swap(made: Path, target: Path) -> None:
    """Put a folder in the place of another, which is deleted."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.exists():
        target.rename(made.with_name("replaced"))
    made.rename(target)


def shelf_of(store: Store, settings: Settings, patience_seconds: float | None = None) -> Shelf:
    """The shelf of an open store; a cluster that is away is tried again for ``patience_seconds``."""
    if isinstance(store, ElasticsearchStore):
        return ElasticsearchShelf(store.client, store.where, patience_seconds)
    return EmbeddedShelf(settings.data_dir)
