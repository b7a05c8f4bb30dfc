"""Proves that what services wrote is in the store: counts for each service, and the ids of what is not.

What was written is taken from the files alone: each segment's first line says how many lines its slot had written
before, so the last one and the lines in it give the sum, also of segments that are gone. Every line still on disk goes
through the pipeline once more, which gives its id, and the store (either engine) is asked for it. What stood in
segments that are gone is taken from the agent's ledger, or, without one (Elasticsearch), from what else the store holds
of the service; what neither knows of was rotated away unread.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from python_shipper.agent.checkpoint import Ledger, read_ledger
from python_shipper.agent.decode import line_bytes, line_text
from python_shipper.agent.files import log_folders
from python_shipper.agent.pipeline import Pipeline, Source, line_digest
from python_shipper.agent.segment import Counts, Line, Segment, header_of, slot_of
from python_shipper.agent.tail import Tail
from python_shipper.core.clock import now_ms
from python_shipper.core.ulid import hashed_ulid
from python_shipper.settings import Settings
from python_shipper.store import DEAD_LETTERS, LOGS, Store

BATCH = 1000
DEAD = DEAD_LETTERS.removesuffix("*")
SLOT_NUMBER = re.compile(r"\.[0-9]+$")


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """Lines of one service: all that were written, and what became of them; ``missing`` are ids that are nowhere."""

    service: str
    written: int
    stored: int
    dead_lettered: int
    expired: int
    repeated: int
    unread: int
    missing: tuple[str, ...] = ()

    @property
    def difference(self) -> int:
        """Lines that are not accounted for."""
        known = self.stored + self.dead_lettered + self.expired + self.repeated + self.unread
        return self.written - known


@dataclass(slots=True)
class OnDisk:
    """The lines of one service that are still in its files: (id, id as dead letter) by where each belongs."""

    lines: int = 0
    gone_lines: int = 0  # in segments that are no longer there
    segments: set[int] = field(default_factory=set)
    logs: list[tuple[str, str]] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    expired: int = 0
    repeated: int = 0


def verify(settings: Settings, store: Store, patience_seconds: float = 5.0) -> list[ServiceCounts]:
    """Counts for each service, by name; lines under way get ``patience_seconds`` to arrive.

    Raises:
        StoreError: the store or the ledger cannot be read.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        counts = measured(settings, store)
        if time.monotonic() >= deadline or not any(row.difference or row.missing for row in counts):
            return counts
        time.sleep(0.5)


def measured(settings: Settings, store: Store) -> list[ServiceCounts]:
    """One look at files, ledger and store, in this order, so that what is under way shows as missing, never as more."""
    services = on_disk(settings)
    ledger = read_ledger(settings.data_dir)
    past = [*(s.path for s in ledger.segments), *ledger.slots] if ledger else []
    names = set(services) | set(map(service_of, past))
    return [counted(name, services.get(name, OnDisk()), ledger, store) for name in sorted(names)]


def on_disk(settings: Settings) -> dict[str, OnDisk]:
    """What the log files hold, by service."""
    ticks = itertools.count(0, 60)
    tail = Tail(log_folders(settings), monotonic=lambda: float(next(ticks)))  # nothing here is waited for
    services, enter = defaultdict[str, OnDisk](OnDisk), entering(Pipeline(), now_ms())
    with closing(tail):
        for segment, lines in read_all(tail):
            service = services[service_of(segment.path)]
            service.segments.add(segment.number)
            for line in lines:
                enter(service, line.raw, Source(segment.path, segment.fingerprint, line.offset))
    for slot, gone in gone_lines(tail.segments.values()).items():
        services[service_of(slot)].gone_lines += gone
    return services


def read_all(tail: Tail) -> Iterator[tuple[Segment, list[Line]]]:
    """All lines of all files, chunk by chunk; counts them, and takes note of headers."""
    for _ in range(2):  # a file too short for a fingerprint is taken at the second look
        tail.scan()
        while ready := tail.ready():
            for segment in ready:
                lines = tail.read(segment)
                if lines and lines[0].offset == 0:
                    segment.header = header_of(lines[0].raw)
                segment.counts.lines += len(lines)
                yield segment, lines


def gone_lines(segments: Iterable[Segment]) -> dict[str, int]:
    """Slot → lines in segments that are no longer there, by the newest header of those that are."""
    present, written = Counter[str](), Counter[str]()
    for segment in segments:
        present[segment.slot] += segment.counts.lines
        if segment.header:
            total = segment.header.lines + segment.counts.lines
            written[segment.slot] = max(written[segment.slot], total)
    return {slot: max(0, total - present[slot]) for slot, total in written.items()}


