"""Weeks of a compressed clock: days open, close and expire, and the agent needs no more memory or files than at first.

The test moves the clock. Each day it waits until the agent has stored all lines and dropped what expired, and looks
only then: how far a busy machine lets the agent fall behind is no matter. What is compared is the least memory of some
days, which a leak raises and a merge under way does not. The short form writes half a second a day, ``FAULTS=long`` 33
seconds: 20 minutes.
"""

import os
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
WARM, LAST = slice(12, 20), slice(DAYS - 8, DAYS)
SERVICES = ("orders", "gateway", "ads")
LINES_PER_SECOND = 300
SEGMENTS = 5


class Clock:
    """A clock in a file, which the agent reads."""

    def __init__(self, path: Path, ms: int) -> None:
        self.path = path
        self.set(ms)

    def set(self, ms: int) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(iso(ms))
        new.replace(self.path)


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


def settled(store: TantivyStore, kept: dict[str, int]) -> None:
    """Wait until the store holds just that."""
    deadline = time.monotonic() + 120
    while (found := stored(store)) != kept:
        assert time.monotonic() < deadline, set(found.items()) ^ set(kept.items())
        time.sleep(0.05)


def test_weeks_go_by(ground, rounds, tmp_path):
    noon = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
    clock, steps = Clock(tmp_path / "clock", noon), rounds(50, 3300)
    pid = ground.start(f"clock={clock.path}")
    writer, used, own = Writer(ground.settings.log_dir), [], []
    with closing(TantivyStore.open(ground.settings.data_dir)) as store:
        for number in range(DAYS):
            for step in range(steps):
                ms = noon + number * DAY_MS + step * DAY_MS // steps
                clock.set(ms)
                writer.write(ms)
                time.sleep(len(SERVICES) / LINES_PER_SECOND)
            writer.rotate()
            settled(store, {name: writer.written[name] for name in sorted(writer.written)[-KEPT:]})
            assert store.search(LOGS, {"size": 1})["hits"]["hits"]
            used.append(Use.of(pid))
            own.append(Use.of(os.getpid()))
            print(f"day {number}: agent {used[-1]}, reader {own[-1]}, {writer.written.total()} lines", flush=True)
    for uses in (used, own):
        assert max(use.files for use in uses[LAST]) <= max(use.files for use in uses[WARM]) + 40
        assert min(use.kb for use in uses[LAST]) <= min(use.kb for use in uses[WARM]) * 1.15 + 16_000
    assert max(use.kb for use in used) < 400_000
