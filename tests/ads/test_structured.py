"""StructuredLogger: fields, exceptions, and a context that no other task or thread sees, whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_shipper import StructuredLogger, bound
from python_shipper.core.formatters import EcsFormatter
from tests.ads.conftest import Events
from tests.spec.validator import checked

TASKS, THREADS = 100, 32
FIELDS = ("user_id", "order_id", "venue")
STEP = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(FIELDS)),
    st.tuples(st.sampled_from(["clear", "log", "bound"]), st.just("")),
)
PLANS = st.lists(st.lists(STEP, min_size=1, max_size=8), min_size=1, max_size=8)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_every_level_takes_fields_and_an_exception(level: str, name: str, events: Events) -> None:
    getattr(StructuredLogger(name, venue="KRX"), level)("bid failed", exception=ValueError("no price"), ad_id="ad-1")
    (event,) = events()
    assert event["log.level"] == level and event["christmas"] == {"ad": {"id": "ad-1"}, "extra": {"venue": "KRX"}}
    assert event["error"]["type"] == "ValueError" and event["error"]["message"] == "no price"


def test_the_second_argument_is_the_exception_and_a_text_in_its_place_is_kept(name: str, events: Events) -> None:
    log = StructuredLogger(name)
    log.error("one", KeyError("ad"))
    log.error(message="two", exception="not an exception")  # type: ignore[arg-type]
    one, two = events()
    assert one["error"]["type"] == "KeyError"
    assert two["christmas"]["extra"]["exception"] == "not an exception"


def test_the_calls_fields_go_over_the_context_and_the_context_over_what_is_bound(name: str, events: Events) -> None:
    log = StructuredLogger(name)
    with bound(user_id="bound", order_id="bound", ad_id="bound"):
        log.set_context(user_id="set", order_id="set")
        log.info("line", user_id="given")
        log.clear_context()
        log.info("line")
    first, second = events()
    ids = [(e["user"]["id"], e["christmas"]["order"]["id"], e["christmas"]["ad"]["id"]) for e in (first, second)]
    assert ids == [("given", "set", "bound"), ("bound", "bound", "bound")]


def test_a_context_is_its_loggers_own(name: str, events: Events) -> None:
    one, other = StructuredLogger(name), StructuredLogger(f"{name}.other")
    one.set_context(user_id="u1")
    other.info("line")
    other.clear_context()
    StructuredLogger(name).info("line")
    assert [event.get("user") for event in events()] == [None, {"id": "u1"}]
    one.clear_context()


def test_the_line_names_the_place_of_the_call(logger: logging.Logger, files: Any, events: Events) -> None:
    files.setFormatter(EcsFormatter(origin=True))
    StructuredLogger(logger.name).info("here")
    assert events()[0]["log"]["origin"]["function"] == "test_the_line_names_the_place_of_the_call"


class Worker:
    """Follows a plan, and remembers what the lines must show: nothing but what it set itself."""

    def __init__(self, log: StructuredLogger, number: int, plan: list[tuple[str, str]]) -> None:
        self.log, self.number, self.plan = log, number, plan
        self.context: dict[str, str] = {}
        self.expected: list[dict[str, str]] = []

    def steps(self) -> Iterator[None]:
        """One step of the plan at a time; others may run in between."""
        for at, (step, field) in enumerate(self.plan):
            value = f"{self.number}-{at}"
            if step == "set":
                self.log.set_context(**{field: value})
                self.context[field] = value
            elif step == "clear":
                self.log.clear_context()
                self.context.clear()
            elif step == "bound":
                with bound(ad_id=value):
                    yield
                    self.line(ad_id=value)
            yield
            self.line()
        self.log.clear_context()

    def line(self, **more: str) -> None:
        self.log.info("line", worker=str(self.number))
        self.expected.append({**self.context, **more})

    async def as_task(self) -> None:
        for _ in self.steps():
            await asyncio.sleep(0)

    def as_thread(self, barrier: threading.Barrier) -> None:
        barrier.wait()
        for _ in self.steps():
            pass


def shown(event: dict[str, Any]) -> dict[str, str]:
    """The fields that contexts set, by their short names."""
    own = event.get("christmas", {})
    found = {
        "user_id": event.get("user", {}).get("id"),
        "order_id": own.get("order", {}).get("id"),
        "ad_id": own.get("ad", {}).get("id"),
        "venue": own["extra"].get("venue"),
    }
    return {name: value for name, value in found.items() if value is not None}


def lines_by_worker(path: Path, after: int) -> tuple[dict[int, list[dict[str, str]]], int]:
    """What the lines from byte ``after`` on show, by worker; and where the file ends."""
    with path.open("rb") as file:
        file.seek(after)
        lines = file.readlines()
        end = file.tell()
    found = defaultdict(list)
    for event in map(checked, lines):
        if worker := event.get("christmas", {}).get("extra", {}).get("worker"):
            found[int(worker)].append(shown(event))
    return found, end


@pytest.mark.parametrize("kind", ["tasks", "threads"])
def test_no_line_shows_another_ones_context(kind: str, name: str, files: Any) -> None:
    log, path, end = StructuredLogger(name), files.directory / "orders.ecs.log", 0

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(plans=PLANS)
    def holds(plans: list[list[tuple[str, str]]]) -> None:
        nonlocal end
        workers = [Worker(log, n, plans[n % len(plans)]) for n in range(1, 1 + (TASKS if kind == "tasks" else THREADS))]
        if kind == "tasks":
            asyncio.run(together(workers))
        else:
            barrier = threading.Barrier(THREADS)
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda worker: worker.as_thread(barrier), workers))
        found, end = lines_by_worker(path, end)
        assert found == {worker.number: worker.expected for worker in workers if worker.expected}

    holds()


async def together(workers: list[Worker]) -> None:
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.as_task())
