"""Closed days of the log store as files in a bucket, and back: what is in the archive is proved before anything goes.

``service=<name>/date=<yyyy-mm-dd>/part-00000-<hash>.parquet``, with ``_manifest.json`` beside it (engines that read
such folders pass over names that begin with ``_``). A manifest is replaced by one PUT, after all the parts that it
names were read back; parts that no manifest names are deleted after that. So whoever is killed in between leaves the
day as it was, or as it is to be, and the next run finishes.

A day is archived again when its store holds other lines than its manifest says (late ones). Then the archive's lines
and the store's are united by id: also where the store's day had been deleted, and holds the late ones only.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

from python_shipper.core.clock import now_ms
from python_shipper.core.names import day
from python_shipper.exporters import ExportError
from python_shipper.exporters.delivery import DEFAULT, Deliverer, Limits, patiently
from python_shipper.exporters.parquet import FORMATS, Contents, Row, Table, rows_of
from python_shipper.exporters.s3 import Bucket, Object, S3Exporter, Written
from python_shipper.exporters.spool import locked

LOGS = re.compile(r"christmas-logs-(.+)-([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
PARTITION = re.compile(r"service=([a-z0-9][a-z0-9_-]{0,63})/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/_manifest\.json")
MANIFEST = "_manifest.json"
VERSION = 1
PAGE = 5_000
ROWS_A_PART = 1_000_000
DOWNLOADS = 2
WORK = "work-"
T = TypeVar("T")


class Index(Protocol):
    """An index as a store lists it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def documents(self) -> int:
        """How many documents it holds."""


class Logs(Protocol):
    """What is asked of a log store, of either engine."""

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A `_search` response."""

    def indices(self, pattern: str = ...) -> Sequence[Index]:
        """The indices that match."""


class Shelf(Protocol):
    """What an archive does to a log store; the engines differ in it."""

    def remove(self, date: str, indices: Mapping[str, int]) -> None:
        """Delete the archived indices of a day, unless one holds another number of documents by now.

        Raises:
            ShipperError: one does, or they cannot be deleted.
        """

    def restore(self, service: str, date: str, rows: Iterable[Sequence[Row]]) -> str:
        """Store documents where no retention deletes them; the name of their index."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One service's UTC day (``yyyy-mm-dd``)."""

    service: str
    date: str

    @property
    def folder(self) -> str:
        """Where its objects are, below the prefix."""
        return f"service={self.service}/date={self.date}/"

    @property
    def index(self) -> str:
        """The name of its index."""
        return f"christmas-logs-{self.service}-{self.date.replace('-', '.')}"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a day, as the manifest names it; ``name`` is within the day's folder."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a day's archive consists of."""

    service: str
    date: str
    index: str
    format: str
    rows: int
    first_id: str | None
    last_id: str | None
    ids_sha256: str
    parts: tuple[Part, ...]
    version: int = VERSION

    @property
    def contents(self) -> Contents:
        """What a table of its rows would say of itself."""
        return Contents(self.rows, self.first_id, self.last_id, self.ids_sha256)

    @classmethod
    def read(cls, bucket: Bucket, partition: Partition) -> Manifest | None:
        """The manifest of a day; None where it is not in the archive.

        Raises:
            ExportError: it is none that this version can read.
        """
        content = bucket.read(partition.folder + MANIFEST)
        if content is None:
            return None
        where = f"{bucket.where}{partition.folder}{MANIFEST}"
        try:
            found = orjson.loads(content)
            manifest = cls(**{**found, "parts": tuple(Part(**part) for part in found["parts"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ExportError(
                f"{where}: is no manifest ({error}); look at it, and delete it to archive anew"
            ) from error
        if manifest.version != VERSION or manifest.format not in FORMATS:
            raise ExportError(f"{where}: written by another version; read it with that one")
        return manifest


@dataclass(frozen=True, slots=True)
class Done:
    """One day: archived, unchanged or restored; its rows and bytes in the archive, and the lines the store held."""

    service: str
    date: str
    index: str
    what: str
    rows: int
    bytes: int
    held: int = 0


def closed(logs: Logs, services: Sequence[str] = (), dates: Sequence[str] = ()) -> list[tuple[Partition, int]]:
    """The store's days before today (UTC) with their number of lines, oldest first; of these services and dates."""
    today = day(now_ms()).replace(".", "-")
    found = []
    for index in logs.indices("christmas-logs-*"):
        match = LOGS.fullmatch(index.name)
        if match and index.documents:
            partition = Partition(match[1], f"{match[2]}-{match[3]}-{match[4]}")
            if partition.date < today and wanted(partition, services, dates):
                found.append((partition, index.documents))
    return sorted(found, key=lambda each: (each[0].date, each[0].service))


