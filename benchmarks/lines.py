"""ECS lines of about 470 bytes, as services of this project write them, spread over whole UTC days up to this one."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import encoded

DAY_MS = 86_400_000
SERVICES = ("gateway", "orders", "analysis-engine", "ads", "billing")
LEVELS, WEIGHTS = ("debug", "info", "warning", "error"), (10, 77, 8, 5)
ACTIONS = ("request", "order-executed", "impression", "click", "conversion", "retry")
WORDS = [
    "order",
    "executed",
    "timeout",
    "while",
    "calling",
    "payment",
    "gateway",
    "retry",
    "database",
    "connection",
    "pool",
    "exhausted",
    "user",
    "session",
    "cache",
    "miss",
    "computed",
    "MACD",
    "signal",
    "failed",
    "symbol",
    "결제",
    "주문",
    "시간",
    "초과",
    "shipped",
    "refund",
    "inventory",
    "updated",
]
START_MS = now_ms() // DAY_MS * DAY_MS  # the last day, today; a line may be up to a day ahead of the clock


def write_lines(folder: Path, count: int, days: int) -> list[str]:
    """Write ``count`` lines into one file a service; returns some of their trace ids.

    With more than one day, the days reach back from today.
    """
    folder.mkdir()
    chance, traces, trace = random.Random(3), [], ""
    start = START_MS - (days - 1) * DAY_MS
    files = {service: (folder / f"{service}.ecs.log").open("wb") for service in SERVICES}
    for number in range(count):
        if number % 5 == 0:
            trace = f"{chance.getrandbits(128):032x}"
            traces += [trace] if number % 500 == 0 else []
        service = chance.choice(SERVICES)
        files[service].write(line(number, start + days * DAY_MS * number // count, service, trace, chance))
    for file in files.values():
        file.close()
    return traces


def line(number: int, ms: int, service: str, trace: str, chance: random.Random) -> bytes:
    """One line."""
    level = chance.choices(LEVELS, WEIGHTS)[0]
    event = {
        "@timestamp": iso(ms),
        "log.level": level,
        "message": f"{' '.join(chance.choices(WORDS, k=6))} order_{chance.randrange(100_000)} in {number % 977} ms",
        "ecs.version": "9.4.0",
        "service": {"name": service, "version": "1.4.2", "environment": "production"},
        "event": {
            "id": encoded(ms, 10) + encoded(chance.getrandbits(80), 16),
            "action": chance.choice(ACTIONS),
            "duration": int(chance.lognormvariate(16, 1)),
        },
        "trace": {"id": trace},
        "user": {"id": f"u{chance.randrange(20_000)}"},
        "log": {"logger": f"{service}.handlers"},
        "process": {"pid": 4242, "thread": {"name": "MainThread"}},
    }
    return orjson.dumps(event) + b"\n"
