"""The embedded stack against its floor (raw tantivy) and against Elasticsearch: one run, the same documents.

    pip install -r benchmarks/requirements.txt
    python benchmarks/embedded.py [--documents 1000000] [--elasticsearch] [--json FILE]

Ingest is from files to searchable, with masking, each contender in a process of its own: documents a CPU second (user
plus system time, all threads), documents a second, and the process's peak memory. Reading and the pipeline are measured
alone too. Raw tantivy, the floor, indexes the parsed lines into one index of the same schema.

Queries are asked one after the other, each with changing values; the table gives the 50th and 95th percentile in
milliseconds. "Aged" is a fourth of the documents over 30 days (150 indices), of which the last day is asked for, beside
a store that holds only that day. The delay is from a line's write to the first search that finds it, alone and among
5,000 lines a second. ``--elasticsearch`` starts the node that the tests use, with 1 GB of heap, and sends it the same
documents and questions.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lines import DAY_MS, SERVICES, START_MS, line, write_lines

from python_shipper.settings import Settings
from python_shipper.store import LOGS, Store

Row = dict[str, Any]
HOUR_MS = 3_600_000
REPEATS = 60
AGED_DAYS = 30
LOAD = 5000
LIMITS_MS = {"trace": 5, "text": 25, "histogram": 25, "durations": 150}
NODE = "-Xms1g -Xmx1g -XX:-UseSerialGC -XX:+UseG1GC -XX:TieredStopAtLevel=4"


def in_child(work: Callable[..., Row], *arguments: Any) -> Row:
    """What ``work`` finds in a fresh process."""
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=put, args=(queue, work, *arguments))
    process.start()
    found: Row = queue.get()
    process.join()
    return found


def put(queue: Any, work: Callable[..., Row], *arguments: Any) -> None:
    """What ``work`` finds, on the queue."""
    queue.put(work(*arguments))


def cost(work: Callable[..., int], *arguments: Any) -> Row:
    """What ``work`` costs this process; it returns the number of documents."""
    cpu, wall = time.process_time(), time.perf_counter()
    documents = work(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "documents": documents,
        "docs_per_cpu_second": round(documents / cpu),
        "docs_per_second": round(documents / wall),
        "peak_mb": peak_mb(),
        "load": round(os.getloadavg()[0], 1),
    }


def peak_mb(pid: int | str = "self") -> int:
    """The most memory that a process ever had for itself (not counting mapped index files), in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = {
        line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("VmHWM", "RssFile"))
    }
    return (int(values["VmHWM"]) - int(values["RssFile"])) // 1024