def archived(bucket: Bucket, services: Sequence[str] = (), dates: Sequence[str] = ()) -> list[Partition]:
    """The days in the archive, oldest first; of these services and dates."""
    under = f"service={services[0]}/" if len(services) == 1 else "service="
    matches = (PARTITION.fullmatch(key) for key in bucket.keys(under))
    found = [Partition(match[1], match[2]) for match in matches if match]
    return sorted((each for each in found if wanted(each, services, dates)), key=lambda each: (each.date, each.service))


def wanted(partition: Partition, services: Sequence[str], dates: Sequence[str]) -> bool:
    """Whether a day is among those asked for."""
    return (not services or partition.service in services) and (not dates or partition.date in dates)


@dataclass(slots=True)
class Archive:
    """The way from a store to a bucket and back.

    Args:
        bucket: Where the archive is.
        place: A folder with room for the largest day, this run's own.
        format: Of new files: parquet or ndjson.
        patience_seconds: How long a bucket that does not answer is tried again; None: for ever.
        rows_a_part: The most rows of one file.
        limits: Pauses between attempts.
    """

    bucket: Bucket
    place: Path
    format: str = "parquet"
    patience_seconds: float | None = None
    rows_a_part: int = ROWS_A_PART
    limits: Limits = DEFAULT

    def store(self, logs: Logs, partition: Partition, documents: int, *, strictly: bool = False) -> Done:
        """Archive one day of the store, which holds ``documents`` lines; a day that is archived already is left alone.

        ``strictly``, as a deletion needs it, reads every line of the day and of its archive and compares them.

        Raises:
            ExportError: the bucket refuses, or stays away.
            StoreError: the store cannot be read.
        """
        manifest = self.patiently(lambda: Manifest.read(self.bucket, partition))
        if manifest and not strictly and looks_same(logs, partition, documents, manifest):
            return done(manifest, "unchanged", documents)
        with self.room() as room, closing(Table(room)) as table:
            table.add(lines_of(logs, partition.index))
            held = table.contents()
            if manifest and (strictly or held != manifest.contents):
                for part in manifest.parts:
                    table.add_file(self.fetch(manifest, part, room), manifest.format)
            united = table.contents()
            if manifest and united == manifest.contents:
                return done(manifest, "unchanged", held.rows)
            return done(self.write(table, partition, united), "archived", held.rows)

    def write(self, table: Table, partition: Partition, contents: Contents) -> Manifest:
        """Write, send and read back a day's files, then replace its manifest, then delete what it does not name."""
        self.patiently(lambda: self.bucket.abort_uploads(partition.folder))
        exporter = S3Exporter(self.bucket)
        objects: list[Object] = []
        for number, (path, rows) in enumerate(table.parts(self.format, self.rows_a_part)):
            key = f"{partition.folder}part-{number:05}-{{}}.{FORMATS[self.format][0]}"
            objects.append(exporter.encode(Written(key, path, rows)))
        if sum(each.rows for each in objects) != contents.rows:
            raise ExportError(f"{partition.index}: the files hold other rows than the table; nothing was sent")
        Deliverer(exporter, self.limits, patience_seconds=self.patience_seconds).deliver(objects)
        parts = tuple(
            Part(each.id.removeprefix(partition.folder), each.rows, each.size, each.sha256) for each in objects
        )
        manifest = Manifest(
            partition.service, partition.date, partition.index, self.format, contents.rows, contents.first_id,
            contents.last_id, contents.ids_sha256, parts,
        )  # fmt: skip
        content = orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2)
        self.patiently(lambda: self.bucket.write(partition.folder + MANIFEST, content))
        kept = {partition.folder + MANIFEST, *(each.id for each in objects)}
        for key in self.patiently(lambda: list(self.bucket.keys(partition.folder))):
            if key not in kept:
                self.patiently(lambda key=key: self.bucket.delete(key))  # type: ignore[misc]
        return manifest

    def restore(self, partition: Partition, shelf: Shelf) -> Done:
        """Bring one day of the archive into a store, under a name that no retention deletes.

        Raises:
            ExportError: the day is not in the archive, or not whole.
            ShipperError: the store does not take it.
        """
        manifest = self.manifest(partition)
        with self.room() as room:
            paths = [self.fetch(manifest, part, room) for part in manifest.parts]
            rows = (some for path in paths for some in rows_of(path, manifest.format))
            index = shelf.restore(partition.service, partition.date, rows)
        return replace(done(manifest, "restored", manifest.rows), index=index)

    def manifest(self, partition: Partition) -> Manifest:
        """What the archive has of a day.

        Raises:
            ExportError: nothing.
        """
        found = self.patiently(lambda: Manifest.read(self.bucket, partition))
        if found is None:
            raise ExportError(f"{self.bucket.where}{partition.folder}: not in the archive; see shipper restore --list")
        return found

    def fetch(self, manifest: Manifest, part: Part, room: Path) -> Path:
        """One file of a day's archive, as its manifest says it is.

        Raises:
            ExportError: it is not.
        """
        path, key = room / part.name, Partition(manifest.service, manifest.date).folder + part.name
        for _ in range(DOWNLOADS):
            if self.patiently(lambda: self.bucket.download(key, path)) == part.sha256:
                return path
        raise ExportError(f"{self.bucket.where}{key}: is not what its manifest says; restore that object's version")

    def patiently(self, step: Callable[[], T]) -> T:
        """A step, again and again while the bucket does not answer."""
        return patiently(step, self.limits, self.patience_seconds)

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A folder for one day's files."""
        with tempfile.TemporaryDirectory(prefix=WORK, dir=self.place) as room:
            yield Path(room)


