"""What one log record costs, beside every peer and the floor: CPU time a record, interleaved rounds, one run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/emit.py [--records 10000] [--rounds 15] [--run file|null|traffic] [--json FILE]

Every contender logs the same lines with the same context (trace id, user id), each in its idiomatic way: one event to
real files, the same to /dev/null, and the lines of the demo. CPU time is user plus system time of the process; a table
gives the median round and the best one, for another load on the machine only ever adds. Ours rotates, masks, counts
bytes and gives every line an `event.id`; what a peer does is in the last column.
"""

from __future__ import annotations

import argparse
import json
import logging
import logging.handlers
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ecs_logging
import orjson
import structlog
from loguru import logger as loguru_logger
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.msgspec import MsgspecFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from python_shipper import bind, get_logger
from python_shipper.core.handlers import FilesHandler
from python_shipper.settings import Settings

TRACE, USER = "4bf92f3577b34da6a3ce929d0e0e4736", "user-17"
Fields = dict[str, Any]
Log = Callable[..., None]  # log(message, *args, **fields)
_trace: ContextVar[str] = ContextVar("trace", default="")
FLAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
ECS_NAMES = {"order_id": "christmas.order.id", "duration": "event.duration", "event_type": "event.action"}
NULL = "/dev/null"


@dataclass
class Contender:
    """One way to log: its name, what it does beside writing JSON, and the call."""

    name: str
    does: str
    log: Log


@dataclass
class Folder:
    """Where a run writes: a folder of its own, or nowhere, which leaves the cost of the disk out."""

    path: Path
    null: bool

    def file(self, name: str) -> str:
        return NULL if self.null else str(self.path / name)


