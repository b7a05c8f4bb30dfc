"""Events a CPU second of the real-time analyser, beside only parsing the same lines; and how soon it finds a fault.

    pip install -r benchmarks/requirements.txt
    python benchmarks/realtime.py [--events 300000] [--rate 1000] [--rounds 5]

Throughput: stored documents of about 470 bytes, 1,000 in a second of their own time (``--rate``), from five services
with ten operations each (and then 200), 5 % errors of 200 kinds with stack traces. The CPU time is user plus system
time of this process: JSON parsing, all windows, checks and a judgement each second. The floor is `orjson.loads` of the
same sources.

Delay: the embedded process, as `shipper up` starts it, on files that this process writes: ten minutes of history, then
two services that log steadily. From one moment on 60 % of the lines of one are errors, and those of the other take ten
times as long. The delay is the time from the first such line in the file until ``GET /api/findings`` shows the finding.
"""

from __future__ import annotations

import argparse
import random
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from python_shipper.analyzers.real_time import RealTimeAnalyzer
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.stack.client import ask

SERVICES = ("orders", "gateway", "analysis-engine", "ads", "auth")
START_MS = 1_780_000_000_000
STACK = 'Traceback (most recent call last):\n  File "/srv/app/{0}.py", line 12, in run_{0}\n    go()\n' * 8


def sources(count: int, rate: int, operations: int = 10) -> list[bytes]:
    """Stored documents in the order of their time."""
    chance, made = random.Random(5), []
    for number in range(count):
        ms, service, failed = START_MS + number * 1000 // rate, chance.choice(SERVICES), chance.random() < 0.05
        event = {
            "@timestamp": iso(ms),
            "log.level": "error" if failed else "info",
            "message": f"request {number} answered after a look into the cache, account ***{number % 10_000:04d}",
            "ecs.version": "9.4.0",
            "service": {"name": service, "version": "1.4.2"},
            "event": {"id": new_ulid(ms), "outcome": "success", "duration": int(chance.lognormvariate(16, 1))},
            "log": {"logger": f"{service}.engine", "file": {"path": f"/var/log/{service}.ecs.log"}, "offset": number},
            "trace": {"id": f"{chance.getrandbits(128):032x}"},
            "christmas": {"operation": f"GET /things/{chance.randrange(operations)}", "order": {"id": f"o{number}"}},
        }
        if failed:
            stack = STACK.format(chance.randrange(200))
            event["error"] = {"type": "ValueError", "message": f"bad {number}", "stack_trace": stack}
        made.append(orjson.dumps(event))
    return made


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work."""
    before = time.process_time()
    work()
    return time.process_time() - before


def parse(lines: list[bytes]) -> None:
    """The floor."""
    for line in lines:
        orjson.loads(line)


def analyse(lines: list[bytes], analyzer: RealTimeAnalyzer) -> int:
    """All lines, judged each second of their time; the number of findings."""
    return sum(1 for _ in analyzer.follow(map(orjson.loads, lines)))


def line(at_ms: int, service: str, failed: bool, ms: float) -> bytes:
    """One line of a file."""
    document = {
        "@timestamp": iso(at_ms),
        "log.level": "error" if failed else "info",
        "message": "order rejected" if failed else "order executed",
        "service": {"name": service},
        "event": {"id": new_ulid(at_ms), "duration": int(ms * 1e6), "outcome": "failure" if failed else "success"},
        "christmas": {"operation": "POST /orders"},
    }
    return orjson.dumps(document) + b"\n"


def delays(per_second: int) -> dict[str, float]:
    """One round: kind of finding → seconds from the first bad line to the finding."""
    chance = random.Random(per_second)
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listener:
        port, folder = listener.getsockname()[1], Path(name)
        listener.close()
        settings = Settings(data_dir=folder / "data", log_dir=folder / "logs", api_port=port, stack="embedded")
        settings.log_dir.mkdir()
        files = [(each, (settings.log_dir / f"{each}.ecs.log").open("ab", buffering=0)) for each in SERVICES[:2]]

        def write(at_ms: int, bad: bool = False) -> None:
            failed, times = chance.random() < (0.6 if bad else 0.01), 10 if bad else 1
            for (service, file), wrong, factor in zip(files, (failed, False), (1, times), strict=True):
                file.write(line(at_ms, service, wrong, factor * chance.lognormvariate(3, 0.5)))

        for at_ms in range(now_ms() - 600_000, now_ms(), 1000 // per_second):
            write(at_ms)
        embedded.up(settings, lambda _: None)
        try:
            embedded.wait_for(lambda: read_all(settings), 60)
            return watched(settings, write, per_second)
        finally:
            embedded.down(settings, lambda _: None)


def read_all(settings: Settings) -> bool:
    """Whether the history is stored and analysed."""
    status = embedded.status(settings)
    return not status["agent"]["lag_bytes"] and not status["analysis"]["waiting_bytes"]


def watched(settings: Settings, write: Callable[..., None], per_second: int) -> dict[str, float]:
    """Write at a steady rate, good lines and then bad ones, until both are found."""
    url, seen = embedded.status(settings)["url"], dict[str, float]()
    began = time.monotonic() + 5
    for number in range(45 * per_second):
        at = began - 5 + number / per_second
        time.sleep(max(0.0, at - time.monotonic()))
        write(now_ms(), at >= began)
        if at >= began and number % max(1, per_second // 10) == 0:
            for finding in ask(settings, url, "/api/findings")["open"]:
                seen.setdefault(finding["kind"], time.monotonic() - began)
        if {"high_error_rate", "latency_step"} <= seen.keys():
            break
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="of the delay; 0: only throughput")
    asked = parser.parse_args()
    throughput(asked.events, asked.rate)
    if not asked.rounds:
        return
    print(f"\n{'delay, seconds':<34}{'median':>8}{'most':>8}")
    for per_second in (5, 20, 100):
        rounds = [delays(per_second) for _ in range(asked.rounds)]
        for kind in ("high_error_rate", "latency_step"):
            found = [each.get(kind, float("inf")) for each in rounds]
            print(f"{kind:<17}{per_second:>4} lines a second{statistics.median(found):>8.1f}{max(found):>8.1f}")


def throughput(events: int, rate: int) -> None:
    """Measure and print."""
    print(f"{'events':>9}{'series':>8}{'events/CPU s':>14}{'µs CPU/event':>14}{'parsing alone':>15}")
    for operations in (10, 200):
        lines, analyzer = sources(events, rate, operations), RealTimeAnalyzer()
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        floor = spent(lambda lines=lines: parse(lines))  # type: ignore[misc]
        whole = spent(lambda lines=lines, analyzer=analyzer: analyse(lines, analyzer))  # type: ignore[misc]
        status = analyzer.status()
        series = status["services"] + status["operations"]
        each = whole / len(lines) * 1e6
        parsing = floor / len(lines) * 1e6
        print(f"{len(lines):>9,}{series:>8,}{len(lines) / whole:>14,.0f}{each:>14.1f}{parsing:>12.1f} µs")
        size = len(orjson.dumps(analyzer.snapshot(), option=orjson.OPT_NON_STR_KEYS))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024
        print(f"  memory grew by {grown:.0f} MB, snapshot {size / 1e6:.1f} MB, {status}")


if __name__ == "__main__":
    main()
