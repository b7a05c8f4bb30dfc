"""The service under load: the demo's `orders` without its calls, five lines a request, logging by one contender.

Started by ``load.py`` as a process of its own. At the end it writes what only it can see to ``--report``: how long the
logging calls of a request took, and how long those took in which a file was rotated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import time
from array import array
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

log = logging.getLogger("orders")
TICK_SECONDS = 0.01
Rotations = Callable[[], object]  # changes its answer when the file was rotated


class Pauses:
    """How long logging held a request up, in microseconds."""

    def __init__(self, rotations: Rotations) -> None:
        self.rotations, self.seen = rotations, rotations()
        self.all, self.rotating = array("d"), array("d")
        self.first = self.last = 0.0  # when the first block began and the last one ended

    def add(self, began: float) -> None:
        """One block of logging calls that began at ``began`` (perf_counter) is over."""
        self.first, self.last = self.first or began, time.perf_counter()
        took_us = (self.last - began) * 1e6
        self.all.append(took_us)
        now = self.rotations()
        if now != self.seen:
            self.seen = now
            self.rotating.append(took_us)

    def report(self) -> dict[str, Any]:
        """Percentiles, and the blocks with a rotation in them."""
        ordered = sorted(self.all)
        shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        blocks = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in shares.items()}
        rotating = {"count": len(self.rotating), "max": max(self.rotating, default=0.0)}
        rotating["mean"] = sum(self.rotating) / len(self.rotating) if self.rotating else 0.0
        per_second = len(self.all) / (self.last - self.first)
        return {"block_us": blocks, "rotation_us": rotating, "blocks_per_second": per_second}


def off(app: FastAPI, folder: Path) -> Rotations:
    """No logging: the calls are made and return at the level check."""
    logging.disable(logging.CRITICAL)
    return lambda: 0


def ecs_logging(app: FastAPI, folder: Path) -> Rotations:
    """Elastic's ecs-logging on the stock rotating handler, with the trace id and an access line done by hand."""
    import ecs_logging as peer
    from asgi_correlation_id import CorrelationIdMiddleware
    from asgi_correlation_id.context import correlation_id

    handler = RotatingFileHandler(folder / "orders.ecs.log", maxBytes=10_000_000, backupCount=5)
    handler.setFormatter(peer.StdlibFormatter(exclude_fields=["process", "log.origin"]))
    handler.addFilter(lambda record: setattr(record, "trace.id", correlation_id.get()) or True)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    app.add_middleware(AccessLines)
    app.add_middleware(CorrelationIdMiddleware, header_name="X-Trace-ID")
    return lambda: inode(folder)


def python_shipper(app: FastAPI, folder: Path) -> Rotations:
    """Ours as shipped: the ECS file and the daily file, masking, trace ids, access lines."""
    import python_shipper as ours
    from python_shipper.integrations import fastapi

    ours.configure(service="orders", log_dir=folder, profile="production")
    fastapi.install(app)
    return lambda: inode(folder)


def inode(folder: Path) -> int:
    """Which file the log is now; before the first line, none."""
    try:
        return (folder / "orders.ecs.log").stat().st_ino
    except FileNotFoundError:
        return 0


CONTENDERS = {"off": off, "ecs-logging": ecs_logging, "python-shipper": python_shipper}


class AccessLines:
    """The peer's access line: the same fields as ours, by a few lines of ASGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, seen = time.perf_counter_ns(), {"status": 0, "bytes": 0}

        async def watched(message: Any) -> None:
            seen["status"] = message.get("status", seen["status"])
            seen["bytes"] += len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, watched)
        fields = {
            "http": {
                "request": {"method": scope["method"]},
                "response": {"status_code": seen["status"], "body": {"bytes": seen["bytes"]}},
            },
            "url": {"path": scope["path"]},
            "client": {"ip": scope["client"][0]},
            "event": {"duration": time.perf_counter_ns() - began},
        }
        log.info("%s %s %s", scope["method"], scope["path"], seen["status"], extra=fields)


def business_lines(order_id: str, number: int) -> None:
    """What one order logs: four lines, one of them with an account number in it."""
    order = {"order_id": order_id, "user_id": f"user_{number % 50:02}"}
    log.info("order received, account %s", f"110-234-{number % 1_000_000:06}", extra=order)
    log.info("signal computed", extra={**order, "symbol": "ACME", "signal": "buy", "duration": 0.0123})
    log.info("order %s placed at %.2f", order_id, 101.25, extra={**order, "quantity": number % 100})
    log.info("order executed", extra={**order, "symbol": "ACME", "duration": 0.0345})


def serve(app: FastAPI, pauses: Pauses, fd: int) -> None:
    """Answer requests on the listening socket ``fd``."""

    @app.post("/orders/{number}")
    async def order(number: int) -> dict[str, object]:
        began = time.perf_counter()
        business_lines(f"ord-{number:08x}", number)
        pauses.add(began)
        return {"order_id": number, "status": "executed"}

    # uvicorn raises the signal that stopped it again when it is done: the report comes after that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[socket.socket(fileno=fd)])


async def emit(pauses: Pauses, rate: int, seconds: float) -> None:
    """The emitting path alone: five lines ``rate`` times a second, without requests."""
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        if number % max(1, int(rate * TICK_SECONDS)) == 0:
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        block = time.perf_counter()
        business_lines(f"ord-{number:08x}", number)
        log.info("order answered", extra={"order_id": f"ord-{number:08x}", "duration": 0.0567})
        pauses.add(block)


def main() -> None:
    """Be the service, then report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--fd", type=int, help="listening socket; without it the emitting path runs")
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    os.environ["LOG_DIR"] = str(args.folder)
    app = FastAPI()
    pauses = Pauses(CONTENDERS[args.contender](app, args.folder))
    if args.fd is not None:
        serve(app, pauses, args.fd)
    else:
        (args.folder / "started").touch()  # now the clock may run
        asyncio.run(emit(pauses, args.rate, args.seconds))
    args.report.write_text(json.dumps(pauses.report()))


if __name__ == "__main__":
    main()
