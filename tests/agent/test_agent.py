"""The agent on real files, with the real store: each line once, counted, verified."""

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from python_shipper.agent import Agent, dead_letters
from python_shipper.agent.verify import verify
from python_shipper.core.clock import now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import StoreLockedError
from python_shipper.settings import Settings
from python_shipper.store import DEAD_LETTERS, LOGS
from python_shipper.store.tantivy import TantivyStore


class Stack:
    """An agent with its folders and a reader of its store."""

    def __init__(self, root: Path) -> None:
        self.settings = dataclasses.replace(Settings(), log_dir=root / "logs", data_dir=root / "data")
        self.logs = self.settings.log_dir
        self.logs.mkdir()
        self.store = TantivyStore.open(self.settings.data_dir)
        self.agent = Agent(self.settings)

    def write(self, name: str, *lines: str) -> list[str]:
        """Append lines to a file."""
        with (self.logs / name).open("a") as file:
            file.writelines(line + "\n" for line in lines)
        return list(lines)

    def restart(self) -> None:
        """Stop, and start another agent on the same folders."""
        self.agent.stop()
        self.agent = Agent(self.settings)
        self.agent.start()

    def stored(self, index: str = LOGS) -> list[str]:
        """The ids in the store."""
        hits = self.store.search(index, {"size": 10_000, "_source": False})["hits"]["hits"]
        return [hit["_id"] for hit in hits]


def event(message: str = "hello", service: str = "orders", **more: object) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"@timestamp": now, "log.level": "info", "message": message, "ecs.version": "9.4.0"}
    return json.dumps(fields | {"service": {"name": service}, "event": {"id": new_ulid()}} | more)


def id_of(line: str) -> str:
    return json.loads(line)["event"]["id"]


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    stack.agent.start()
    yield stack
    stack.agent.stop()


def test_a_written_line_is_found(stack):
    (line,) = stack.write("orders.ecs.log", event("order executed"))
    until(lambda: stack.stored() == [id_of(line)])
    hit = stack.store.search(LOGS, {"query": {"match": {"message": "executed"}}})["hits"]["hits"][0]
    assert hit["_index"].startswith("christmas-logs-orders-")
    assert hit["_source"]["log"]["file"]["path"] == str(stack.logs / "orders.ecs.log")


def test_nothing_is_lost_or_twice_across_restarts_and_rotation(stack):
    written = []
    for rotation in range(1, 5):
        written += stack.write("orders.ecs.log", *(event(f"{rotation} {n}") for n in range(300)))
        (stack.logs / "orders.ecs.log").rename(stack.logs / f"orders.ecs.log.{rotation:06d}")
        written += stack.write("orders.ecs.log", *(event(f"{rotation} {n}") for n in range(50)))
        stack.restart()
    until(lambda: len(stack.stored()) >= len(written))
    stack.restart()
    assert sorted(stack.stored()) == sorted(map(id_of, written))


def test_a_repeated_id_is_ignored_and_one_with_other_content_counted(stack):
    line = event("first")
    stack.write("orders.ecs.log", line, line, line.replace("first", "other"))
    until(lambda: stack.agent.status().get("known_total") == 2)
    assert stack.agent.status()["differing_total"] == 1
    until(lambda: stack.stored() == [id_of(line)])
    (row,) = verify(stack.settings, stack.store)
    assert (row.written, row.stored, row.repeated, row.difference) == (3, 1, 2, 0)


def test_dead_letters_are_kept_listed_and_replayed(stack):
    stack.write("orders.ecs.log", event(), "not json", '{"message": "no time"}')
    until(lambda: len(stack.stored(DEAD_LETTERS)) == 2)
    listed = dead_letters.list_(stack.settings, stack.store)
    assert {(letter.reason, letter.state) for letter in listed} == {("not_json", "kept"), ("no_timestamp", "kept")}
    assert dead_letters.replay(stack.settings) == dead_letters.Replayed(0, 2)
    stack.agent.stop()
    assert dead_letters.replay(stack.settings) == dead_letters.Replayed(0, 2)


def test_a_replay_after_the_fix_stores_the_line_once(stack):
    spool = dead_letters.Spool(stack.settings.data_dir)
    line = event("was refused once")
    source = dead_letters.Source(str(stack.logs / "orders.ecs.log"), "f" * 64, 7)
    routed = dead_letters.Pipeline().refused(line.encode(), source, "christmas-logs-orders-2026.01.01", 0)
    spool.keep([dead_letters.Letter(line.encode(), source, routed)], now_ms())
    assert dead_letters.replay(stack.settings) == dead_letters.Replayed(1, 0)
    assert stack.stored() == [id_of(line)]
    assert dead_letters.replay(stack.settings) == dead_letters.Replayed(0, 0)
    assert spool.rows("SELECT state, raw FROM letters") == [("replayed", None)]
    spool.close()


def test_a_full_spool_is_said_and_nothing_is_dropped(tmp_path, caplog):
    spool = dead_letters.Spool(tmp_path, most_bytes=10)
    source = dead_letters.Source("/logs/orders.ecs.log", "f" * 64, 0)
    for raw in (b"12345678", b"rubbish number two", b"three"):
        routed = dead_letters.Pipeline().process(raw, source, 0)
        spool.keep([dead_letters.Letter(raw, source, routed)], 0)
    assert spool.full and caplog.text.count("is full") == 1
    assert [raw for (raw,) in spool.rows("SELECT raw FROM letters ORDER BY rowid")] == [b"12345678", None, None]
    spool.close()


