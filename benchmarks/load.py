"""A service under steady load, with logging off, with ecs-logging, and with ours: what does logging cost it?

``make load``, or ``python benchmarks/load.py --rate 1000 --seconds 120``. Prints a table and writes a chart (SVG).
CPU a request is the honest figure on a small machine: latency also shows what else runs on it. Where a contender
cannot carry the rate, all of them run the emitting path alone instead: the same lines, without requests.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

SERVICE = Path(__file__).parent / "load_service.py"
ORDER = ("off", "ecs-logging", "python-shipper")
CONNECTIONS = 64
TICK_SECONDS = 0.001
START_SECONDS = 60.0
WARM_UP_SECONDS = 3.0
CARRIED_SHARE = 0.95
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
REQUEST = b"POST /orders/%d HTTP/1.1\r\nHost: load\r\nContent-Length: 0\r\n\r\n"


class Sample(NamedTuple):
    """What the kernel says of a process at one moment."""

    at_seconds: float
    cpu_seconds: float
    rss_bytes: int
    written_bytes: int
    write_calls: int


class Result(NamedTuple):
    """One contender's run."""

    name: str
    requests: int
    seconds: float
    latencies_ms: list[float]
    samples: list[Sample]
    report: dict[str, Any]


def sample(pid: int) -> Sample:
    """CPU and memory of ``pid``, and what it gave to write(2), files and sockets alike."""
    proc = Path(f"/proc/{pid}")
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
    rss = int((proc / "statm").read_text().split()[1]) * PAGE_BYTES
    cpu = (int(stat[11]) + int(stat[12])) / CLOCK_TICKS
    return Sample(time.monotonic(), cpu, rss, int(io["wchar"]), int(io["syscw"]))


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time, its answer timed."""

    def __init__(self, load: Load) -> None:
        self.load, self.received, self.due = load, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.free.append(self)

    def ask(self, number: int, due: float) -> None:
        """Send request ``number``, which was due at ``due``."""
        self.due = due
        self.transport.write(REQUEST % number)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self.received = b""
            self.load.answered(self, head.startswith(b"HTTP/1.1 200"))


class Load:
    """Sends requests at a rate, whatever the answers do; one that finds no free connection waits, and that counts."""

    def __init__(self, rate: int, seconds: float) -> None:
        self.rate, self.seconds = rate, seconds
        self.free: list[Connection] = []
        self.waiting: list[float] = []
        self.latencies_ms: list[float] = []
        self.refused = 0
        self.number = 0

    async def run(self, port: int) -> None:
        """Connect and send until the time is over."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < self.seconds:
            while sent < now * self.rate:
                self.waiting.append(time.perf_counter())
                sent += 1
            self.send()
            await asyncio.sleep(TICK_SECONDS)

    def send(self) -> None:
        """Put waiting requests on free connections."""
        while self.waiting and self.free:
            self.number += 1
            self.free.pop().ask(self.number, self.waiting.pop(0))

    def answered(self, connection: Connection, fine: bool) -> None:
        """Note an answer; the connection is free again."""
        self.latencies_ms.append((time.perf_counter() - connection.due) * 1000)
        self.refused += not fine
        self.free.append(connection)
        self.send()


async def watched(pid: int, samples: list[Sample]) -> None:
    """Sample ``pid`` every second until cancelled."""
    while True:
        samples.append(sample(pid))
        await asyncio.sleep(1)


def start(name: str, folder: Path, *options: str, **popen: Any) -> subprocess.Popen[bytes]:
    """Start the service with the logging of ``name``."""
    paths = ["--folder", str(folder), "--report", str(folder / "report.json")]
    return subprocess.Popen([sys.executable, str(SERVICE), name, *paths, *options], **popen)