@contextmanager
def workplace(data_dir: Path) -> Iterator[Path]:
    """The folder of an archive's work, this process's own; what a killed one left is deleted.

    Raises:
        StoreLockedError: another process archives or restores.
    """
    folder = data_dir / "exports" / "archive"
    lock = locked(folder)
    try:
        for left in folder.glob(f"{WORK}*"):
            shutil.rmtree(left)
        yield folder
    finally:
        os.close(lock)


def done(manifest: Manifest, what: str, held: int) -> Done:
    """What was done with a manifest's day."""
    size = sum(part.bytes for part in manifest.parts)
    return Done(manifest.service, manifest.date, manifest.index, what, manifest.rows, size, held)


def lines_of(logs: Logs, index: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document of an index with its id, by id."""
    after: dict[str, Any] = {}
    while True:
        body = {"query": {"match_all": {}}, "size": PAGE, "sort": [{"event.id": "asc"}], "track_total_hits": False}
        hits = logs.search(index, body | after)["hits"]["hits"]
        yield from ((hit["_id"], hit["_source"]) for hit in hits)
        if len(hits) < PAGE:
            return
        after = {"search_after": hits[-1]["sort"]}


def looks_same(logs: Logs, partition: Partition, documents: int, manifest: Manifest) -> bool:
    """Whether number, first and last id of a day are those in its manifest."""
    if documents != manifest.rows:
        return False
    ends = []
    for order in ("asc", "desc"):
        body = {"query": {"match_all": {}}, "size": 1, "sort": [{"event.id": order}], "_source": False}
        ends += [hit["_id"] for hit in logs.search(partition.index, body)["hits"]["hits"]]
    return ends == [manifest.first_id, manifest.last_id]
