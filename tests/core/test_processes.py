"""Several processes, forks, signals and sudden ends: nothing that a logging call accepted is lost, torn or doubled."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from python_shipper.core.slots import Slot

START = """
    import logging, os, signal, sys, threading, time
    from pathlib import Path
    from python_shipper.core.handlers import FilesHandler
    from python_shipper.core.queue import QueuedFilesHandler
    from python_shipper.core.logger import get_logger
    from python_shipper.settings import Settings

    folder, records, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    settings = Settings(log_max_bytes=size, log_backup_count=100_000)
    stock, quick = logging.getLogger("a.b"), get_logger("a.b")
    logging.getLogger().setLevel(logging.INFO)

    def use(handler):
        logging.getLogger().addHandler(handler)
        return handler
"""
WORK = """
    use(FilesHandler("orders", folder, settings=settings))
    for n in range(records):
        if n % 2:
            stock.info("work", extra={"worker": os.getpid(), "n": n})
        else:
            quick.info("work", worker=os.getpid(), n=n)
"""


def script(body: str, folder: Path, records: int = 0, size: int = 10_000_000) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(START) + textwrap.dedent(body), str(folder), str(records), str(size)]


def run(body: str, folder: Path, records: int = 0, *, code: int = 0) -> str:
    done = subprocess.run(script(body, folder, records), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def events(folder: Path) -> list[dict]:
    """Every event of every segment of every slot but headers; each line must be whole."""
    found = []
    for path in folder.glob("orders*.ecs.log*"):
        content = path.read_bytes()
        assert content.endswith(b"\n")
        found += [json.loads(line) for line in content.splitlines()]
    return [event for event in found if event["event"].get("action") != "segment-opened"]


def check_work(folder: Path, workers: int, records: int) -> None:
    """Nothing lost, torn or doubled; headers' counts agree with what is there."""
    found = events(folder)
    done = Counter((event["christmas"]["extra"]["worker"], event["christmas"]["extra"]["n"]) for event in found)
    assert len(found) == len(done) == workers * records
    assert len({event["event"]["id"] for event in found}) == len(found)
    assert len({worker for worker, _ in done}) == workers
    for open_segment in folder.glob("orders*.ecs.log"):
        before = 0
        for path in [*sorted(folder.glob(open_segment.name + ".*")), open_segment]:
            lines = path.read_bytes().splitlines()
            assert json.loads(lines[0])["christmas"]["segment"]["lines"] == before
            before += len(lines)
    (daily,) = folder.glob("orders.daily.*.log")
    assert len({json.loads(line)["event"]["id"] for line in daily.open("rb")}) == len(found)


def work(folder: Path, workers: int, records: int, size: int) -> None:
    running = [subprocess.Popen(script(WORK, folder, records, size)) for _ in range(workers)]
    assert [process.wait(timeout=120) for process in running] == [0] * workers
    check_work(folder, workers, records)


def test_four_processes_through_rotations(tmp_path: Path) -> None:
    work(tmp_path, workers=4, records=600, size=30_000)
    assert len(list(tmp_path.glob("orders*.ecs.log.*"))) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(int(os.environ.get("EMIT_RUNS", "1"))))
def test_four_processes_of_fifty_thousand_records_through_twenty_rotations(tmp_path: Path, attempt: int) -> None:
    work(tmp_path, workers=4, records=50_000, size=600_000)
    assert len(list(tmp_path.glob("orders*.ecs.log.*"))) >= 20


def test_a_slot_is_taken_once_and_free_again_when_its_process_is_gone(tmp_path: Path) -> None:
    first, second = Slot.take(tmp_path, "orders"), Slot.take(tmp_path, "orders")
    assert [slot.stem for slot in (first, second)] == ["orders", "orders.1"]
    first.free()
    assert run(
        "print(__import__('python_shipper.core.slots').core.slots.Slot.take(folder, 'orders').stem)", tmp_path
    ) == ("orders\n")
    third = Slot.take(tmp_path, "orders")
    assert third.stem == "orders"
    second.free()
    third.free()


@pytest.mark.slow
def test_a_restarted_process_goes_on_with_its_slot(tmp_path: Path) -> None:
    for _ in range(3):
        run(WORK, tmp_path, 10)
    assert [path.name for path in tmp_path.glob("*.ecs.log*")] == ["orders.ecs.log"]
    check_work(tmp_path, 3, 10)


def test_forked_children_take_slots_and_ids_of_their_own(tmp_path: Path) -> None:
    body = """
        handler = use(FilesHandler("orders", folder, settings=settings))
        quick.info("before the fork", worker=os.getpid(), n=0)
        children = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                for n in range(50):
                    quick.info("child", worker=os.getpid(), n=n)
                os._exit(0)
            children.append(pid)
        for n in range(1, 50):
            quick.info("parent", worker=os.getpid(), n=n)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
    """
    run(body, tmp_path)
    check_work(tmp_path, 4, 50)
    parent = [event for event in events(tmp_path) if event["message"] == "parent"]
    assert len(parent) == 49
    assert (tmp_path / "orders.ecs.log").read_bytes().count(b'"message":"parent"') == 49


