"""Weeks of a compressed clock: days open, close and expire, and the agent needs no more memory or files than at first.

The short form has half a second a day, ``FAULTS=long`` 33 seconds: 20 minutes.
"""

import os
import signal
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from python_shipper.core.clock import iso
from python_shipper.core.names import day
from python_shipper.core.ulid import new_ulid
from python_shipper.store import LOGS
from python_shipper.store.tantivy import TantivyStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

DAYS, KEPT, DAY_MS = 36, 30, 86_400_000
WARM_DAYS = 10
SERVICES = ("orders", "gateway", "ads")
LINES_PER_SECOND = 300
SEGMENTS = 5


@dataclass
class Clock:
    """A day takes ``day_seconds``, from noon of the first."""

    start: float
    start_ms: int
    day_seconds: float

    @property
    def ms(self) -> int:
        return self.start_ms + int((time.time() - self.start) * DAY_MS / self.day_seconds)


@dataclass(frozen=True)
class Use:
    """What a process has of the machine."""

    kb: int
    files: int

    @classmethod
    def of(cls, pid: int) -> "Use":
        status = Path(f"/proc/{pid}/status").read_text()
        return cls(int(status.partition("RssAnon:")[2].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir())))


class Writer:
    """Services whose files are rotated once a day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self.files = {name: self.path(name).open("ab", buffering=0) for name in SERVICES}
        self.written: Counter[str] = Counter()

    def path(self, name: str, suffix: str = "") -> Path:
        return self.folder / f"{name}.ecs.log{suffix}"

    def write(self, ms: int) -> None:
        """A line of each service."""
        for name, file in self.files.items():
            event = {"@timestamp": iso(ms), "event": {"id": new_ulid(ms)}, "log.level": "info", "ecs.version": "9.4.0"}
            event |= {"message": f"order {ms} executed", "service": {"name": name}, "trace": {"id": f"{ms:032x}"}}
            file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            self.written[day(ms)] += 1

    def rotate(self) -> None:
        """Close each segment, and delete the one before the last few."""
        self.number += 1
        for name, file in self.files.items():
            file.close()
            self.path(name).rename(self.path(name, f".{self.number:06d}"))
            self.path(name, f".{self.number - SEGMENTS:06d}").unlink(missing_ok=True)
            self.files[name] = self.path(name).open("ab", buffering=0)


def stored(store: TantivyStore) -> Counter[str]:
    """Documents by day."""
    days: Counter[str] = Counter()
    for index in store.indices(LOGS):
        days[index.name[-10:]] += index.documents
    return days


def test_weeks_go_by(ground, rounds):
    noon = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
    clock = Clock(time.time(), noon, rounds(1, 66) / 2)
    pid = ground.start(f"clock={clock.start!r} {clock.start_ms} {clock.day_seconds}")
    writer, used, own = Writer(ground.settings.log_dir), [], []
    with closing(TantivyStore.open(ground.settings.data_dir)) as store:
        for number in range(DAYS):
            until_ms = noon + number * DAY_MS + DAY_MS // (2 if number < DAYS - 1 else 6)  # the last day stays young
            while (ms := clock.ms) < until_ms:
                writer.write(ms)
                time.sleep(len(SERVICES) / LINES_PER_SECOND)
            writer.rotate()
            assert number < WARM_DAYS or store.search(LOGS, {"size": 1})["hits"]["hits"]
            used.append(Use.of(pid))
            own.append(Use.of(os.getpid()))
            print(f"day {number}: agent {used[-1]}, reader {own[-1]}, {writer.written.total()} lines", flush=True)
        kept = {name: writer.written[name] for name in sorted(writer.written)[-KEPT:]}
        ground.end(signal.SIGTERM)  # its clock stops: no further day expires
        ground.start(f"now={iso(until_ms - 1)}")
        deadline = time.monotonic() + 30
        while stored(store) != kept:
            assert time.monotonic() < deadline, set(stored(store).items()) ^ set(kept.items())
            time.sleep(0.1)
    for uses in (used, own):
        warm, last = uses[WARM_DAYS : DAYS // 2], uses[-WARM_DAYS:]
        assert max(use.files for use in last) <= max(use.files for use in warm) + 40
        assert max(use.kb for use in last) <= max(use.kb for use in warm) * 1.15 + 8_000
