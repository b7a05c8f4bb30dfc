"""The embedded stack against its floor (raw tantivy) and against Elasticsearch: one run, the same documents.

    python benchmarks/embedded.py [--documents 1000000] [--days 1] [--elasticsearch URL] [--json FILE]

Ingest is from files to searchable, with masking, each contender in a process of its own: documents a CPU second (user
plus system time, all threads), documents a second, and the process's peak memory. Queries are asked one after the
other, each with changing values; the table gives the 50th and 95th percentile in milliseconds. With ``--elasticsearch``
the same documents are sent to a node without authentication (indices christmas-logs-bench*-*), and asked the same.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lines import DAY_MS, SERVICES, START_MS, write_lines

from python_shipper.settings import Settings
from python_shipper.store import LOGS, Store

Row = dict[str, Any]
HOUR_MS = 3_600_000
REPEATS = 60


def measured(work: Callable[..., int], *arguments: Any) -> Row:
    """What ``work`` costs in a fresh process; it returns the number of documents."""
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=inside, args=(queue, work, *arguments))
    process.start()
    found: Row = queue.get()
    process.join()
    return found


def inside(queue: Any, work: Callable[..., int], *arguments: Any) -> None:
    """Run ``work`` and put what it cost on the queue."""
    cpu, wall = time.process_time(), time.perf_counter()
    documents = work(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    queue.put(
        {
            "documents": documents,
            "docs_per_cpu_second": round(documents / cpu),
            "docs_per_second": round(documents / wall),
            "peak_mb": peak_mb(),
        }
    )


def peak_mb() -> int:
    """The most memory that this process ever had for itself (not counting mapped index files), in MB."""
    status = Path("/proc/self/status").read_text()
    values = {
        line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("VmHWM", "RssFile"))
    }
    return (int(values["VmHWM"]) - int(values["RssFile"])) // 1024


def raw_tantivy(logs: Path, folder: Path) -> int:
    """The floor: each line parsed and indexed into one index of the same schema; no masking, no ids looked up."""
    import orjson

    from python_shipper.store import analysis
    from python_shipper.store.columns import begin, columns
    from python_shipper.store.writer import HEAP_BYTES

    folder.mkdir()
    index = begin(folder)
    index.register_tokenizer(analysis.NAME, analysis.splitter())
    writer, count = index.writer(HEAP_BYTES, 1), 0
    for path in sorted(logs.iterdir()):
        with path.open("rb") as file:
            for line in file:
                writer.add_document(columns("christmas-logs-raw", orjson.loads(line), line, 1, count))
                count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def ours(logs: Path, data: Path) -> int:
    """Our way: the agent's loop, as it runs in the embedded stack, until nothing is left to read."""
    from python_shipper.agent.ingest import Ingest

    ingest = Ingest(Settings(log_dir=logs, data_dir=data))
    while ingest.turn():
        pass
    ingest.commit()
    ingest.close()
    return int(ingest.totals["stored"])


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def queries(chance: random.Random, traces: list[str]) -> dict[str, Callable[[], Row]]:
    """The questions, each a function that makes a new body; all but the trace ask for the last day or a part of it."""

    def within(hours: float) -> Row:
        start = START_MS + chance.randrange(int(DAY_MS - hours * HOUR_MS))
        return {"range": {"@timestamp": {"gte": start, "lt": start + int(hours * HOUR_MS)}}}

    def trace() -> Row:
        return {"size": 100, "query": {"term": {"trace.id": chance.choice(traces)}}}

    def text() -> Row:
        level = {"term": {"log.level": "error"}}
        words = {"match": {"message": chance.choice(["timeout", "payment", "MACD", "결제"])}}
        return {"size": 100, "query": {"bool": {"filter": [words, level, within(6)]}}, "track_total_hits": True}

    def common() -> Row:
        words = {"bool": {"filter": [{"match": {"message": "order"}}, within(24 - 0.01)]}}
        return {"size": 100, "query": words, "track_total_hits": True}

    def histogram() -> Row:
        by = {"by": {"terms": {"field": "service.name"}}}
        aggs = {"h": {"date_histogram": {"field": "@timestamp", "fixed_interval": "5m"}, "aggs": by}}
        return {
            "size": 0,
            "query": {"bool": {"filter": [{"term": {"log.level": "error"}}, within(24 - 0.01)]}},
            "aggs": aggs,
        }

    def durations() -> Row:
        p95 = {"p": {"percentiles": {"field": "event.duration", "percents": [95]}}}
        return {
            "size": 0,
            "aggs": {"by": {"terms": {"field": "service.name"}, "aggs": p95}},
            "query": within(24 - 0.01),
        }

    def counts() -> Row:
        return {"size": 0, "aggs": {"by": {"terms": {"field": "event.action"}}}, "query": within(24 - 0.01)}

    named = (trace, text, common, histogram, durations, counts)
    return {each.__name__: each for each in named}


