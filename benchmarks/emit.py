"""What one log record costs, beside every peer and the floor: CPU time a record, interleaved rounds, one run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/emit.py [--records 20000] [--rounds 15] [--json FILE]

Every contender logs the same event (message, level, order id, duration) with the same bound context (trace id, user
id), each in its idiomatic way, to a real file and to /dev/null. CPU time is user plus system time of the process; the
table gives the median round and the best one, for another load on the machine only ever adds. Ours rotates, masks,
counts bytes and gives every line an `event.id`; where a peer does less, the column says so.
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
Call = Callable[[int], None]
_trace: ContextVar[str] = ContextVar("trace", default="")
FLAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


@dataclass
class Contender:
    """One way to log: its name, what it does beside writing JSON, and one call."""

    name: str
    does: str
    call: Call


class TraceFilter(logging.Filter):
    """How stock logging gets a context into every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__["trace.id"] = _trace.get()
        record.__dict__["user.id"] = USER
        return True


def stock(name: str, handler: logging.Handler, formatter: logging.Formatter | None) -> logging.Logger:
    logger = logging.getLogger(f"bench.{name}")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    if formatter:
        handler.setFormatter(formatter)
        handler.addFilter(TraceFilter())
    return logger


def rotating(path: Path) -> logging.Handler:
    return logging.handlers.RotatingFileHandler(path, maxBytes=10_000_000, backupCount=5)


def ours_handler(folder: Path, **files: bool) -> FilesHandler:
    return FilesHandler("orders", folder, settings=Settings(), **files)


def stock_call(logger: logging.Logger, fields: Callable[[int], dict[str, Any]]) -> Call:
    info = logger.info
    return lambda number: info("order executed", extra=fields(number))


def short(number: int) -> dict[str, Any]:
    return {"order_id": f"ord-{number}", "duration": 0.012}


def ecs(number: int) -> dict[str, Any]:
    return {"christmas.order.id": f"ord-{number}", "event.duration": 12_000_000}


def ours(folder: Path) -> Iterator[Contender]:
    one = {"daily": False, "error": False}
    for name, does, files in (("one file", "ECS, mask, id, rotate", one), ("ecs+daily+error", "the default files", {})):
        quick, plain = f"quick {name}", f"stock {name}"
        stock(quick, ours_handler(folder / quick, **files), None)
        info = get_logger(f"bench.{quick}").info
        yield Contender(
            f"get_logger, {name}",
            does,
            lambda n, info=info: info("order executed", order_id=f"ord-{n}", duration=0.012),
        )
        yield Contender(
            f"logging.getLogger, {name}",
            does,
            stock_call(stock(plain, ours_handler(folder / plain, **files), None), short),
        )


def stock_peers(folder: Path) -> Iterator[Contender]:
    formatters = {
        "ecs-logging": (ecs_logging.StdlibFormatter(), ecs),
        "python-json-logger json": (JsonFormatter(FLAT), short),
        "python-json-logger orjson": (OrjsonFormatter(FLAT), short),
        "python-json-logger msgspec": (MsgspecFormatter(FLAT), short),
    }
    for name, (formatter, fields) in formatters.items():
        logger = stock(name, rotating(folder / f"{name}.log"), formatter)
        yield Contender(
            f"{name} + RotatingFileHandler", "ECS, rotate" if fields is ecs else "rotate", stock_call(logger, fields)
        )


def structlog_peers(folder: Path) -> Iterator[Contender]:
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
        file = (folder / f"{name}.log").open("ab" if "Bytes" in name else "a")
        raw = structlog.BytesLogger(file) if "Bytes" in name else structlog.WriteLogger(file)
        info = (
            structlog.wrap_logger(raw, processors=processors, wrapper_class=wrapper, cache_logger_on_first_use=True)
            .bind()
            .info
        )
        yield Contender(name, does, lambda n, info=info: info("order executed", order_id=f"ord-{n}", duration=0.012))


def loguru_peer(folder: Path) -> Iterator[Contender]:
    loguru_logger.remove()
    loguru_logger.add(folder / "loguru.log", serialize=True, rotation="10 MB", retention=5)

    def call(number: int) -> None:
        loguru_logger.info("order executed", order_id=f"ord-{number}", duration=0.012, trace_id=TRACE, user_id=USER)

    yield Contender("loguru serialize", "rotate", call)


def floor(folder: Path) -> Iterator[Contender]:
    fd = os.open(folder / "floor.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def call(number: int) -> None:
        event = {
            "@timestamp": "2026-01-02T03:04:05.678Z", "log.level": "info", "message": "order executed",
            "ecs.version": "9.4.0", "service": {"name": "orders"}, "trace": {"id": TRACE}, "user": {"id": USER},
            "event": {"duration": 12_000_000}, "christmas": {"order": {"id": f"ord-{number}"}},
        }  # fmt: skip
        os.write(fd, orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))

    yield Contender("floor: orjson.dumps + os.write", "nothing else", call)


def cpu_us(call: Call, records: int) -> float:
    """CPU microseconds a record over ``records`` calls."""
    started = time.process_time_ns()
    for number in range(records):
        call(number)
    return (time.process_time_ns() - started) / 1000 / records


def measured(contenders: list[Contender], records: int, rounds: int) -> dict[str, list[float]]:
    """CPU microseconds a record of every contender in every round, all contenders in each round."""
    results: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        cpu_us(contender.call, 500)
    for _ in range(rounds):
        for contender in contenders:
            results[contender.name].append(cpu_us(contender.call, records))
    return results


def table(contenders: list[Contender], results: dict[str, list[float]]) -> None:
    base = statistics.median(results["structlog + orjson BytesLogger"])
    ecs_logging_us = statistics.median(results["ecs-logging + RotatingFileHandler"])
    print(f"{'contender':44} {'median µs':>9} {'best':>7} {'x structlog':>11} {'x ecs-logging':>13}  does")
    for contender in sorted(contenders, key=lambda c: statistics.median(results[c.name])):
        values = results[contender.name]
        median = statistics.median(values)
        print(
            f"{contender.name:44} {median:9.2f} {min(values):7.2f} {base / median:11.2f}"
            f" {ecs_logging_us / median:13.2f}  {contender.does}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="contenders whose name holds this text, beside the two of reference")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bind(trace_id=TRACE, user_id=USER)
    _trace.set(TRACE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contenders = [
            *ours(folder), *stock_peers(folder), *structlog_peers(folder), *loguru_peer(folder), *floor(folder)
        ]  # fmt: skip
        kept = ("structlog + orjson BytesLogger", "ecs-logging + RotatingFileHandler")
        contenders = [c for c in contenders if options.only in c.name or c.name in kept]
        results = measured(contenders, options.records, options.rounds)
        table(contenders, results)
        if options.json:
            options.json.write_text(json.dumps(results))
        loguru_logger.remove()


if __name__ == "__main__":
    sys.exit(main())
