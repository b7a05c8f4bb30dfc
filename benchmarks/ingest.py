"""File to searchable on the embedded stack: CPU a line by stage beside raw tantivy, memory, disk, and delay under load.

    pip install -r benchmarks/requirements.txt
    python benchmarks/ingest.py [--lines 1000000] [--seconds 20] [--json FILE]

Every stage runs in a process of its own over the same files (five services, ECS lines of about 470 bytes, masking on);
CPU is user plus system time of that process. The floor is tantivy indexing the very same normalised documents: rows are
built from dicts, added, and committed every 50,000, with one thread; reading, parsing, masking and looking for known
ids are not in it. The delay is from a line's write to the first
search that finds it, at 5,000 lines a second, asked every 10 ms.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import tantivy

from python_shipper.agent import Agent
from python_shipper.agent.ingest import Ingest
from python_shipper.agent.pipeline import Pipeline, Routed, Source
from python_shipper.agent.segment import Line, Segment
from python_shipper.agent.tail import Tail
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.settings import Settings
from python_shipper.store import LOGS, analysis
from python_shipper.store.columns import columns, tantivy_schema
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import HEAP_BYTES

SERVICES = ("orders", "gateway", "analysis-engine", "ads", "auth")
WORDS = (
    "order",
    "executed",
    "after",
    "risk",
    "check",
    "for",
    "venue",
    "retry",
    "queue",
    "confirmed",
    "partial",
    "fill",
)
BATCH = 50_000


def line(rng: random.Random, ms: int, service: str) -> bytes:
    """One ECS line as our emission writes it."""
    text = " ".join(rng.choices(WORDS, k=9))
    event = {
        "@timestamp": iso(ms),
        "log.level": rng.choices(("info", "warning", "error"), (90, 7, 3))[0],
        "message": f"{text} account ***{rng.randrange(10_000):04d}",
        "ecs.version": "9.4.0",
        "service": {"name": service, "version": "1.4.2"},
        "event": {"id": new_ulid(ms), "module": "engine", "action": "order_executed", "duration": rng.randrange(10**9)},
        "log": {"logger": f"{service}.engine"},
        "trace": {"id": f"{rng.getrandbits(128):032x}"},
        "user": {"id": f"user_{rng.randrange(5000)}"},
        "christmas": {"order": {"id": f"o{rng.randrange(10**7)}"}, "extra": {"attempt": 1, "venue": "XKRX"}},
    }
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def write_files(folder: Path, count: int) -> int:
    """Write the lines, in segments of 10 MB; the bytes written."""
    folder.mkdir()
    rng, start, total = random.Random(7), now_ms() - 3_600_000, 0
    files = {name: (folder / f"{name}.ecs.log").open("wb") for name in SERVICES}
    closed = 0
    for number in range(count):
        service = SERVICES[number % len(SERVICES)]
        total += files[service].write(line(rng, start + number * 3_000_000 // count, service))
        if files[service].tell() > 10_000_000:
            closed += 1
            files[service].close()
            (folder / f"{service}.ecs.log").rename(folder / f"{service}.ecs.log.{closed:06d}")
            files[service] = (folder / f"{service}.ecs.log").open("wb")
    for file in files.values():
        file.close()
    return total


def chunks(settings: Settings) -> Iterator[tuple[Segment, list[Line]]]:
    """What the tail reads, to the end."""
    tail = Tail([settings.log_dir])
    tail.scan()
    while ready := tail.ready():
        for segment in ready:
            yield segment, tail.read(segment)


def routed(settings: Settings) -> Iterator[Routed]:
    """What the pipeline makes of it."""
    pipeline = Pipeline()
    for segment, lines in chunks(settings):
        for each in lines:
            yield pipeline.process(each.raw, Source(segment.path, segment.fingerprint, each.offset), now_ms())


def tail_only(settings: Settings) -> float:
    """CPU seconds to read all lines."""
    before = time.process_time()
    for _ in chunks(settings):
        pass
    return time.process_time() - before


def tail_and_pipeline(settings: Settings) -> float:
    """CPU seconds to read, normalise, mask and route all lines."""
    before = time.process_time()
    for _ in routed(settings):
        pass
    return time.process_time() - before


def raw_tantivy(settings: Settings) -> float:
    """CPU seconds of tantivy alone for the same documents, routed beforehand batch by batch."""
    folder = settings.data_dir / "raw"
    folder.mkdir(parents=True)
    index = tantivy.Index(tantivy_schema(), str(folder))
    index.register_tokenizer(analysis.NAME, analysis.splitter())
    writer = index.writer(HEAP_BYTES, 1)
    documents, spent = routed(settings), 0.0
    while batch := list(islice(documents, BATCH)):
        before = time.process_time()
        for r in batch:
            writer.add_document(columns(r.index, r.document, orjson.dumps(r.document), 1, 1))
        writer.commit()
        spent += time.process_time() - before
    before = time.process_time()
    writer.wait_merging_threads()
    return spent + time.process_time() - before


def file_to_searchable(settings: Settings) -> float:
    """CPU seconds of the whole way: tail, pipeline, store, commits, checkpoint."""
    before = time.process_time()
    ingest = Ingest(settings)
    while ingest.turn() or ingest.tail.changed:
        pass
    ingest.close()
    return time.process_time() - before


def in_child(stage: Callable[[Settings], float], settings: Settings) -> tuple[float, float, float]:
    """CPU seconds, seconds and peak memory in MB of a stage, in a process of its own."""
    reader, writer = os.pipe()
    began = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.write(writer, json.dumps(stage(settings)).encode())
        os._exit(0)
    os.close(writer)
    spent = json.loads(os.read(reader, 100))
    os.close(reader)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    return spent, time.perf_counter() - began, usage.ru_maxrss / 1024


def delays(settings: Settings, seconds: float, rate: int) -> list[float]:
    """Seconds from write to found, of one line every 0.2 s among ``rate`` lines a second."""
    settings.log_dir.mkdir()
    pid = os.fork()
    if not pid:
        Agent(settings).start()
        time.sleep(seconds + 30)
        os._exit(0)
    rng, found, waiting, store = random.Random(3), [], {}, TantivyStore.open(settings.data_dir)
    files = [(settings.log_dir / f"{name}.ecs.log").open("ab", buffering=0) for name in SERVICES]
    began, written, probes = time.perf_counter(), 0, 0.0
    while (now := time.perf_counter() - began) < seconds or (waiting and now < seconds + 10):
        while written < now * rate and now < seconds:
            files[written % 5].write(line(rng, now_ms(), SERVICES[written % 5]))
            written += 1
        if now - probes > 0.2 and now < seconds:
            probes, mark = now, line(rng, now_ms(), "orders")
            files[0].write(mark)
            waiting[orjson.loads(mark)["event"]["id"]] = time.perf_counter()
        if waiting:
            body: dict[str, Any] = {"query": {"ids": {"values": list(waiting)}}, "size": 100, "_source": False}
            for hit in store.search(LOGS, body)["hits"]["hits"]:
                found.append(time.perf_counter() - waiting.pop(hit["_id"]))
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert not waiting, f"{len(waiting)} lines never came"
    return sorted(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report = measured(Path(temporary), asked)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


def measured(root: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run every stage and print its row."""
    settings = dataclasses.replace(Settings(), log_dir=root / "logs", data_dir=root / "data")
    size = write_files(settings.log_dir, asked.lines)
    print(f"{asked.lines:,} lines of {size / asked.lines:.0f} bytes, masking on, {os.cpu_count()} cores")
    print(f"{'stage':<22}{'lines/CPU s':>12}{'lines/s':>12}{'µs CPU/line':>13}{'peak MB':>9}")
    report: dict[str, Any] = {"lines": asked.lines, "bytes": size}
    for stage in (tail_only, tail_and_pipeline, raw_tantivy, file_to_searchable):
        spent, seconds, memory = in_child(stage, settings)
        name, rate = stage.__name__, asked.lines / spent
        report[name] = {"cpu_seconds": spent, "seconds": seconds, "peak_mb": memory}
        shown = f"{asked.lines / seconds:>12,.0f}" if stage is not raw_tantivy else f"{'':>12}"
        print(f"{name.replace('_', ' '):<22}{rate:>12,.0f}{shown}{spent / asked.lines * 1e6:>13.1f}{memory:>9.0f}")
    report["of_raw"] = report["raw_tantivy"]["cpu_seconds"] / report["file_to_searchable"]["cpu_seconds"]
    kept = sum(path.stat().st_size for path in (settings.data_dir / "store").rglob("*") if path.is_file())
    report["disk"] = kept / size
    print(f"whole way / raw tantivy: {report['of_raw']:.2f}; store / files on disk: {report['disk']:.2f}")
    shutil.rmtree(root / "logs")
    found = delays(dataclasses.replace(settings, data_dir=root / "live"), asked.seconds, asked.rate)
    report["delay_p50"], report["delay_p95"] = statistics.median(found), found[int(len(found) * 0.95)]
    print(
        f"written to searchable at {asked.rate:,} lines/s: p50 {report['delay_p50']:.2f} s, "
        f"p95 {report['delay_p95']:.2f} s, worst {found[-1]:.2f} s ({len(found)} lines)"
    )
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return report


if __name__ == "__main__":
    main()
