"""Drives the example services at a chosen rate: mostly orders, some of which must fail, and views of ads.

``python -m examples.traffic --gateway URL`` prints one JSON object with counts and the trace ids of failed orders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

SYMBOLS = ("ACME", "GLOBEX", "INITECH", "HOOLI", "UMBRELLA")
FAILING_SYMBOL = "NEWCO"  # the analysis engine has too few prices of it
AD_SHARE, FAILING_SHARE = 0.4, 0.05
FAILED_KEPT = 100  # trace ids of failed orders in the summary
IN_FLIGHT = 100


def requests(chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of one request after the other, without end; the first is an order that fails."""
    yield "/orders", order(chance, 0, FAILING_SYMBOL)
    for number in range(1, 1_000_000_000):
        if chance.random() < AD_SHARE:
            yield "/ads", {"user_id": f"user_{chance.randint(1, 50):02}", "request_id": f"req-{number}"}
        else:
            failing = chance.random() < FAILING_SHARE
            yield "/orders", order(chance, number, FAILING_SYMBOL if failing else chance.choice(SYMBOLS))


def order(chance: random.Random, number: int, symbol: str) -> dict[str, Any]:
    """An order with a customer's made-up personal data in it."""
    user = chance.randint(1, 50)
    return {
        "order_id": f"ord-{chance.getrandbits(32):08x}-{number}",
        "user_id": f"user_{user:02}",
        "email": f"customer{user}@example.com",
        "account_number": f"110-{chance.randint(100, 999)}-{chance.randint(100_000, 999_999)}",
        "symbol": symbol,
        "quantity": chance.randint(1, 100),
    }


class Traffic:
    """One run: sends requests at ``rate`` a second for ``seconds``, and counts what comes back."""

    def __init__(self, gateway: str, rate: float, seconds: float, seed: int | None) -> None:
        self.gateway, self.rate, self.seconds = gateway, rate, seconds
        self.requests = requests(random.Random(seed))
        self.counts: Counter[str] = Counter()
        self.failed_trace_ids: list[str] = []
        self.stopped = False

    def stop(self) -> None:
        """Send no more; what is on its way is still waited for."""
        self.stopped = True

    async def run(self) -> dict[str, Any]:
        """Send, each request at its time whether or not the one before was answered; the summary."""
        began = time.monotonic()
        limits = httpx.Limits(max_connections=IN_FLIGHT)
        async with (
            httpx.AsyncClient(base_url=self.gateway, timeout=30, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(max(1, round(self.rate * self.seconds))):
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                if self.stopped:
                    break
                group.create_task(self.send(client, *next(self.requests)))
        return {
            "seconds": round(time.monotonic() - began, 3),
            **{name: self.counts[name] for name in ("requests", "orders", "executed", "failed", "ads", "unanswered")},
            "failed_trace_ids": self.failed_trace_ids,
        }

    async def send(self, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
        """Send one request and count its outcome."""
        self.counts.update(["requests", path.strip("/")])
        try:
            response = await client.post(path, json=body)
        except httpx.HTTPError:
            self.counts["unanswered"] += 1
            return
        if path == "/orders":
            self.count_order(response)

    def count_order(self, response: httpx.Response) -> None:
        """An order was executed or has failed; of failed ones the trace ids are kept."""
        self.counts["executed" if response.status_code == 201 else "failed"] += 1
        if response.status_code != 201 and len(self.failed_trace_ids) < FAILED_KEPT:
            self.failed_trace_ids.append(response.headers["x-trace-id"])


async def until_told(traffic: Traffic) -> dict[str, Any]:
    """Run to the end, or until Ctrl-C or SIGTERM; the summary of what was sent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, traffic.stop)
    return await traffic.run()


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m examples.traffic", description="Drive the example services.")
    parser.add_argument("--gateway", default="http://127.0.0.1:8801", help="address of the gateway (%(default)s)")
    parser.add_argument("--rate", type=float, default=10, help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, help="makes the same requests each time")
    args = parser.parse_args()
    if args.rate <= 0 or args.seconds <= 0:
        parser.error("--rate and --seconds must be above 0")
    print(json.dumps(asyncio.run(until_told(Traffic(args.gateway, args.rate, args.seconds, args.seed)))))  # noqa: T201


if __name__ == "__main__":
    main()