LIMITS_MS = {"trace": 50, "text": 25, "histogram": 25, "durations": 150}


def asked(store: Store, traces: list[str], index: str = LOGS) -> dict[str, Row]:
    """The 50th and 95th percentile of each question's time, in milliseconds; the same values for every engine."""
    found = {}
    for name, body in queries(random.Random(11), traces).items():
        times = []
        for _ in range(REPEATS):
            request, started = body(), time.perf_counter()
            store.search(index, request)
            times.append((time.perf_counter() - started) * 1000)
        cuts = statistics.quantiles(times[3:], n=20)
        found[name] = {"p50_ms": round(statistics.median(times), 2), "p95_ms": round(cuts[18], 2)}
    return found


def embedded_questions(data: Path, traces: list[str]) -> Row:
    """Time to open all indices, and the questions' times, in a process that only reads."""
    from python_shipper.store.tantivy import TantivyStore

    started = time.perf_counter()
    store = TantivyStore.open(data)
    indices = len(store.indices())
    opened = time.perf_counter() - started
    return {"indices": indices, "start_seconds": round(opened, 3), **asked(store, traces), "peak_mb": peak_mb()}


def freshness(folder: Path, lines: int = 150) -> Row:
    """From a line's write to its being found, in milliseconds, with the agent at rest but for these lines."""
    from python_shipper.agent import Agent
    from python_shipper.core.clock import iso, now_ms
    from python_shipper.core.ulid import new_ulid
    from python_shipper.store.tantivy import TantivyStore

    logs, data = folder / "logs", folder / "data"
    logs.mkdir(parents=True)
    agent = Agent(Settings(log_dir=logs, data_dir=data))
    agent.start()
    store, times = TantivyStore.open(data), []
    chance = random.Random(5)
    with (logs / "orders.ecs.log").open("wb", buffering=0) as file:
        for _ in range(lines):
            time.sleep(chance.uniform(0, 0.3))
            identity, started = new_ulid(), time.perf_counter()
            event = {"@timestamp": iso(now_ms()), "log.level": "info", "message": "fresh", "event": {"id": identity}}
            file.write(json.dumps({**event, "service": {"name": "orders"}}).encode() + b"\n")
            while not store.search(LOGS, {"query": {"ids": {"values": [identity]}}, "size": 0})["hits"]["total"][
                "value"
            ]:
                time.sleep(0.005)
            times.append((time.perf_counter() - started) * 1000)
    agent.stop()
    return {"p50_ms": round(statistics.median(times)), "p95_ms": round(statistics.quantiles(times, n=20)[18])}