def test_it_tells_about_itself(stack, monkeypatch, caplog):
    monkeypatch.setattr("python_shipper.agent.agent.OBSERVE_SECONDS", 0.05)
    caplog.set_level("INFO", "python_shipper.agent")
    stack.write("orders.ecs.log", event())
    until(lambda: any(getattr(record, "agent", {}).get("stored_total") == 1 for record in caplog.records))
    assert "bytes behind" in caplog.text


def test_two_agents_do_not_share_a_store(stack):
    with pytest.raises(StoreLockedError, match="another process"):
        Agent(stack.settings).start()


def test_a_lost_day_is_filled_again_from_the_files(stack):
    written = stack.write("orders.ecs.log", *(event(str(n)) for n in range(100)))
    until(lambda: len(stack.stored()) == 100)
    stack.agent.stop()
    for path in (stack.settings.data_dir / "store" / "logs").rglob("*"):
        if path.is_file():
            path.unlink()
    stack.restart()
    until(lambda: len(stack.stored()) == 100)
    assert sorted(stack.stored()) == sorted(map(id_of, written))
    assert verify(stack.settings, stack.store)[0].difference == 0


@pytest.mark.parametrize("damage", [b"", b"rubbish" * 5000])
def test_a_lost_or_damaged_checkpoint_costs_no_line(stack, damage):
    written = stack.write("orders.ecs.log", *(event(str(n)) for n in range(100)), "not json")
    until(lambda: len(stack.stored("christmas-*")) == 101)
    stack.agent.stop()
    for path in stack.settings.data_dir.glob("checkpoint.sqlite3*"):
        path.unlink()
    (stack.settings.data_dir / "checkpoint.sqlite3").write_bytes(damage)
    stack.restart()
    written += stack.write("orders.ecs.log", event("fresh"))
    until(lambda: stack.agent.status().get("lines_total") == 102)
    until(lambda: len(stack.stored("christmas-*")) == 102)
    assert len(set(stack.stored("christmas-*"))) == 102
    (row,) = verify(stack.settings, stack.store)
    assert (row.stored, row.dead_lettered, row.repeated, row.difference) == (101, 1, 0, 0)


def test_verify_names_what_is_missing(stack):
    written = stack.write("orders.ecs.log", *(event(str(n)) for n in range(5)))
    until(lambda: len(stack.stored()) == 5)
    stack.agent.stop()
    late = event("nobody reads this")
    stack.write("orders.ecs.log", late)
    (row,) = verify(stack.settings, stack.store, patience_seconds=0)
    assert (row.written, row.stored, row.difference, row.missing) == (6, 5, 1, (id_of(late),))
    assert written


def test_status_can_be_asked_while_files_come_and_go(stack):
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(30):
                stack.write(f"s{number}.ecs.log", event("x" * 100))
            for path in stack.logs.glob("*.ecs.log"):
                path.unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    for _ in range(200):
        assert stack.agent.status()["state"] == "running"
    stop.set()
    thread.join()


def test_listeners_get_each_stored_log_once_across_restarts_and_repeated_lines(stack):
    heard: list[bytes] = []

    def deaf(sources: list[bytes]) -> None:
        raise ValueError("a fault of its own")

    def listen() -> None:
        stack.agent.stop()
        stack.agent = Agent(stack.settings, committed=[deaf, heard.extend])
        stack.agent.start()

    listen()
    written = stack.write("orders.ecs.log", *(event(str(n)) for n in range(20)))
    stack.write("orders.ecs.log", written[0], "not json")
    until(lambda: len(heard) == 20)
    until(lambda: len(stack.stored(DEAD_LETTERS)) == 1)
    assert stack.agent.status()["listener_faults_total"] >= 1
    stack.agent.stop()
    for file in stack.settings.data_dir.glob("checkpoint*"):
        file.unlink()  # all is read again, and is in the store already
    listen()
    written += stack.write("orders.ecs.log", event("last"))
    until(lambda: len(stack.stored()) == 21)
    stack.agent.stop()
    assert sorted(json.loads(source)["event"]["id"] for source in heard) == sorted(map(id_of, written))
    assert "_index" not in json.loads(heard[0])


def test_what_a_listener_hears_is_in_the_store_even_after_a_kill(tmp_path):
    stack, heard = Stack(tmp_path), tmp_path / "heard"
    stack.write("orders.ecs.log", *(event(str(n)) for n in range(50)))
    pid = os.fork()
    if not pid:

        def note_and_die(sources: list[bytes]) -> None:
            heard.write_bytes(b"\n".join(sources))
            os._exit(9)

        agent = Agent(stack.settings, committed=[note_and_die])
        agent.start()
        time.sleep(20)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    told = [json.loads(source)["event"]["id"] for source in heard.read_bytes().splitlines()]
    assert told
    assert set(told) <= set(stack.stored())
    again: list[bytes] = []
    stack.agent = Agent(stack.settings, committed=[again.extend])
    stack.agent.start()
    (line,) = stack.write("orders.ecs.log", event("after"))
    until(lambda: id_of(line) in [json.loads(source)["event"]["id"] for source in again])
    stack.agent.stop()
    assert not set(told) & {json.loads(source)["event"]["id"] for source in again}
