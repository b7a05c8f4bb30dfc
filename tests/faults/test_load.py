"""More than the agent is built for: what cannot be read in time is counted, what can be is stored."""

import json
import random
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from python_shipper.core.ulid import new_ulid
from tests.faults.conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def settled(ground) -> list:
    """What verify says once nothing is under way."""
    rows = ground.verified(600)
    assert all(row.missing == () for row in rows), rows
    return rows


def test_rotation_storm(make_ground, make_traffic, rounds):
    """100 rotations a minute at 5,000 lines/s, five segments kept: a segment lives three seconds."""
    ground = make_ground(log_max_bytes=900_000, log_backup_count=5)
    traffic = make_traffic(ground, ("orders",))
    pid = ground.start()
    most = {"kb": 0}
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.5) and ground.alive():
            status = Path(f"/proc/{pid}/status").read_text()
            most["kb"] = max(most["kb"], int(status.partition("VmRSS:")[2].split()[0]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        traffic.start(5000)
        until(lambda: traffic.written >= 5000 * rounds(8, 120), 1000)
        traffic.stop()
        (legacy, orders) = settled(ground)
    finally:
        watching.set()
        thread.join()
    assert (orders.difference, legacy.difference) == (0, 0), (orders, legacy)
    rotations = orders.written - traffic.written
    assert rotations > 5, "no storm"
    print(f"{traffic.written} lines, {rotations} segments, {orders.unread} unread, agent {most['kb'] // 1024} MB")
    ground.assert_accepts(ground.count())
    assert most["kb"] < 400_000


def test_segments_that_outran_the_agent_are_counted(make_ground, make_traffic):
    ground = make_ground(log_max_bytes=30_000, log_backup_count=2)
    traffic = make_traffic(ground, ("orders",))
    for _ in range(500):
        traffic.log("read " + "x" * 100)
    ground.start()
    while ground.count() < 150:
        time.sleep(0.05)
    time.sleep(0.6)
    ground.end(signal.SIGTERM)
    for _ in range(3000):
        traffic.log("outran " + "x" * 100)
    ground.start()
    (orders,) = settled(ground)
    assert orders.difference == 0
    assert orders.unread > 2000
    assert orders.written >= 3500
    ground.assert_accepts(ground.count())


def test_a_line_of_20_mb(ground):
    path = ground.settings.log_dir / "big.ecs.log"

    def line(text: str) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return json.dumps({"@timestamp": now, "message": text, "event": {"id": new_ulid()}}) + "\n"

    path.write_text(line("before") + line("y" * 20_000_000) + line("after"))
    ground.start()
    while ground.count() < 3:
        time.sleep(0.1)
    by_index = {index.split("-")[1]: d for index, d in ground.documents()}
    assert by_index["dead"]["christmas"]["dead_letter"]["reason"] == "not_json"
    assert {d["message"] for i, d in ground.documents() if "logs" in i} == {"before", "after"}
    assert settled(ground)[0].difference == 0
    ground.assert_accepts(3)


def test_a_month_of_backlog(ground, rounds):
    """30 days of five services, found at the first start."""
    per_file, ids, oldest = rounds(40, 10_000), [], datetime.now(UTC) - timedelta(days=29)
    for day in range(30):
        for service in ("orders", "gateway", "analysis", "ads", "auth"):
            with (ground.settings.log_dir / f"{service}.ecs.log.{day + 1:06d}").open("w") as file:
                for number in range(per_file):
                    moment = oldest + timedelta(days=day, milliseconds=number)
                    ids.append(new_ulid(int(moment.timestamp() * 1000)))
                    event = {"@timestamp": moment.isoformat(timespec="milliseconds"), "message": f"m {number}"}
                    event |= {"service": {"name": service}, "event": {"id": ids[-1]}, "log.level": "info"}
                    file.write(json.dumps(event) + "\n")
    ground.start()
    deadline = time.monotonic() + 1200
    while ground.count() < len(ids) // random.choice([2, 3]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    ground.end()  # in the middle of it
    ground.start()
    while ground.count() < len(ids):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sorted(d["event"]["id"] for _, d in ground.documents()) == sorted(ids)
    assert all(row.difference == 0 and row.written == 30 * per_file for row in settled(ground))
    ground.assert_accepts(len(ids))
