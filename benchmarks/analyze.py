"""A full report on 1,000,000 lines, beside the script that anybody would write and a bare scan of the same files.

    pip install -r benchmarks/requirements.txt
    python benchmarks/analyze.py [--lines 1000000] [--rounds 3] [--json FILE]

Every contender reads the same ECS files (about 470 bytes a line) in a process of its own, in turn; the table gives CPU
time (user and system) and time on the wall of the best round, and the most memory of any. The script parses line by
line with ``json.loads`` and takes quantiles with pandas, and knows well-formed ECS lines only. The scan is DuckDB's own
of every column (``read_json_auto``), which asks nothing but how many values there are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.lines import write_lines

SCAN = "SELECT count(COLUMNS(*)) FROM read_json_auto(?)"


def report(folder: Path) -> object:
    """Ours: everything that `shipper analyze` tells."""
    from python_shipper import AdLogAnalyzer

    return AdLogAnalyzer(folder).analyze_logs()["summary"]["total_records"]


def script(folder: Path) -> object:
    """The obvious script: a loop, a few dicts, and pandas for the quantiles; the same figures as the report's."""
    import pandas

    events, errors, services, levels, minutes = (Counter() for _ in range(5))
    fingerprints, first, durations = Counter(), {}, defaultdict(list)
    funnel, revenue, seen, traces, total = defaultdict(Counter), Counter(), set(), {}, 0
    for path in sorted(folder.glob("*.log")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    found = json.loads(line)
                    when = datetime.fromisoformat(found["@timestamp"]).timestamp() * 1000
                except (ValueError, KeyError):
                    continue
                event, error, christmas = (found.get(name, {}) for name in ("event", "error", "christmas"))
                if event.get("id") in seen:
                    continue
                seen.add(event.get("id"))
                total += 1
                service, level, action = (
                    found.get("service", {}).get("name"),
                    found.get("log.level"),
                    event.get("action"),
                )
                failed = "type" in error or level in ("error", "critical", "fatal")
                services[service] += 1
                levels[level] += 1
                minutes[when // 60_000, failed] += 1
                if action is not None:
                    events[action] += 1
                if failed:
                    errors[error.get("type")] += 1
                    way = hash((error.get("type"), re.sub("[0-9]+", "0", error.get("stack_trace") or found["message"])))
                    fingerprints[way] += 1
                    first.setdefault(way, (when, found.get("trace", {}).get("id")))
                duration = event.get("duration")
                if duration is not None:
                    durations[christmas.get("operation") or action].append(duration / 1e6)
                if "campaign" in christmas:
                    funnel[christmas["campaign"].get("id")][action] += 1
                    revenue[christmas["campaign"].get("id")] += christmas.get("conversion", {}).get("value", 0)
                if "trace" in found:
                    begin, end, count = traces.get(found["trace"]["id"], (when, when, 0))
                    traces[found["trace"]["id"]] = min(begin, when - (duration or 0) / 1e6), max(end, when), count + 1
    slowest = sorted(traces, key=lambda trace: traces[trace][0] - traces[trace][1])[:20]
    quantiles = {name: pandas.Series(values).quantile([0.5, 0.95, 0.99]).tolist() for name, values in durations.items()}
    assert quantiles and slowest
    return total


def scan(folder: Path) -> object:
    """The floor: the same bytes read and parsed."""
    import duckdb

    connection = duckdb.connect(config={"threads": len(os.sched_getaffinity(0))})
    return connection.execute(SCAN, [[str(path) for path in sorted(folder.glob("*.log"))]]).fetchall()[0][0]


CONTENDERS = {"shipper analyze": report, "json.loads + pandas": script, "DuckDB scan": scan}


def measured(name: str, folder: Path) -> dict[str, float]:
    """One contender in a process of its own: seconds of CPU and on the wall, and its most memory in MB."""
    command = [sys.executable, __file__, "--only", name, "--folder", str(folder)]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, name
    took = {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.monotonic() - began, "memory": usage.ru_maxrss / 1000}
    return took | {"lines": int(said)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(CONTENDERS[given.only](given.folder))
        return
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="shipper-benchmark-") as temporary:
        folder = Path(temporary) / "logs"
        with console.status(f"writing {given.lines:,} lines"):
            write_lines(folder, given.lines, 1)
        size = sum(path.stat().st_size for path in folder.iterdir())
        rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
        for number in range(given.rounds):
            for name in given.contenders:
                with console.status(f"round {number + 1}: {name}"):
                    rounds[name].append(measured(name, folder))
    found = {
        name: {key: (max if key == "memory" else min)(each[key] for each in of) for key in of[0]}
        for name, of in rounds.items()
    }
    ours = found.get("shipper analyze")
    table = Table("", "CPU s", "wall s", "memory MB", "ours is × as fast (CPU)", "(wall)")
    for name, row in found.items():
        ratios = [f"{row[key] / ours[key]:.2f}" if ours else "" for key in ("cpu", "wall")]
        table.add_row(name, f"{row['cpu']:.2f}", f"{row['wall']:.2f}", f"{row['memory']:.0f}", *ratios)
    Console().print(f"{given.lines:,} lines, {size / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}", table)
    if given.json:
        given.json.write_text(json.dumps({"lines": given.lines, "bytes": size, "contenders": found}, indent=2))


if __name__ == "__main__":
    main()