def under_requests(name: str, rate: int, seconds: float, folder: Path) -> Result:
    """One contender under HTTP requests."""
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS * 2) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        process = start(name, folder, "--fd", str(fd), pass_fds=[fd])
    load, samples = Load(rate, seconds), []

    async def run() -> None:
        await Load(rate // 2 or 1, WARM_UP_SECONDS).run(port)
        watching = asyncio.create_task(watched(process.pid, samples))
        await load.run(port)
        watching.cancel()
        samples.append(sample(process.pid))

    try:
        first = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        first.request("POST", "/orders/0")
        first.getresponse().read()
        first.close()
        asyncio.run(run())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    if load.refused:
        raise SystemExit(f"{name}: {load.refused} requests were not answered with 200")
    return Result(name, len(load.latencies_ms), seconds, load.latencies_ms, samples, report(folder))


def emitting(name: str, rate: int, seconds: float, folder: Path) -> Result:
    """One contender's emitting path alone."""
    process = start(name, folder, "--rate", str(rate), "--seconds", str(seconds + WARM_UP_SECONDS))
    until = time.monotonic() + START_SECONDS
    while not (folder / "started").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(WARM_UP_SECONDS)
    samples: list[Sample] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        samples.append(sample(process.pid))
        time.sleep(1)
    if process.wait(120):
        raise SystemExit(f"{name}: ended with {process.returncode}")
    measured, told = samples[-1].at_seconds - samples[0].at_seconds, report(folder)
    return Result(name, round(told["blocks_per_second"] * measured), measured, [], samples, told)


def report(folder: Path) -> dict[str, Any]:
    """What the service itself measured."""
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def row(result: Result, floor_us: float) -> list[str]:
    """A contender's line of the table."""
    first, last = result.samples[0], result.samples[-1]
    cpu_us = cpu_of(result)
    latencies = sorted(result.latencies_ms)
    blocks, rotation = result.report["block_us"], result.report["rotation_us"]
    return [
        result.name,
        f"{result.requests / result.seconds:,.0f}",
        f"{cpu_us:,.0f}",
        f"{cpu_us - floor_us:+,.0f}",
        " / ".join(f"{latencies[int((len(latencies) - 1) * at)]:.1f}" for at in (0.5, 0.99, 1)) if latencies else "–",
        f"{first.rss_bytes / 1e6:.1f} → {last.rss_bytes / 1e6:.1f}",
        f"{written(result):,.0f}",
        f"{(last.write_calls - first.write_calls) / result.requests:.1f}",
        f"{blocks['p50']:.0f} / {blocks['p99']:.0f}",
        f"{rotation['count']}: {rotation['mean'] / 1000:.2f} / {rotation['max'] / 1000:.2f}",
    ]


HEAD = (
    "logging", "requests/s", "CPU µs/request", "over off", "latency ms p50/p99/max", "RSS MB", "written B/request",
    "writes/request", "logging µs/request p50/p99", "rotations: mean/max ms",
)  # fmt: skip


def cpu_of(result: Result) -> float:
    """CPU microseconds a request."""
    return (result.samples[-1].cpu_seconds - result.samples[0].cpu_seconds) / result.requests * 1e6


def written(result: Result) -> float:
    """Bytes given to write(2) a request, files and sockets alike."""
    return (result.samples[-1].written_bytes - result.samples[0].written_bytes) / result.requests


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    rows = [list(HEAD), ["---"] * len(HEAD), *(row(result, cpu_of(results[0])) for result in results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def chart(results: list[Result], path: Path) -> None:
    """CPU a request, and memory over time."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    bars = left.bar([result.name for result in results], [cpu_of(result) for result in results])
    left.bar_label(bars, fmt="{:,.0f}")
    left.set_ylabel("CPU µs a request")
    for result in results:
        began = result.samples[0].at_seconds
        seconds = [one.at_seconds - began for one in result.samples]
        right.plot(seconds, [one.rss_bytes / 1e6 for one in result.samples], label=result.name)
    right.set(xlabel="seconds", ylabel="resident memory, MB", ylim=(0, None))
    right.legend()
    figure.savefig(path, metadata={"Date": None})


def measured(args: argparse.Namespace, way: Any) -> list[Result]:
    """Every contender, one after the other, each in a folder of its own."""
    results = []
    for name in ORDER:
        with tempfile.TemporaryDirectory() as folder:
            results.append(way(name, args.rate, args.seconds, Path(folder)))
            print(f"{name}: done", file=sys.stderr)
    return results


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000, help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="a contender (%(default)s)")
    parser.add_argument("--emit", action="store_true", help="the emitting path only")
    parser.add_argument("--chart", type=Path, default=Path("load.svg"), help="where the chart goes (%(default)s)")
    args = parser.parse_args()
    results = measured(args, emitting if args.emit else under_requests)
    if not args.emit and any(one.requests < args.rate * args.seconds * CARRIED_SHARE for one in results):
        print(table(results))
        print(f"\n{args.rate} requests/s are not carried on this machine; the emitting path alone:\n")
        results = measured(args, emitting)
    print(table(results))
    chart(results, args.chart)
    print(f"\nchart: {args.chart}")


if __name__ == "__main__":
    main()
