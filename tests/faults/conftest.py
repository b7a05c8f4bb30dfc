"""Traffic, agents that can be killed, and the oracle: ids and content of the files against those of the store."""

import dataclasses
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from python_shipper.agent.verify import ServiceCounts, verify
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import StoreError
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore

LONG = os.environ.get("FAULTS") == "long"
ALL = "christmas-*"
PAGE = 5000


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Traffic:
    """Services that log at a rate: our own emission with quick rotation, and a foreign file with bad lines too."""

    def __init__(self, settings: Settings, services: tuple[str, ...] = ("orders", "gateway")) -> None:
        self.settings = settings
        self.handlers = [FilesHandler(name, settings.log_dir, daily=False, settings=settings) for name in services]
        self.stopping = threading.Event()
        self.written = 0
        self.foreign = 0
        self.thread: threading.Thread | None = None

    def log(self, text: str) -> None:
        """One line by one of the services."""
        handler = self.handlers[self.written % len(self.handlers)]
        handler.handle(logging.LogRecord("faults", logging.INFO, __file__, 1, text, None, None))
        self.written += 1

    def log_foreign(self) -> None:
        """A line of a file that is not ours: without id, of yesterday, not JSON, or repeated."""
        now = datetime.now(UTC) - timedelta(days=self.foreign % 2)
        line = json.dumps({"timestamp": iso(now), "service": "legacy", "message": f"foreign {self.foreign}"})
        with (self.settings.log_dir / "legacy.ecs.log").open("a") as file:
            file.write((f"rubbish {self.foreign}" if self.foreign % 10 == 7 else line) + "\n")
        self.foreign += 1

    def start(self, lines_per_second: int) -> None:
        """Log in the background, until stopped."""

        def run() -> None:
            began = time.monotonic()
            while not self.stopping.is_set():
                behind = (time.monotonic() - began) * lines_per_second - self.written
                for _ in range(min(int(behind), 1000)):  # a machine too slow for the rate must still end
                    self.log(f"order {self.written} executed {'x' * random.randrange(200)}")
                    if self.written % 10 == 0:
                        self.log_foreign()
                time.sleep(0.01)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def stop(self) -> None:
        """No more lines."""
        self.stopping.set()
        if self.thread:
            self.thread.join()
            self.thread = None

    def close(self) -> None:
        """Stop, and close the files."""
        self.stop()
        for handler in self.handlers:
            handler.close()


