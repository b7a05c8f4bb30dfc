"""An hour of the demo's traffic raises no finding, and the first bad seconds after it do.

The three services run and are asked what the demo asks them, one request after the other, so that a slow machine makes
no queue. What they log is replayed under a compressed clock, request by request, picked at random, ten requests a
second at random times.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx
import orjson
import pytest

from examples.run import running
from examples.traffic import Traffic
from python_shipper.analyzers.real_time import RealTimeAnalyzer, at_of
from python_shipper.core.clock import iso

pytestmark = pytest.mark.slow
LONG = os.environ.get("FAULTS") == "long"
SEEDS = range(10) if LONG else range(1)
REQUESTS = 1_500 if LONG else 400
RATE, HOUR_MS, START_MS = 10, 3_600_000, 1_780_000_000_000
Event = dict[str, Any]
Request = list[tuple[int, Event]]  # its lines, each with its ms after the first


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """What the services log of each of some hundred requests."""
    folder = tmp_path_factory.mktemp("logs")
    with running(environ={"LOG_DIR": str(folder), "APP_ENV": "production", "EXAMPLE_SEED": "1"}) as urls:
        sent = asyncio.run(one_by_one(Traffic(urls["gateway"], rate=1, seconds=1, seed=1)))
    assert sent["failed"] and not sent["unanswered"]
    traces: dict[str, Request] = {}
    for path in folder.glob("*.ecs.log"):
        for line in map(orjson.loads, path.read_bytes().splitlines()):
            if trace := line.get("trace"):
                traces.setdefault(trace["id"], []).append((at_of(line) or 0, line))
    assert len(traces) >= sent["requests"]
    for request in traces.values():
        request.sort(key=lambda each: each[0])
    return [[(at - request[0][0], line) for at, line in request] for request in traces.values()]


async def one_by_one(traffic: Traffic) -> Counter[str]:
    """Send requests, each when the one before is answered; what came back."""
    async with httpx.AsyncClient(base_url=traffic.gateway, timeout=60) as client:
        for path, body in islice(traffic.requests, REQUESTS):
            await traffic.send(client, path, body)
    return traffic.counts


def replayed(requests: list[Request], start_ms: int, length_ms: int, chance: random.Random) -> Iterator[Event]:
    """Requests at random times within ``length_ms``, their lines in the order of time."""
    times = sorted(chance.randrange(length_ms) for _ in range(length_ms * RATE // 1000))
    coming: list[tuple[int, int, Event]] = []
    for number, at in enumerate(times):
        coming += ((start_ms + at + offset, number, line) for offset, line in chance.choice(requests))
        coming.sort(key=lambda each: each[:2])
        while coming and coming[0][0] <= start_ms + at:
            written, _, line = coming.pop(0)
            yield line | {"@timestamp": iso(written)}
    yield from (line | {"@timestamp": iso(written)} for written, _, line in coming)


def fails(request: Request) -> bool:
    return any(line["log.level"] == "error" for _, line in request)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quiet_hour_is_quiet_and_what_follows_is_found(requests: list[Request], seed: int) -> None:
    chance, analyzer = random.Random(seed), RealTimeAnalyzer()
    assert list(analyzer.follow(replayed(requests, START_MS, HOUR_MS, chance))) == []
    assert analyzer.status()["late_total"] == 0
    end = analyzer.clock_ms
    failing = [request for request in requests if fails(request)]
    found = list(analyzer.follow(replayed(failing, end, 5_000, chance)))
    assert ("high_error_rate", "orders") in {(finding.kind, finding.service) for finding in found}
    assert found[0].at_ms - end <= 5_000
