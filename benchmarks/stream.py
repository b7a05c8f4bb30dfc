"""Events a second into a local Redis: our shared round trips beside one by one, and beside the bare client, in one run.

    python benchmarks/stream.py [--events 20000] [--rounds 5]

Each round runs every contender once, so that what else the machine does meets all of them. The one-by-one contenders
store a tenth of the events.

  bare, one by one       LPUSH, LTRIM and XADD of ready bytes, awaited in turn: the way without pipelining
  ours, one by one       log_event_async awaited before the next: each waits for a round trip of its own
  ours, concurrent       log_event_async from 200 tasks, as requests of a service have it
  bare pipeline (floor)  ready bytes in the same transactions, by one thread that does nothing else
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import orjson
import redis
from redis.asyncio import Redis

os.environ.setdefault("LOG_LEVEL", "WARNING")
TASKS = 200
BATCH = 500
DATA = {
    "campaign_id": "winter-sale",
    "ad_id": "ad-101",
    "user_id": "user_01",
    "price": 1.25,
    "placement": "top of page",
}
EVENT = orjson.dumps({"timestamp": "2026-01-01T00:00:00.000Z", "type": "bid", "data": DATA, "id": "0" * 26})


async def bare_one_by_one(url: str, events: int) -> None:
    async with Redis.from_url(url) as client:
        for _ in range(events):
            await client.lpush("logs:bid", EVENT)
            await client.ltrim("logs:bid", 0, 999)
            await client.xadd("log_stream", {"event": EVENT}, maxlen=100_000)


async def ours_one_by_one(system: Any, events: int) -> None:
    for _ in range(events):
        assert await system.log_event_async("bid", DATA)


async def ours_concurrent(system: Any, events: int) -> None:
    async def task() -> None:
        for _ in range(events // TASKS):
            assert await system.log_event_async("bid", DATA)

    await asyncio.gather(*(task() for _ in range(TASKS)))


def bare_pipeline(url: str, events: int) -> None:
    with redis.Redis.from_url(url) as client:
        for _ in range(events // BATCH):
            pipeline = client.pipeline(transaction=True)
            pipeline.set("marker", 1)
            pipeline.lpush("logs:bid", *[EVENT] * BATCH)
            pipeline.ltrim("logs:bid", 0, 999)
            for _ in range(BATCH):
                pipeline.xadd("log_stream", {"event": EVENT}, maxlen=100_000)
            pipeline.execute()


def measured(run: Callable[[], Any], events: int) -> tuple[float, float]:
    """Events a second, and CPU of this process in microseconds an event."""
    began, cpu = time.perf_counter(), time.process_time()
    run()
    return events / (time.perf_counter() - began), (time.process_time() - cpu) / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            table(f"redis://127.0.0.1:{port}", options.events, options.rounds)
        finally:
            server.terminate()
            server.wait(10)


def table(url: str, events: int, rounds: int) -> None:
    from python_shipper import AdLoggingSystem

    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
    system = AdLoggingSystem({"redis_url": url, "redis_timeout": 30})
    few = events // 10
    contenders: dict[str, tuple[Callable[[], Any], int]] = {
        "bare, one by one": (lambda: asyncio.run(bare_one_by_one(url, few)), few),
        "ours, one by one": (lambda: asyncio.run(ours_one_by_one(system, few)), few),
        "ours, concurrent": (lambda: asyncio.run(ours_concurrent(system, events)), events),
        "bare pipeline (floor)": (lambda: bare_pipeline(url, events), events),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (run, number) in contenders.items():
            found[name].append(measured(run, number))
    assert system.counts()["dropped"] == system.counts()["refused"] == 0
    system.close()
    base = statistics.median(rate for rate, _ in found["bare, one by one"])
    print(f"{'':22} {'events/s':>9} {'least':>8} {'most':>8} {'× bare':>7} {'CPU µs/event':>13}")
    for name, results in found.items():
        rates = [rate for rate, _ in results]
        cpu, middle = statistics.median(cpu for _, cpu in results), statistics.median(rates)
        print(f"{name:22} {middle:9,.0f} {min(rates):8,.0f} {max(rates):8,.0f} {middle / base:7.1f} {cpu:13.0f}")


if __name__ == "__main__":
    main()