class TraceFilter(logging.Filter):
    """How stock logging gets a context into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__["trace.id"] = _trace.get()
        record.__dict__["user.id"] = USER
        return True


def one_event(number: int) -> tuple[str, tuple[Any, ...], Fields]:
    """The same event over and over, with another order each time."""
    return "order executed", (), {"order_id": f"ord-{number}", "duration": 0.012}


def traffic(number: int) -> tuple[str, tuple[Any, ...], Fields]:
    """The lines of one order in the demo, three services and their access logs: two of eight hold personal data."""
    order, path = f"ord-{number // 8}", {"http.request.method": "POST", "url.path": "/orders", "duration": 0.031}
    lines: tuple[tuple[str, tuple[Any, ...], Fields], ...] = (
        ("order accepted for %s", (f"kim{number}@example.com",), {"order_id": order}),
        ("order received, account %s", (f"110-234-{number % 10**6:06}",), {"account_number": "110-234-567890"}),
        ("signal computed", (), {"order_id": order, "symbol": "BTCKRW", "signal": "buy", "duration": 0.004}),
        ("POST %s %d in %.1f ms", ("/signals", 200, 4.2), {**path, "http.response.status_code": 200}),
        ("order executed", (), {"order_id": order, "symbol": "BTCKRW", "duration": 0.012}),
        ("POST %s %d in %.1f ms", ("/orders", 201, 13.7), {**path, "http.response.status_code": 201}),
        ("order confirmed", (), {"order_id": order, "duration": 0.030}),
        ("POST %s %d in %.1f ms", ("/api/orders", 201, 31.0), {**path, "http.response.status_code": 201}),
    )
    return lines[number % 8]


def stock(name: str, handler: logging.Handler, formatter: logging.Formatter | None) -> logging.Logger:
    logger = logging.getLogger(f"bench.{name}")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    if formatter:
        handler.setFormatter(formatter)
        handler.addFilter(TraceFilter())
    return logger


def rotating(folder: Folder, name: str) -> logging.Handler:
    if folder.null:
        return logging.FileHandler(NULL)
    return logging.handlers.RotatingFileHandler(folder.file(name), maxBytes=10_000_000, backupCount=5)


def ours_handler(folder: Folder, name: str, **files: bool) -> FilesHandler:
    handler = FilesHandler("orders", folder.path / name, settings=Settings(), **files)
    if folder.null:
        handler.write(b"{}\n", logging.ERROR)  # opens the files, which then lead nowhere
        null = os.open(NULL, os.O_WRONLY)
        for file in (handler._files.ecs, *(copy.file for copy in handler._files.copies)):
            file.file.room = sys.maxsize
            os.dup2(null, file.file.fd)
        handler._next_check = float("inf")
    return handler


def stock_log(logger: logging.Logger, names: dict[str, str]) -> Log:
    info = logger.info

    def log(message: str, *args: Any, **fields: Any) -> None:
        info(
            message, *args, extra={names.get(name, name): value for name, value in fields.items()} if names else fields
        )

    return log


def ours(folder: Folder) -> Iterator[Contender]:
    one = {"daily": False, "error": False}
    for name, does, files in (("one file", "ECS, mask, id, rotate", one), ("ecs+daily+error", "the default files", {})):
        quick, plain = f"quick {name}", f"stock {name}"
        stock(quick, ours_handler(folder, quick, **files), None)
        yield Contender(f"get_logger, {name}", does, get_logger(f"bench.{quick}").info)
        logger = stock(plain, ours_handler(folder, plain, **files), None)
        yield Contender(f"logging.getLogger, {name}", does, stock_log(logger, {}))


def stock_peers(folder: Folder) -> Iterator[Contender]:
    formatters = {
        "ecs-logging": (ecs_logging.StdlibFormatter(), ECS_NAMES),
        "python-json-logger json": (JsonFormatter(FLAT), {}),
        "python-json-logger orjson": (OrjsonFormatter(FLAT), {}),
        "python-json-logger msgspec": (MsgspecFormatter(FLAT), {}),
    }
    for name, (formatter, names) in formatters.items():
        logger = stock(name, rotating(folder, f"{name}.log"), formatter)
        yield Contender(f"{name} + RotatingFileHandler", "ECS, rotate" if names else "rotate", stock_log(logger, names))


def structlog_peers(folder: Folder) -> Iterator[Contender]:
    common = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.contextvars.bind_contextvars(trace_id=TRACE, user_id=USER)
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    for name, does, processors in (
        ("structlog + orjson BytesLogger", "", [*common, structlog.processors.JSONRenderer(serializer=orjson.dumps)]),
        ("structlog + ecs-logging", "ECS", [*common, ecs_logging.StructlogFormatter()]),
    ):
        file = Path(folder.file(f"{name}.log")).open("ab" if "Bytes" in name else "a")  # noqa: SIM115  open while the run lasts
        raw = structlog.BytesLogger(file) if "Bytes" in name else structlog.WriteLogger(file)
        logger = structlog.wrap_logger(
            raw, processors=processors, wrapper_class=wrapper, cache_logger_on_first_use=True
        )
        yield Contender(name, does, logger.bind().info)


def loguru_peer(folder: Folder) -> Iterator[Contender]:
    loguru_logger.remove()
    if folder.null:
        loguru_logger.add(NULL, serialize=True)
    else:
        loguru_logger.add(folder.file("loguru.log"), serialize=True, rotation="10 MB", retention=5)
    bound = loguru_logger.bind(trace_id=TRACE, user_id=USER)
    yield Contender("loguru serialize", "rotate", lambda message, *args, **fields: bound.info(message % args, **fields))


def floor(folder: Folder) -> Iterator[Contender]:
    fd = os.open(folder.file("floor.log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def log(message: str, *args: Any, **fields: Any) -> None:
        event = {
            "@timestamp": "2026-01-02T03:04:05.678Z", "log.level": "info", "message": message, "ecs.version": "9.4.0",
            "service": {"name": "orders"}, "trace": {"id": TRACE}, "user": {"id": USER}, **fields,
        }  # fmt: skip
        os.write(fd, orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))

    yield Contender("floor: orjson.dumps + os.write", "nothing else", log)


Workload = Callable[[int], tuple[str, tuple[Any, ...], Fields]]


def cpu_us(log: Log, lines: list[tuple[str, tuple[Any, ...], Fields]]) -> float:
    """CPU microseconds a record over ``lines``."""
    started = time.process_time_ns()
    for message, args, fields in lines:
        log(message, *args, **fields)
    return (time.process_time_ns() - started) / 1000 / len(lines)


def measured(contenders: list[Contender], workload: Workload, records: int, rounds: int) -> dict[str, list[float]]:
    """CPU microseconds a record of every contender in every round, all contenders in each round."""
    results: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        cpu_us(contender.log, [workload(number) for number in range(400)])
    for turn in range(rounds):
        lines = [workload(turn * records + number) for number in range(records)]
        for contender in contenders:
            results[contender.name].append(cpu_us(contender.log, lines))
    return results


def table(title: str, contenders: list[Contender], results: dict[str, list[float]]) -> None:
    base = statistics.median(results["structlog + orjson BytesLogger"])
    ecs_logging_us = statistics.median(results["ecs-logging + RotatingFileHandler"])
    print(f"\n{title}")
    print(f"{'contender':48} {'median µs':>9} {'best':>7} {'x structlog':>11} {'x ecs-logging':>13}  does")
    for contender in sorted(contenders, key=lambda c: statistics.median(results[c.name])):
        values = results[contender.name]
        median = statistics.median(values)
        print(
            f"{contender.name:48} {median:9.2f} {min(values):7.2f} {base / median:11.2f}"
            f" {ecs_logging_us / median:13.2f}  {contender.does}"
        )


RUNS: dict[str, tuple[str, Workload, bool]] = {
    "file": ("one event, to files", one_event, False),
    "null": ("one event, to /dev/null", one_event, True),
    "traffic": ("the demo's lines, a quarter with personal data, to files", traffic, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--run", choices=RUNS, action="append", help="one of the tables; without it all three")
    parser.add_argument("--json", type=Path, help="write every round's figure here")
    options = parser.parse_args()
    bind(trace_id=TRACE, user_id=USER)
    _trace.set(TRACE)
    found = {}
    for run in options.run or RUNS:
        title, workload, null = RUNS[run]
        with tempfile.TemporaryDirectory() as name:
            folder = Folder(Path(name), null)
            makers = (ours, stock_peers, structlog_peers, loguru_peer, floor)
            contenders = [contender for maker in makers for contender in maker(folder)]
            found[run] = measured(contenders, workload, options.records, options.rounds)
            table(title, contenders, found[run])
            loguru_logger.remove()
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
