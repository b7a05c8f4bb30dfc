"""The destination down in mid-stream, 429, 503, lost and partial answers, and kill -9 of the exporter, all at once.

Near side and far side hold the same ids at the end, each once. Short here; FAULTS=long is two minutes of outage and ten
kills.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.agent.segment import HEAD
from python_shipper.core.clock import now_ms
from python_shipper.core.ulid import new_ulid
from tests.dashboard.sample import NOON, document
from tests.exporters.cluster import Cluster
from tests.exporters.conftest import BUCKET
from tests.exporters.proxy import FailingProxy, failing
from tests.exporters.test_archive import DAY_MS, NOW, archived, objects, stored, write
from tests.exporters.test_backfill import SERVICE, event
from tests.stack import elasticsearch as engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
LONG = os.environ.get("FAULTS") == "long"
KILLS = 10 if LONG else 2
OUTAGE_SECONDS = 120.0 if LONG else 1.0
LINES = 60_000 if LONG else 2_000
RATE = 300 if LONG else 1_000
BACKFILLED = 250_000 if LONG else 5_000
ROWS = 4_000 if LONG else 500
BULK_BYTES = 8_000 if LONG else 1_000
BULK_FAULTS = ["429", "503", "500", "drop", "lost", "truncated", "partial", "slow"]
S3_FAULTS = ["500", "503", "drop", "lost", "truncated", "slow"]


@contextmanager
def outage(proxy: FailingProxy, starts: Callable[[], bool]) -> Iterator[None]:
    """The proxy's server is away once ``starts`` is true, for ``OUTAGE_SECONDS`` and until somebody has felt it."""
    stop = threading.Event()

    def strike() -> None:
        while not starts() and not stop.wait(0.02):
            pass
        proxy.down, over_at = True, time.monotonic() + OUTAGE_SECONDS
        while not stop.wait(0.02) and (time.monotonic() < over_at or not proxy.struck["down"]):
            pass
        proxy.down = False

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def killed_and_finished(command: list[str], alive_seconds: tuple[float, float], progress: Callable[[], int]) -> None:
    """Run ``command`` until ``KILLS`` kills have struck it, each a while after ``progress``; then to its end.

    One that finds nobody at its start says so and ends; it is started again, as whoever runs it would.
    """
    kills, finished = 0, False
    while kills < KILLS and not finished:
        before = progress()
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and progress() == before:
                time.sleep(0.02)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(*alive_seconds))
            kills += process.poll() is None
            finished = process.poll() == 0
            process.kill()
    assert kills == KILLS, f"it was done after {kills} kills"
    deadline = time.monotonic() + OUTAGE_SECONDS + 300
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < deadline, done.stderr[-2000:]
        time.sleep(0.5)


def source_lines(path: Path, lines: int = LINES) -> dict[str, str]:
    """A file of good lines and rubbish; id → index of each, as the pipeline decides."""
    with path.open("wb") as file:
        for number in range(lines):
            file.write(b"not json %b\n" % new_ulid().encode() if number % 500 == 250 else event(number))
    content = path.read_bytes()
    expected, offset, fingerprint = {}, 0, sha256(content[:HEAD]).hexdigest()
    for raw in content.splitlines(keepends=True):
        routed = Pipeline().process(raw, Source(str(path), fingerprint, offset), now_ms())
        expected[routed.id] = routed.index
        offset += len(raw)
    return expected


@pytest.fixture
def cluster(elasticsearch: engine.Server) -> Iterator[Cluster]:
    with closing(Cluster(elasticsearch, SERVICE)) as cluster:
        yield cluster


@pytest.fixture
def bulk(elasticsearch: engine.Server) -> Iterator[FailingProxy]:
    with failing(elasticsearch.url, elasticsearch.authority) as proxy:
        proxy.where, proxy.likely, proxy.chance = "_bulk", BULK_FAULTS, 0.25 if LONG else 0.1
        yield proxy