class Ground:
    """Folders, agents, and what can be said about them."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.settings = dataclasses.replace(
            Settings(),
            **({"log_dir": root / "logs", "data_dir": root / "data", "log_backup_count": 100_000} | settings),
        )
        self.settings.log_dir.mkdir()
        self.settings.data_dir.mkdir()
        self.errors = root / "agents.txt"
        self.nursery: subprocess.Popen[str] | None = None
        self.pid: int | None = None

    def start(self, fault: str = "") -> int:
        """Fork an agent."""
        if self.nursery is None:
            given = json.dumps({"log_dir": str(self.settings.log_dir), "data_dir": str(self.settings.data_dir)})
            command = [sys.executable, str(Path(__file__).with_name("agents.py")), given]
            with self.errors.open("w") as errors:
                self.nursery = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        assert self.nursery.stdin and self.nursery.stdout
        self.nursery.stdin.write(fault + "\n")
        self.nursery.stdin.flush()
        self.pid = int(self.nursery.stdout.readline())
        return self.pid

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the agent, and wait until it is gone."""
        if self.pid is not None and self.alive():
            os.kill(self.pid, how)
        try:
            until(lambda: not self.alive())
        except AssertionError:
            os.kill(self.pid, signal.SIGUSR1)  # it writes down where its threads are
            time.sleep(1)
            raise AssertionError(f"the agent does not end:\n{self.errors.read_text()}") from None
        self.pid = None

    def alive(self) -> bool:
        """Whether the agent runs."""
        return self.pid is not None and Path(f"/proc/{self.pid}").exists()

    def lines(self) -> Iterator[bytes]:
        """All lines that stand in the files."""
        for path in sorted(self.settings.log_dir.glob("*.ecs.log*")):
            yield from path.read_bytes().splitlines()

    def expected(self) -> tuple[dict[str, str], Counter[str], Counter[str]]:
        """From the files: id → hash of the content; messages of lines without id; lines that are no JSON."""
        named, unnamed, rubbish = {}, Counter[str](), Counter[str]()
        for line in self.lines():
            try:
                event = json.loads(line)
            except ValueError:
                rubbish[line.decode()] += 1
                continue
            if "event" in event:
                named[event["event"]["id"]] = content(event)
            else:
                unnamed[event["message"]] += 1
        return named, unnamed, rubbish

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything in the store: (index, document)."""
        store, found, after = TantivyStore.open(self.settings.data_dir), [], None
        while True:
            body: dict[str, Any] = {"size": PAGE, "sort": [{"event.id": "asc"}]} | (
                {"search_after": after} if after else {}
            )
            hits = store.search(ALL, body)["hits"]["hits"]
            found += [(hit["_index"], hit["_source"]) for hit in hits]
            if len(hits) < PAGE:
                store.close()
                return found
            after = hits[-1]["sort"]

    def count(self) -> int:
        """Documents in the store; none while it cannot be read."""
        store = TantivyStore.open(self.settings.data_dir)
        try:
            return int(store.search(ALL, {"size": 0, "track_total_hits": True})["hits"]["total"]["value"])
        except StoreError:
            return 0
        finally:
            store.close()

    def stores(self, lines: int = 100) -> None:
        """Wait until the agent has stored so many lines more: only then it is surely at work."""
        before = self.count()
        until(lambda: self.count() >= before + lines, 120)

    def says(self, words: str) -> bool:
        """Whether an agent has said that."""
        return words in self.errors.read_text()

    def verified(self, patience_seconds: float = 30.0) -> list[ServiceCounts]:
        """What `shipper verify` says."""
        store = TantivyStore.open(self.settings.data_dir)
        try:
            return verify(self.settings, store, patience_seconds)
        finally:
            store.close()

    def assert_all_is_well(self) -> None:
        """With an agent running: everything arrives, once, unchanged, and a fresh line is accepted."""
        named, unnamed, rubbish = self.expected()
        total = len(named) + sum(unnamed.values()) + sum(rubbish.values())
        until(lambda: self.count() >= total, 120)
        documents = self.documents()
        letters = [d for index, d in documents if index.startswith("christmas-dead-letters-")]
        logs = [d for index, d in documents if index.startswith("christmas-logs-")]
        assert Counter(d["message"] for d in letters) == rubbish
        stored = {d["event"]["id"]: content(d) for d in logs if d["event"]["id"] in named}
        assert stored == named
        others = Counter(d["message"] for d in logs if d["event"]["id"] not in named)
        assert others == unnamed
        assert len(documents) == total, "duplicates"
        rows = self.verified()
        assert [(row.service, row.difference, row.missing, row.unread) for row in rows] == [
            (row.service, 0, (), 0) for row in rows
        ]
        self.assert_accepts(total)

    def assert_accepts(self, before: int) -> None:
        """A fresh line arrives."""
        event = {"@timestamp": iso(datetime.now(UTC)), "message": "fresh", "event": {"id": new_ulid()}}
        with (self.settings.log_dir / "fresh.ecs.log").open("a") as file:
            file.write(json.dumps(event | {"service": {"name": "fresh"}, "labels": {"pad": "x" * 100}}) + "\n")
        until(lambda: self.count() == before + 1)

    def close(self) -> None:
        """End all processes."""
        self.end()
        if self.nursery:
            assert self.nursery.stdin and self.nursery.stdout
            self.nursery.stdin.close()
            self.nursery.wait()
            self.nursery.stdout.close()


def content(event: dict[str, Any]) -> str:
    """A hash of what a line says, without where it was read."""
    log = {name: value for name, value in event.get("log", {}).items() if name not in ("file", "offset")}
    text = json.dumps({**event, "log": log}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def make_ground(tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    """Makes folders with settings of their own."""
    grounds: list[Ground] = []

    def make(**settings: Any) -> Ground:
        grounds.append(Ground(tmp_path, **settings))
        return grounds[-1]

    yield make
    for ground in grounds:
        ground.close()


@pytest.fixture
def make_traffic() -> Iterator[Callable[..., Traffic]]:
    """Makes services."""
    made: list[Traffic] = []

    def make(ground: Ground, services: tuple[str, ...]) -> Traffic:
        made.append(Traffic(ground.settings, services))
        return made[-1]

    yield make
    for traffic in made:
        traffic.close()


@pytest.fixture
def ground(make_ground: Callable[..., Ground]) -> Ground:
    """Folders with quick rotation: a segment holds some 60 lines."""
    return make_ground(log_max_bytes=30_000)


@pytest.fixture
def traffic(ground: Ground, make_traffic: Callable[..., Traffic]) -> Traffic:
    """Services of that ground."""
    return make_traffic(ground, ("orders", "gateway"))


@pytest.fixture
def rounds() -> Callable[[int, int], int]:
    """How often: the first number in short, the second under FAULTS=long."""
    return lambda short, long: long if LONG else short