def entering(pipeline: Pipeline, at_ms: int) -> Callable[[OnDisk, bytes, Source], None]:
    """A function that enters a line under where it belongs, and knows which ids it has seen."""
    seen: set[tuple[str, str]] = set()

    def enter(service: OnDisk, raw: bytes, source: Source) -> None:
        index, letter, document = pipeline.process(raw, source, at_ms)
        service.lines += 1
        if (index, letter) in seen:
            service.repeated += 1
        elif not index.startswith(DEAD):
            service.logs.append((letter, hashed_ulid(line_digest(source, line_text(line_bytes(raw))), None)))
        elif document["christmas"]["dead_letter"]["reason"] == "expired":
            service.expired += 1
        else:
            service.letters.append(letter)
        seen.add((index, letter))

    return enter


def counted(name: str, disk: OnDisk, ledger: Ledger | None, store: Store) -> ServiceCounts:
    """The counts of one service, from what is on disk, in the ledger and in the store."""
    logs = found(store, LOGS, [letter for letter, _ in disk.logs])
    others = [pair for pair in disk.logs if pair[0] not in logs]
    letters = found(store, DEAD_LETTERS, [*disk.letters, *(letter for _, letter in others)])
    missing = [letter for letter, as_letter in others if as_letter not in letters]
    missing += [letter for letter in disk.letters if letter not in letters]
    gone = disk.gone_lines
    past = gone_by_ledger(name, disk, ledger) if ledger else gone_by_store(name, len(logs), len(letters), store, gone)
    dropped = max(0, sum(dropped_of(name, ledger)) - disk.expired) if ledger else 0
    expired = min(past.stored, dropped)
    return ServiceCounts(
        service=name,
        written=disk.lines + max(gone, past.lines),
        stored=len(logs) + past.stored - expired,
        dead_lettered=len(letters) + past.dead_letters,
        expired=disk.expired + expired,
        repeated=disk.repeated + past.known,
        unread=max(0, gone - past.lines),
        missing=tuple(missing),
    )


def gone_by_ledger(name: str, disk: OnDisk, ledger: Ledger) -> Counts:
    """What the agent made of the segments that are no longer on disk."""
    parts = [s.counts for s in ledger.segments if s.number not in disk.segments and service_of(s.path) == name]
    parts += [counts for slot, counts in ledger.slots.items() if service_of(slot) == name]
    names = ("lines", "stored", "known", "dead_letters")
    return Counts(*(sum(getattr(part, column) for part in parts) for column in names))


def gone_by_store(name: str, logs: int, letters: int, store: Store, gone: int) -> Counts:
    """The same without a ledger: what the store holds of the service beyond what is on disk, at most all of it."""
    stored = min(gone, max(0, count(store, f"christmas-logs-{name}-*", {"match_all": {}}) - logs))
    of_service = {"term": {"service.name": name}}
    dead = min(gone - stored, max(0, count(store, DEAD_LETTERS, of_service) - letters))
    return Counts(lines=stored + dead, stored=stored, dead_letters=dead)


def dropped_of(name: str, ledger: Ledger) -> Iterator[int]:
    """The documents of the service's indices that retention has dropped."""
    pattern = re.compile(re.escape(f"christmas-logs-{name}-") + r"[0-9.]+")
    return (stored for index, (stored, dropped) in ledger.indices.items() if dropped and pattern.fullmatch(index))


def found(store: Store, index: str, ids: Sequence[str]) -> set[str]:
    """Which of the ids are in the indices."""
    present: set[str] = set()
    for batch in batches(ids):
        body = {"query": {"ids": {"values": batch}}, "size": len(batch), "_source": False, "track_total_hits": False}
        present.update(hit["_id"] for hit in store.search(index, body)["hits"]["hits"])
    return present


def count(store: Store, index: str, query: Mapping[str, object]) -> int:
    """How many documents match."""
    body = {"query": query, "size": 0, "track_total_hits": True}
    return int(store.search(index, body)["hits"]["total"]["value"])


def batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """The ids in lists of at most ``BATCH``."""
    remaining = iter(ids)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


def service_of(path: str) -> str:
    """The service whose slot a file is: ``orders`` for ``orders.1.ecs.log.000007``."""
    return SLOT_NUMBER.sub("", slot_of(path))