def assert_same(cluster: Cluster, expected: dict[str, str]) -> None:
    """The far side holds the ids of the near side, each once, in their index."""
    logs = {each: index for each, (index, _) in cluster.documents().items()}
    letters = {each: index for each, (index, _) in cluster.documents("christmas-dead-letters-*").items()}
    assert logs == {each: index for each, index in expected.items() if "dead-letters" not in index}
    assert {each: index for each, index in expected.items() if "dead-letters" in index}.items() <= letters.items()


def test_a_stream_through_a_spool(cluster: Cluster, bulk: FailingProxy, tmp_path: Path) -> None:
    source, count = tmp_path / "source", tmp_path / "count"
    expected = source_lines(source)
    bulk.planned.extend(each for fault in random.sample(BULK_FAULTS, len(BULK_FAULTS)) for each in (fault, None))

    def put() -> int:
        return int(count.read_text()) if count.exists() else 0

    command = [sys.executable, "-m", "tests.exporters.sender", str(source), str(tmp_path), cluster.address(bulk.url)]
    with outage(bulk, lambda: put() > LINES // 10):
        killed_and_finished([*command, str(RATE)], (2, 25) if LONG else (0.2, 1.5), put)
    assert bulk.struck["down"] > 0
    assert [fault for fault in BULK_FAULTS if not bulk.struck[fault]] == []
    assert_same(cluster, expected)


def test_a_backfill(cluster: Cluster, bulk: FailingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source.log"
    expected = source_lines(source, BACKFILLED)
    bulk.slow_seconds = 1.0
    bulk.planned.extend(["slow"] * KILLS)  # so that it is not done before the last kill
    monkeypatch.setenv("ELASTICSEARCH_URL", cluster.address(bulk.url))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    command = [sys.executable, "-m", "python_shipper", "backfill", str(source), "--quiet"]
    with outage(bulk, lambda: bulk.asked > 3):
        killed_and_finished(command, (1, 6) if LONG else (0.1, 1.0), lambda: bulk.asked)
    assert bulk.struck["down"] > 0
    assert_same(cluster, expected)


def test_an_archive_and_back(s3: Any, s3_proxy: FailingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "data"
    for days_ago in range(1, 5):
        write(data_dir, [document(NOON - days_ago * DAY_MS + n, f"s{n % 2}", f"{n}") for n in range(ROWS)])
    bulky = [document(NOON - DAY_MS + n, "bulky", os.urandom(BULK_BYTES).hex()) for n in range(1_500)]
    write(data_dir, bulky)
    expected = stored(data_dir)
    for name, text in {
        "DATA_DIR": data_dir, "SHIPPER_NOW": NOW, "S3_URL": f"s3://{BUCKET}/logs", "S3_ENDPOINT_URL": s3_proxy.url
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(text))
    s3_proxy.where, s3_proxy.likely, s3_proxy.chance = f"{BUCKET}/logs", S3_FAULTS, 0.2
    command = [sys.executable, "-m", "tests.exporters.archiver"]
    with outage(s3_proxy, lambda: s3_proxy.asked > 20):
        killed_and_finished([*command, "archive"], (1, 18) if LONG else (0.2, 1.5), lambda: s3_proxy.asked)
    assert s3_proxy.struck["down"] > 0
    assert archived(s3, tmp_path) == expected
    named = {f"{key.rpartition('/')[0]}/{part['name']}" for key, found in manifests(s3) for part in found["parts"]}
    assert {key for key in objects(s3) if not key.endswith(".json")} == named
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    s3_proxy.slow_seconds = 1.0
    s3_proxy.planned.extend(["slow"] * 3 * KILLS)  # so that it is not done before the last kill
    killed_and_finished([*command, "restore"], (0.2, 2) if LONG else (0.2, 1), lambda: s3_proxy.asked)
    assert stored(data_dir, "christmas-restored-*") == expected == stored(data_dir)


def manifests(s3: Any) -> list[tuple[str, Any]]:
    return [(key, json.loads(content)) for key, content in objects(s3).items() if key.endswith(".json")]
