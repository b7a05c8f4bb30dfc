"""Takes lines from the files into the store, each exactly once, and survives being killed at any moment.

The order of a turn, which is what everything rests on:

1. read a chunk of lines (the position moves in memory only)
2. the pipeline makes a document of each, with an id that comes out the same whenever the line is read
3. raw bytes of dead letters → spool, committed
4. documents → the store's writer, which ignores ids that it holds already
5. some turns later: the store commits
6. then positions and counts → checkpoint, in one transaction

Killed before 5, nothing was stored; killed between 5 and 6, or in the middle of 5 when some days are committed and
others not, the store is ahead of the checkpoint. Either way the next start reads on from the checkpoint's positions,
and the store's ids decide what is new: nothing is lost, nothing is twice. Lines below the store's own mark for their
segment (``Writer.watermarks``) that it knows are this segment's own, and counted as stored, not as repeated.

A store that lost a day (damaged, or deleted by hand) holds fewer documents than the checkpoint remembers. Then all
segments still on disk are read from their beginnings. Without a checkpoint the same happens.

Any fault (disk full, read-only, out of file descriptors) is treated like a crash: everything is closed and opened
again, so there is one way of recovery, and it is the tested one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

from python_shipper.agent.checkpoint import Checkpoint
from python_shipper.agent.dead_letters import PREFIX, Letter, Spool, adder, replay_asked
from python_shipper.agent.files import log_folders
from python_shipper.agent.outrun import outrun
from python_shipper.agent.pipeline import DAY_MS, Pipeline, Routed, Source, policy_days
from python_shipper.agent.segment import Line, Segment, header_of
from python_shipper.agent.services import Services
from python_shipper.agent.tail import Tail
from python_shipper.core.clock import now_ms
from python_shipper.errors import StoreError
from python_shipper.settings import Settings
from python_shipper.store.days import Day, day_of
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Committed, Writer

COMMIT_SECONDS = 0.25
BEHIND_COMMIT_SECONDS = 4.0  # a commit costs 0.1 s and a merge later: a backlog is read faster with fewer
BEHIND_BYTES = 8_000_000
TOGETHER = 64  # lines that go all the way before the next: what they are made of stays in the processor's caches
MOST_UNCOMMITTED = 25_000  # lines; the writer keeps them in memory until they are committed
SCAN_SECONDS = 1.0
POLL_SECONDS = 0.1
RATE_SECONDS = 10.0
TELL_SECONDS = 10.0
RECENT_DAYS = 4  # a crash leaves no more days than the writer holds open ahead of the checkpoint
KEPT_HERE = "christmas-*,-christmas-restored-*"  # restored days come and go by hand
COUNTS = ("lines", "stored", "known", "dead_letters", "cut")

log = logging.getLogger(__name__)


class Ingest:
    """The way of a line between two openings of the store.

    Raises:
        StoreError: the store, the spool or the checkpoint cannot be used.
    """

    def __init__(self, settings: Settings, committed: Committed | None = None) -> None:
        self.data_dir, self.limit_bytes = settings.data_dir, settings.store_max_bytes
        self.pipeline = Pipeline()
        with ExitStack() as stack:
            self.writer = stack.enter_context(closing(Writer(self.data_dir, committed)))
            self.checkpoint = stack.enter_context(closing(Checkpoint(self.data_dir)))
            self.spool = stack.enter_context(closing(Spool(self.data_dir)))
            self.marks: dict[int, int] = {}
            days = self.writer.kept()
            for day in days if self.checkpoint.rebuilt else days[-RECENT_DAYS:]:
                self.mark(day)
            for folder in self.writer.set_aside:
                log.error("%s was damaged and is set aside; what is still in log files is read again", folder)
            self.set_aside = len(self.writer.set_aside)
            self.tail = stack.enter_context(closing(Tail(log_folders(settings), self.recovered())))
            self.resources = stack.pop_all()
        self.past = self.checkpoint.folded()
        self.services = Services(self.kept_indices())
        self.uncommitted = 0
        self.queue: deque[Segment] = deque()
        self.totals: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()  # index → documents since the last commit
        self.told = outrun(self.tail.segments.values())
        self.committed_at = self.scanned_at = self.told_at = time.monotonic()
        self.rates: deque[tuple[float, int]] = deque(maxlen=60)

    def recovered(self) -> list[Segment]:
        """The segments with the positions from which to read on; see the module's docstring."""
        ends = {segment.number: segment.offset for segment in self.checkpoint.load()}
        held = self.held()
        remembered = self.checkpoint.indices()
        lost = [name for name, (stored, dropped) in remembered.items() if not dropped and held.get(name, 0) < stored]
        if lost:
            self.say_lost(lost)
            self.checkpoint.rewind()
        self.checkpoint.set_indices(held | {name: held.get(name, 0) for name in lost})
        segments = self.checkpoint.load()
        for segment in segments:
            segment.reread_until = max(ends[segment.number], self.marks.get(segment.number, 0))
        return segments

    def held(self) -> dict[str, int]:
        """Index name → documents that the store holds; damaged days are set aside by the writer before."""
        with closing(TantivyStore.open(self.data_dir)) as store:
            try:
                return {index.name: index.documents for index in store.indices(KEPT_HERE)}
            except StoreError:
                for day in self.writer.kept():
                    self.mark(day)
                return {index.name: index.documents for index in store.indices(KEPT_HERE)}

    def say_lost(self, lost: list[str]) -> None:
        """Say which indices have lost documents, and what is done about it."""
        names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        log.error("%s: documents of %s are missing; what is still in log files is read again", self.data_dir, names)

    def mark(self, day: Day) -> None:
        """Learn from one day of the store how far each segment's lines are committed."""
        self.writer.guarded(lambda: self.writer.opened(day))
        self.marks |= {n: end for n, end in self.writer.watermarks().items() if end > self.marks.get(n, 0)}

    def turn(self) -> bool:
        """Read, route and add what there is, commit when it is time; whether there was anything to read."""
        self.look()
        # One chunk of each before a second of any: a backlog does not keep back what is written now.
        self.queue = self.queue or deque(self.tail.ready())
        busy, at_ms = bool(self.queue), now_ms()
        while self.queue and not self.is_due(BEHIND_COMMIT_SECONDS):
            segment = self.queue.popleft()
            if self.tail.attached.get(segment.key) is segment:
                self.take(segment, self.tail.read(segment), at_ms)
        if self.is_due(COMMIT_SECONDS) and (not self.is_behind() or self.is_due(BEHIND_COMMIT_SECONDS)):
            self.commit()
        return busy

    def is_behind(self) -> bool:
        """Whether so much is unread that the number of commits matters more than when a line can be found."""
        return self.tail.lag()[0] > BEHIND_BYTES

    def look(self) -> None:
        """See what has grown, and once a second (or when asked) what has come and gone."""
        self.tail.poll()
        now = time.monotonic()
        if self.tail.rescan or now - self.scanned_at >= SCAN_SECONDS:
            self.tail.scan()
            self.scanned_at = now
        if now - self.told_at >= TELL_SECONDS:
            self.tell_unread()
            self.told_at = now

    def take(self, segment: Segment, lines: Sequence[Line], at_ms: int) -> None:
        """Route ``lines`` of ``segment`` and add them to the store."""
        if not lines:
            return
        if lines[0].offset == 0:
            segment.header = header_of(lines[0].raw)
        if not segment.counts.lines:  # new here, but perhaps not new to the store
            segment.reread_until = max(segment.reread_until, self.marks.get(segment.number, 0))
        for start in range(0, len(lines), TOGETHER):
            documents = [(self.routed(segment, line, at_ms), line) for line in lines[start : start + TOGETHER]]
            self.add(segment, self.spooled(segment, documents, at_ms), at_ms)
        segment.counts.lines += len(lines)
        self.totals["lines"] += len(lines)
        self.uncommitted += len(lines)

    def routed(self, segment: Segment, line: Line, at_ms: int) -> Routed:
        """The document of one line."""
        return self.pipeline.process(line.raw, Source(segment.path, segment.fingerprint, line.offset), at_ms)

    def spooled(self, segment: Segment, documents: list[tuple[Routed, Line]], at_ms: int) -> list[tuple[Routed, Line]]:
        """The documents, after the raw bytes of dead letters among them have been kept."""
        places = [place for place, (routed, _) in enumerate(documents) if routed.index.startswith(PREFIX)]
        if places:
            letters = [
                Letter(line.raw, Source(segment.path, segment.fingerprint, line.offset), routed)
                for routed, line in (documents[place] for place in places)
            ]
            for place, routed in zip(places, self.spool.keep(letters, at_ms), strict=True):
                documents[place] = (routed, documents[place][1])
        return documents

    def add(self, segment: Segment, documents: list[tuple[Routed, Line]], at_ms: int) -> None:
        """Add documents to the store and count what became of them, by index and by whether they were read before."""
        groups: dict[tuple[str, bool], list[tuple[Routed, Line]]] = {}
        for routed, line in documents:
            groups.setdefault((routed.index, line.end <= segment.reread_until), []).append((routed, line))
        for (index, reread), group in groups.items():
            added = self.writer.add([(index, r.id, r.document, segment.number, line.end) for r, line in group])
            self.stored[index] += added.stored
            self.count(segment, index, added.stored + (added.known if reread else 0), 0 if reread else added.known)
            self.totals["differing"] += added.differing
            if added.refused:
                self.refuse(segment, [group[position] for position, _ in added.refused], at_ms)

    def refuse(self, segment: Segment, refused: list[tuple[Routed, Line]], at_ms: int) -> None:
        """Make dead letters of documents that the store did not take."""
        again = []
        for routed, line in refused:
            source = Source(segment.path, segment.fingerprint, line.offset)
            again.append((self.pipeline.refused(line.raw, source, routed.index, at_ms), line))
        self.add(segment, self.spooled(segment, again, at_ms), at_ms)

    def count(self, segment: Segment, index: str, stored: int, known: int) -> None:
        """Enter documents into the segment's counts and this run's totals."""
        kind = "dead_letters" if index.startswith(PREFIX) else "stored"
        setattr(segment.counts, kind, getattr(segment.counts, kind) + stored)
        segment.counts.known += known
        self.totals[kind] += stored
        self.totals["known"] += known

    def is_due(self, seconds: float) -> bool:
        """Whether there is something to commit, and the last commit was ``seconds`` or ``MOST_UNCOMMITTED`` ago."""
        if self.uncommitted >= MOST_UNCOMMITTED:
            return True
        return bool(self.tail.changed) and time.monotonic() - self.committed_at >= seconds

    def commit(self) -> None:
        """Commit the store, then save positions and counts.

        Raises:
            StoreError: the store cannot be written, or a day was found damaged: the next start reads it again.
        """
        if len(self.writer.set_aside) > self.set_aside:
            raise StoreError(f"{self.writer.set_aside[-1]} was damaged and is set aside; its lines are read again")
        self.writer.commit()
        self.checkpoint.save(self.tail.changed, self.stored, now_ms())
        self.services.add(self.stored)
        self.tail.changed.clear()
        self.stored.clear()
        self.uncommitted = 0
        self.committed_at = time.monotonic()
        self.rates.append((self.committed_at, self.totals["lines"]))

    def tell_unread(self) -> None:
        """Say it when lines were rotated away faster than they were read."""
        for slot, lines in outrun(self.tail.segments.values()).items():
            if lines > self.told[slot]:
                log.error("%s: %d lines were rotated away unread; raise LOG_BACKUP_COUNT or LOG_MAX_BYTES", slot, lines)
            self.told[slot] = lines

    def keep_house(self, at_ms: int) -> None:
        """Drop what is past retention: whole days of the store, spooled bytes, and what is known of files long gone."""
        crowded = self.writer.drop_beyond(self.limit_bytes, at_ms)
        if crowded:
            log.error(
                "the store passed STORE_MAX_BYTES: dropped %d days of logs, the oldest %s",
                len(crowded),
                crowded[0].date,
            )
        days = {*self.writer.drop_expired(at_ms), *crowded}
        dropped = [name for name in self.kept_indices() if day_of(name) in days]
        self.checkpoint.drop_indices(dropped)
        if dropped:
            self.services = Services(self.kept_indices())
        before_ms = at_ms - (policy_days() + 1) * DAY_MS
        self.spool.expire(before_ms)
        for number in self.checkpoint.forget(before_ms):
            self.tail.segments.pop(number, None)
        self.past = self.checkpoint.folded()
        if dropped:
            log.info("retention dropped %d indices: %s", len(dropped), ", ".join(sorted(dropped)[:5]))

    def kept_indices(self) -> list[str]:
        """The indices that retention has not dropped."""
        return [name for name, (_, dropped) in self.checkpoint.indices().items() if not dropped]

    def replay(self, at_ms: int) -> None:
        """Replay dead letters that someone has asked for."""
        done = replay_asked(self.spool, self.pipeline, adder(self.writer), at_ms)
        if done.replayed + done.still:
            log.info("replayed %d dead letters, %d are dead letters still", done.replayed, done.still)

    def close(self) -> None:
        """Close everything; what was not committed is read again by the next."""
        self.resources.close()

    def status(self) -> dict[str, Any]:
        """Lag, rate and counts (since the checkpoint began), callable from another thread."""
        lag_bytes, lag_seconds = self.tail.lag()
        segments, past = list(self.tail.segments.values()), self.past
        return {
            "lag_bytes": lag_bytes,
            "lag_seconds": round(lag_seconds, 3),
            "lines_per_second": round(self.rate(), 1),
            **{f"{name}_total": past[name] + sum(getattr(s.counts, name) for s in segments) for name in COUNTS},
            "differing_total": self.totals["differing"],
            "unread_lines": sum(outrun(segments).values()),
            "lost_bytes": self.tail.lost_bytes,
            "services": len(self.services.names),
            "files": len(self.tail.attached),
            "open_files": len(self.tail.open),
            "unreadable": dict(self.tail.troubles),
            "dead_letters_full": self.spool.full,
            "spool_bytes": self.spool.bytes,
        }

    def rate(self) -> float:
        """Lines a second over the last commits of ten seconds."""
        now = time.monotonic()
        recent = [(at, lines) for at, lines in list(self.rates) if now - at <= RATE_SECONDS]
        return (self.totals["lines"] - recent[0][1]) / (now - recent[0][0]) if recent else 0.0