@pytest.mark.slow
def test_preloaded_workers_do_not_share_the_masters_file(tmp_path: Path) -> None:
    body = """
        use(FilesHandler("orders", folder, settings=settings))  # configured before the fork, nothing written yet
        for _ in range(2):
            if os.fork() == 0:
                for n in range(20):
                    stock.info("child", extra={"worker": os.getpid(), "n": n})
                os._exit(0)
        os.wait(), os.wait()
    """
    run(body, tmp_path)
    check_work(tmp_path, 2, 20)


@pytest.mark.slow
def test_a_fork_while_other_threads_log_blocks_nobody(tmp_path: Path) -> None:
    body = """
        use(FilesHandler("orders", folder, settings=settings))
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                quick.info("thread", worker=os.getpid(), n=time.time_ns())
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                quick.info("child", worker=os.getpid(), n=1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
    """
    run(body, tmp_path)
    found = events(tmp_path)
    assert sum(event["message"] == "child" for event in found) == 20
    assert len({event["event"]["id"] for event in found}) == len(found)


@pytest.mark.slow
def test_threads_lose_and_mix_nothing(tmp_path: Path) -> None:
    body = """
        use(FilesHandler("orders", folder, settings=Settings(log_max_bytes=20_000, log_backup_count=1000)))
        def busy(worker):
            for n in range(300):
                quick.info("thread", worker=worker, n=n)
        threads = [threading.Thread(target=busy, args=(worker,)) for worker in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    run(body, tmp_path)
    check_work(tmp_path, 6, 300)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_was_logged_survives_a_sudden_end(tmp_path: Path, end: str) -> None:
    code = -signal.SIGKILL if "KILL" in end else 0
    run(WORK + f"\n    {end}\n", tmp_path, 500, code=code)
    check_work(tmp_path, 1, 500)


QUEUE = """
    handler = use(QueuedFilesHandler("orders", folder, settings=settings, capacity=100_000))
    for n in range(records):
        quick.info("work", worker=os.getpid(), n=n)
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("handler.flush(); os._exit(0)", 0),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)", -signal.SIGTERM),
    ],
)
def test_a_queue_is_drained(tmp_path: Path, end: str, code: int) -> None:
    run(QUEUE + f"\n    {end}\n", tmp_path, 3_000, code=code)
    check_work(tmp_path, 1, 3_000)


def test_a_queue_is_drained_before_a_fork_and_starts_empty_in_the_child(tmp_path: Path) -> None:
    body = """
    if os.fork() == 0:
        for n in range(records):
            quick.info("work", worker=os.getpid(), n=n)
        handler.flush()
        os._exit(0)
    os.wait()
    """
    run(QUEUE + body, tmp_path, 1_000)
    check_work(tmp_path, 2, 1_000)


@pytest.mark.slow
def test_another_handler_of_sigterm_is_left_alone(tmp_path: Path) -> None:
    body = """
        signal.signal(signal.SIGTERM, lambda *_: (print("mine"), sys.exit(0)))
        use(QueuedFilesHandler("orders", folder, settings=settings, capacity=10))
        quick.info("work", worker=1, n=1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    """
    assert run(body, tmp_path) == "mine\n"
    check_work(tmp_path, 1, 1)


def test_a_signal_handler_may_log_whatever_it_interrupts(tmp_path: Path) -> None:
    body = """
        use(FilesHandler("orders", folder, settings=Settings(log_max_bytes=20_000, log_backup_count=1000)))
        count = 0
        def interrupt(*_):
            global count
            quick.info("signal", worker=2, n=count)
            count += 1
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for n in range(8_000):
            quick.info("work", worker=1, n=n)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(count)
    """
    interruptions = int(run(body, tmp_path))
    found = events(tmp_path)
    assert interruptions > 0
    assert len({event["event"]["id"] for event in found}) == len(found) == 8_000 + interruptions


@pytest.mark.slow
def test_a_process_that_never_logs_leaves_no_files(tmp_path: Path) -> None:
    run('use(FilesHandler("orders", folder / "logs", settings=settings))', tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_waiting_processes_keep_their_slots(tmp_path: Path) -> None:
    holder = subprocess.Popen(script(WORK + "\n    print(flush=True); time.sleep(30)\n", tmp_path, 1), stdout=-1)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        run(WORK, tmp_path, 1)
        assert sorted(path.name for path in tmp_path.glob("*.ecs.log")) == ["orders.1.ecs.log", "orders.ecs.log"]
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    time.sleep(0.05)
    run(WORK, tmp_path, 1)
    assert len(list(tmp_path.glob("*.ecs.log"))) == 2
