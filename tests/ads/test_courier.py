"""The queue between a logging call and a far side: bounded, patient, and never in the caller's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from python_shipper.ads import courier
from python_shipper.ads.courier import Courier
from python_shipper.alerts.answer import Answer

LIMIT = 60.0  # seconds for what is certain to happen
TAKEN, LATER = Answer(taken=True, said=""), Answer(taken=False, said="later")
Made = Callable[..., Courier[int]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setattr(courier, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(courier, "CLOSE_SECONDS", 0.3)
    couriers: list[Courier[int]] = []

    def make(send: Callable[[list[int]], Answer], **options: int) -> Courier[int]:
        couriers.append(Courier("test", send, **options))
        return couriers[-1]

    yield make
    for each in couriers:
        each.close()


def test_what_waits_goes_in_batches_in_its_order(made: Made) -> None:
    batches: list[list[int]] = []
    gate = threading.Event()

    def send(things: list[int]) -> Answer:
        gate.wait(LIMIT)
        batches.append(things)
        return TAKEN

    found = made(send, batch=4)
    for n in range(10):
        assert found.put(n)
    gate.set()
    assert found.flush(LIMIT)
    assert [thing for batch in batches for thing in batch] == list(range(10))
    assert max(map(len, batches)) <= 4 and len(batches) <= 4
    assert (found.sent, found.failed, found.dropped) == (10, 0, 0)


def test_a_full_queue_drops_and_counts_and_does_not_wait(made: Made) -> None:
    gate = threading.Event()
    found = made(lambda things: TAKEN if gate.wait(LIMIT) else LATER, batch=1, capacity=3)
    took = [found.put(n) for n in range(10)]
    assert took.count(False) == found.dropped >= 6
    gate.set()
    assert found.flush(LIMIT) and found.sent == took.count(True)


def test_it_tries_until_taken(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [LATER, Answer(taken=False, said="slow down", retry_after_seconds=0.3), TAKEN]
    found = made(lambda things: answers.pop(0))
    began = time.monotonic()
    found.put(1)
    assert found.flush(LIMIT) and answers == []
    assert time.monotonic() - began >= 0.3  # what the far side asked for
    assert (found.sent, found.failed) == (1, 0)
    assert capsys.readouterr().err == "python_shipper: test: later; it is tried again\n"


def test_what_is_refused_or_nobody_takes_is_given_up(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(taken=False, said="no such hook", refused=True), TAKEN]
    found = made(lambda things: answers.pop(0) if answers else LATER, batch=1)
    found.put(1)
    found.put(2)
    assert found.flush(LIMIT)
    assert (found.sent, found.failed) == (1, 1)
    monkeypatch.setattr(courier, "PATIENCE_SECONDS", 0.1)
    found.put(3)
    assert found.flush(LIMIT) and found.failed == 2


def test_a_fault_in_sending_ends_nothing(made: Made) -> None:
    def send(things: list[int]) -> Answer:
        if things == [1]:
            raise RuntimeError("ours")
        return TAKEN

    found = made(send, batch=1)
    found.put(1)
    found.put(2)
    assert found.flush(LIMIT) and (found.sent, found.failed) == (1, 1)


def test_closing_is_bounded_and_takes_nothing_more(made: Made) -> None:
    found = made(lambda things: LATER)
    found.put(1)
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < LIMIT  # nobody ever takes it
    assert not found.put(2) and found.dropped == 1


def test_a_forked_child_sends_its_own_and_not_its_parents(made: Made) -> None:
    gate, sent = threading.Event(), os.pipe()

    def send(things: list[int]) -> Answer:
        gate.wait(LIMIT)
        os.write(sent[1], b"".join(b"%d %d\n" % (os.getpid(), thing) for thing in things))
        return TAKEN

    found = made(send)
    found.put(1)
    child = os.fork()
    if not child:
        gate.set()
        found.put(2)
        os._exit(0 if found.flush(LIMIT) else 1)
    assert os.waitpid(child, 0)[1] == 0
    gate.set()
    assert found.flush(LIMIT)
    lines = {tuple(map(int, line.split())) for line in os.read(sent[0], 1000).splitlines()}
    assert lines == {(child, 2), (os.getpid(), 1)}


EXITING = """
import sys, time
from python_shipper.ads import courier
from python_shipper.alerts.answer import Answer
courier.CLOSE_SECONDS = float(sys.argv[1])
def send(things):
    time.sleep(float(sys.argv[2]))
    print(*things, flush=True)
    return Answer(taken=True, said="")
one = courier.Courier("test", send)
one.put("last words")
"""


def test_the_end_of_a_process_sends_what_waits(made: Made) -> None:
    ended = subprocess.run([sys.executable, "-c", EXITING, "60", "0.2"], capture_output=True, text=True, timeout=LIMIT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "last words\n", "")


def test_but_does_not_wait_for_ever(made: Made) -> None:
    ended = subprocess.run([sys.executable, "-c", EXITING, "0.2", "600"], capture_output=True, text=True, timeout=LIMIT)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_signal_handler_that_logs_does_not_lock_up(made: Made) -> None:
    found = made(lambda things: TAKEN)
    before = signal.signal(signal.SIGALRM, lambda *_: found.put(0))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for n in range(20_000):
            found.put(n)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found.flush(LIMIT)