def elasticsearch(url: str, logs: Path, traces: list[str]) -> Row:
    """The same documents and questions on a node at ``url``."""
    import orjson
    from elasticsearch import Elasticsearch
    from elasticsearch.helpers import bulk

    from python_shipper.core.names import log_index
    from python_shipper.store.columns import milliseconds
    from python_shipper.store.elasticsearch import ElasticsearchStore

    client = Elasticsearch(url, request_timeout=120)
    started, count = time.perf_counter(), 0

    def actions() -> Any:
        for path in sorted(logs.iterdir()):
            for line in path.open("rb"):
                event = orjson.loads(line)
                name = log_index("bench-" + event["service"]["name"], milliseconds(event["@timestamp"]))
                yield {"_op_type": "create", "_index": name, "_id": event["event"]["id"], "_source": event}

    client.indices.delete(index="christmas-logs-bench-*", ignore_unavailable=True)
    count, _ = bulk(client, actions(), chunk_size=2000, refresh=True)
    wall = time.perf_counter() - started
    client.indices.forcemerge(index="christmas-logs-bench-*", max_num_segments=3)
    found = asked(ElasticsearchStore(client, url), traces, "christmas-logs-bench-*")
    client.indices.delete(index="christmas-logs-bench-*")
    return {"documents": count, "docs_per_second": round(count / wall), **found}


def report(found: dict[str, Row], raw_bytes: int) -> None:
    """Print the tables, and beside the figures what is asked of them."""
    print(f"\n{'ingest':<16}{'docs/CPU s':>12}{'docs/s':>10}{'peak MB':>9}{'disk/raw':>10}")
    for name in ("raw tantivy", "ours"):
        row = found[name]
        speeds = f"{row['docs_per_cpu_second']:>12,}{row['docs_per_second']:>10,}"
        print(f"{name:<16}{speeds}{row['peak_mb']:>9}{row['disk_ratio']:>10}")
    ratio = found["ours"]["docs_per_cpu_second"] / found["raw tantivy"]["docs_per_cpu_second"]
    fresh, reader = found["freshness"], found["embedded"]
    print(f"ours / raw tantivy: {ratio:.2f} (at least 0.65); memory at most 400 MB")
    print(f"disk at most 0.5 of {raw_bytes / 1e6:.0f} MB")
    print(f"written to searchable: p50 {fresh['p50_ms']} ms, p95 {fresh['p95_ms']} ms (at most 1000)")
    engines = [name for name in ("embedded", "elasticsearch") if name in found]
    print(f"\n{'question, ms':<16}" + "".join(f"{name + ' p50':>20}{'p95':>9}" for name in engines) + f"{'limit':>9}")
    for name in queries(random.Random(), []):
        cells = "".join(f"{found[e][name]['p50_ms']:>20}{found[e][name]['p95_ms']:>9}" for e in engines)
        print(f"{name:<16}{cells}{LIMITS_MS.get(name, ''):>9}")
    print(f"{reader['indices']} indices opened in {reader['start_seconds']} s (at most 2)")
    print(f"reader's peak {reader['peak_mb']} MB")


def run(documents: int, days: int, url: str | None, folder: Path) -> dict[str, Row]:
    """Everything, in ``folder``."""
    logs = folder / "logs"
    traces = write_lines(logs, documents, days)
    raw_bytes = folder_bytes(logs)
    print(
        f"{documents:,} lines of {raw_bytes / documents:.0f} bytes, {len(SERVICES)} services, {days} day(s)", flush=True
    )
    found: dict[str, Row] = {"raw tantivy": measured(raw_tantivy, logs, folder / "raw")}
    found["ours"] = measured(ours, logs, folder / "data")
    assert found["ours"]["documents"] == documents, "not every line was stored"
    for name, path in (("raw tantivy", folder / "raw"), ("ours", folder / "data" / "store")):
        found[name]["disk_ratio"] = round(folder_bytes(path) / raw_bytes, 3)
    found["freshness"] = freshness(folder / "fresh")
    found["embedded"] = embedded_questions(folder / "data", traces)
    if url:
        found["elasticsearch"] = elasticsearch(url, logs, traces)
    report(found, raw_bytes)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--elasticsearch", help="address of a node without authentication, its templates put")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embedded-", dir=Path.cwd()) as folder:
        found = run(given.documents, given.days, given.elasticsearch, Path(folder))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    sys.exit(main())