def raw_tantivy(logs: Path, folder: Path) -> int:
    """The floor: each line parsed and indexed into one index of the same schema; no masking, no ids looked up."""
    import orjson

    from python_shipper.store import analysis
    from python_shipper.store.columns import begin, columns, identity, order
    from python_shipper.store.writer import HEAP_BYTES

    folder.mkdir()
    index = begin(folder)
    index.register_tokenizer(analysis.NAME, analysis.splitter())
    writer, count = index.writer(HEAP_BYTES, 1), 0
    for path in sorted(logs.iterdir()):
        with path.open("rb") as file:
            for line in file:
                document = orjson.loads(line)
                place = order(identity(document))
                writer.add_document(columns("christmas-logs-raw", document, line, 1, count, place))
                count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def raw_lines(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """What the tail reads, to the end."""
    from python_shipper.agent.tail import Tail

    tail = Tail([settings.log_dir])
    tail.scan()
    while ready := tail.ready():
        for segment in ready:
            for each in tail.read(segment):
                yield segment, each


def reading(logs: Path, data: Path) -> int:
    """Our tail alone."""
    return sum(1 for _ in raw_lines(Settings(log_dir=logs, data_dir=data)))


def reading_and_pipeline(logs: Path, data: Path) -> int:
    """Our tail, and a masked document of each line."""
    from python_shipper.agent.pipeline import Pipeline, Source
    from python_shipper.core.clock import now_ms

    pipeline, count, at_ms = Pipeline(), 0, now_ms()
    for segment, each in raw_lines(Settings(log_dir=logs, data_dir=data)):
        pipeline.process(each.raw, Source(segment.path, segment.fingerprint, each.offset), at_ms)
        count += 1
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
    """Time to start, as the embedded stack does, and the questions' times, in a process of its own."""
    from python_shipper.agent.ingest import Ingest
    from python_shipper.store.tantivy import TantivyStore

    (data / "no-logs").mkdir(exist_ok=True)
    started = time.perf_counter()
    ingest, store = Ingest(Settings(log_dir=data / "no-logs", data_dir=data)), TantivyStore.open(data)
    indices = len(store.indices())
    opened = time.perf_counter() - started
    found = {"indices": indices, "start_seconds": round(opened, 3), **asked(store, traces), "peak_mb": peak_mb()}
    ingest.close()
    return found


def aged(folder: Path, documents: int) -> dict[str, Row]:
    """The questions to a store of 30 days, and to one that has its last day only."""
    folder.mkdir()
    traces = write_lines(folder / "logs", documents, AGED_DAYS)
    row = in_child(cost, ours, folder / "logs", folder / "data")
    last = max((folder / "data" / "store" / "logs").iterdir())
    shutil.copytree(last, folder / "young" / "store" / "logs" / last.name)
    return {
        "ours, 30 days": row,
        "30 days": in_child(embedded_questions, folder / "data", traces),
        "its last day": in_child(embedded_questions, folder / "young", traces),
    }


def freshness(folder: Path, load: int = 0, lines: int = 150) -> Row:
    """From a line's write to its being found, in milliseconds, among ``load`` other lines a second."""
    from python_shipper.agent import Agent
    from python_shipper.core.clock import iso, now_ms
    from python_shipper.core.ulid import new_ulid
    from python_shipper.store.tantivy import TantivyStore

    logs, data = folder / "logs", folder / "data"
    logs.mkdir(parents=True)
    context = get_context("spawn")
    others = context.Process(target=write_steadily, args=(logs, load), daemon=True)
    others.start()
    agent = Agent(Settings(log_dir=logs, data_dir=data))
    agent.start()
    store, times = TantivyStore.open(data), []
    chance = random.Random(5)
    with (logs / "probe.ecs.log").open("wb", buffering=0) as file:
        for _ in range(lines):
            time.sleep(chance.uniform(0, 0.3))
            identity, started = new_ulid(), time.perf_counter()
            event = {"@timestamp": iso(now_ms()), "log.level": "info", "message": "fresh", "event": {"id": identity}}
            file.write(json.dumps({**event, "service": {"name": "orders"}}).encode() + b"\n")
            body = {"query": {"ids": {"values": [identity]}}, "size": 0}
            while not store.search(LOGS, body)["hits"]["total"]["value"]:
                time.sleep(0.005)
            times.append((time.perf_counter() - started) * 1000)
    others.terminate()
    agent.stop()
    return {"p50_ms": round(statistics.median(times)), "p95_ms": round(statistics.quantiles(times, n=20)[18])}


def write_steadily(logs: Path, rate: int) -> None:
    """Write ``rate`` lines a second until the process is ended."""
    from python_shipper.core.clock import now_ms

    chance, files = random.Random(8), {name: (logs / f"{name}.ecs.log").open("wb", buffering=0) for name in SERVICES}
    began, written = time.perf_counter(), 0
    while True:
        while written < (time.perf_counter() - began) * rate:
            service = SERVICES[written % len(SERVICES)]
            files[service].write(line(written, now_ms(), service, f"{chance.getrandbits(128):032x}", chance))
            written += 1
        time.sleep(0.01)


def elasticsearch(logs: Path, traces: list[str]) -> Row:
    """The same documents and questions on a node of its own; memory is that of its process."""
    import orjson
    from elasticsearch import Elasticsearch
    from elasticsearch.helpers import bulk

    from python_shipper.core.names import log_index
    from python_shipper.store.columns import milliseconds
    from python_shipper.store.elasticsearch import ElasticsearchStore

    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.stack.elasticsearch import running

    def actions() -> Any:
        for path in sorted(logs.iterdir()):
            for raw in path.open("rb"):
                event = orjson.loads(raw)
                name = log_index(event["service"]["name"], milliseconds(event["@timestamp"]))
                yield {"_op_type": "create", "_index": name, "_id": event["event"]["id"], "_source": event}

    with running(NODE) as server:
        server.apply()
        secret = base64.b64encode(f"{server.admin}:{server.password}".encode()).decode()
        client = Elasticsearch(
            server.url,
            request_timeout=300,
            headers={"authorization": f"Basic {secret}"},
            ca_certs=str(server.authority),
        )
        (node,) = client.nodes.info(metric="process")["nodes"].values()
        pid = node["process"]["id"]
        started, cpu = time.perf_counter(), cpu_seconds(pid)
        count, _ = bulk(client, actions(), chunk_size=2000, refresh=True)
        wall, cpu = time.perf_counter() - started, cpu_seconds(pid) - cpu
        client.indices.forcemerge(index=LOGS, max_num_segments=3)
        asked(ElasticsearchStore(client, server.url), traces)  # once to warm its compiler
        speeds = {"docs_per_second": round(count / wall), "docs_per_cpu_second": round(count / cpu)}
        found = asked(ElasticsearchStore(client, server.url), traces)
        return {"documents": count, **speeds, "peak_mb": peak_mb(pid), **found}


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(found: dict[str, Row], raw_bytes: int) -> None:
    """Print the tables, and beside the figures what is asked of them."""
    print(f"\n{'ingest':<22}{'docs/CPU s':>12}{'docs/s':>10}{'peak MB':>9}{'disk/raw':>10}{'load':>6}")
    names = ("reading", "reading and pipeline", "raw tantivy", "ours", "ours, 30 days", "elasticsearch")
    for name in (name for name in names if name in found):
        row = found[name]
        speeds = f"{row['docs_per_cpu_second']:>12,}{row['docs_per_second']:>10,}"
        print(f"{name:<22}{speeds}{row['peak_mb']:>9}{row.get('disk_ratio', ''):>10}{row.get('load', ''):>6}")
    ratio = found["ours"]["docs_per_cpu_second"] / found["raw tantivy"]["docs_per_cpu_second"]
    print(f"ours / raw tantivy: {ratio:.2f} (at least 0.65); memory at most 400 MB; disk at most 0.5 of {raw_bytes:,}")
    for name in ("fresh", "fresh under load"):
        print(f"written to searchable, {name}: p50 {found[name]['p50_ms']} ms, p95 {found[name]['p95_ms']} ms (1000)")
    engines = [name for name in ("embedded", "elasticsearch", "30 days", "its last day") if name in found]
    print(f"\n{'question, ms':<14}" + "".join(f"{name + ' p50':>18}{'p95':>8}" for name in engines) + f"{'limit':>7}")
    for name in queries(random.Random(), []):
        cells = "".join(f"{found[e][name]['p50_ms']:>18}{found[e][name]['p95_ms']:>8}" for e in engines)
        print(f"{name:<14}{cells}{LIMITS_MS.get(name, ''):>7}")
    print("(over 30 days the trace is looked for in all 150 indices: at most 50; others within 1.5 of the last day's)")
    reader = found["30 days"]
    print(f"{reader['indices']} indices: started in {reader['start_seconds']} s (at most 2)")
    print(f"one process that has asked and may write: peak {found['embedded']['peak_mb']} MB")


def run(documents: int, beside_elasticsearch: bool, folder: Path) -> dict[str, Row]:
    """Everything, in ``folder``."""
    logs = folder / "logs"
    traces = write_lines(logs, documents, 1)
    raw_bytes = folder_bytes(logs)
    print(f"{documents:,} lines of {raw_bytes / documents:.0f} bytes, {len(SERVICES)} services", flush=True)
    found: dict[str, Row] = {"reading": in_child(cost, reading, logs, folder / "none")}
    found["reading and pipeline"] = in_child(cost, reading_and_pipeline, logs, folder / "none")
    found["raw tantivy"] = in_child(cost, raw_tantivy, logs, folder / "raw")
    found["ours"] = in_child(cost, ours, logs, folder / "data")
    assert found["ours"]["documents"] == documents, "not every line was stored"
    for name, path in (("raw tantivy", folder / "raw"), ("ours", folder / "data" / "store")):
        found[name]["disk_ratio"] = round(folder_bytes(path) / raw_bytes, 3)
    shutil.rmtree(folder / "raw")
    found["embedded"] = in_child(embedded_questions, folder / "data", traces)
    found |= aged(folder / "aged", documents // 4)
    found["fresh"] = freshness(folder / "fresh")
    found["fresh under load"] = freshness(folder / "fresh-under-load", LOAD)
    if beside_elasticsearch:
        found["elasticsearch"] = elasticsearch(logs, traces)
    report(found, raw_bytes)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--elasticsearch", action="store_true", help="beside a node that is started for it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embedded-", dir=Path.cwd()) as folder:
        found = run(given.documents, given.elasticsearch, Path(folder))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    sys.exit(main())
