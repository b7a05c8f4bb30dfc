"""PerformanceLogger: a line for each block and call, and figures that agree with the exact ones."""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_shipper import PerformanceLogger, bound, get_logger
from python_shipper.ads import performance
from python_shipper.ads.spread import Spread
from python_shipper.errors import ConfigurationError
from tests.ads.conftest import Events

FIGURES = {"count", "mean_ms", "median_ms", "min_ms", "max_ms", "stdev_ms", "p95_ms", "p99_ms"}


@given(st.lists(st.floats(1e-4, 1e7), min_size=1, max_size=300))
def test_figures_are_exact_or_within_half_a_percent(values: list[float]) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)
    found, ranked = spread.summary(), sorted(values)
    assert (found["count"], found["min_ms"], found["max_ms"]) == (len(values), ranked[0], ranked[-1])
    assert found["mean_ms"] == pytest.approx(statistics.fmean(values))
    spread_out = statistics.stdev(values) if len(values) > 1 else 0.0
    assert found["stdev_ms"] == pytest.approx(spread_out, rel=1e-6, abs=ranked[-1] * 1e-7)
    for name, percent in (("median_ms", 50), ("p95_ms", 95), ("p99_ms", 99)):
        assert found[name] == pytest.approx(ranked[max(1, ceil(len(values) * percent / 100)) - 1], rel=0.005)


def test_memory_does_not_grow_with_the_number_of_durations() -> None:
    spread = Spread()
    for n in range(200_000):
        spread.add(0.0 if n % 7 == 0 else 10.0 ** (n % 17 - 5) * (1 + n % 1000 / 1000))
    assert spread.count == 200_000 and len(spread._buckets) < 3_300


def test_a_block_is_measured_with_its_tags_in_sync_and_async_code(name: str, events: Events) -> None:
    measured = PerformanceLogger(name)

    async def score() -> None:
        async with measured.measure_time("score", campaign_id="c-1", kind="a tag"):
            await asyncio.sleep(0)

    with measured.measure_time("rank", venue="KRX"):
        pass
    asyncio.run(score())
    first, second = events()
    assert first["event"]["action"] == "measured" and first["event"]["duration"] > 0
    assert first["event"]["outcome"] == "success" and first["christmas"]["operation"] == "rank"
    assert first["christmas"]["extra"] == {"venue": "KRX"}
    assert second["christmas"] == {"campaign": {"id": "c-1"}, "operation": "score", "extra": {"kind": "a tag"}}
    assert {name: set(figures) for name, figures in measured.get_performance_summary().items()} == {
        "rank": FIGURES,
        "score": FIGURES,
    }


@pytest.mark.parametrize(
    ("error", "level", "outcome"),
    [(ValueError("no price"), "error", "failure"), (asyncio.CancelledError(), "warning", "unknown")],
)
def test_an_exception_passes_and_is_named(
    error: BaseException, level: str, outcome: str, name: str, events: Events
) -> None:
    measured = PerformanceLogger(name)
    with pytest.raises(type(error)), measured.measure_time("rank"):
        raise error
    (event,) = events()
    assert (event["log.level"], event["event"]["outcome"]) == (level, outcome)
    assert event["message"].startswith("rank failed after " if level == "error" else "rank interrupted after ")
    assert event["error"]["type"] == type(error).__name__ and "stack_trace" not in event["error"]
    assert measured.get_performance_summary()["rank"]["count"] == 1


def test_a_call_is_started_and_succeeds_under_one_request_id(name: str, events: Events) -> None:
    measured = PerformanceLogger(name)

    @measured.log_api_call
    def pay(account_number: str, amount: int, note: str, many: list[int]) -> int:
        get_logger(name).info("within")
        return amount

    assert pay("110-234-567890", 5, note="x" * 99 + " kim@example.com", many=list(range(10**6))) == 5
    assert pay.__name__ == "pay"
    started, within, ended = events()
    given = started["christmas"]["extra"]["arguments"]
    assert given["account_number"] == "***7890" and given["amount"] == 5
    assert len(given["note"]) == 100 and "kim" not in given["note"] and given["many"].startswith("[0, 1, 2")
    assert all(len(str(value)) <= 100 for value in given.values())
    actions = [started["event"]["action"], ended["event"]["action"]]
    assert actions == ["api_call_started", "api_call_succeeded"]
    ids = {event["christmas"]["request"]["id"] for event in (started, within, ended)}
    assert len(ids) == 1 and len(ids.pop()) == 16


def test_a_coroutine_fails_under_the_request_id_it_was_given(name: str, events: Events) -> None:
    measured = PerformanceLogger(name)

    @measured.log_api_call("exchange.bid")
    async def bid(request_id: str) -> None:
        await asyncio.sleep(0)
        raise TimeoutError("exchange")

    with pytest.raises(TimeoutError):
        asyncio.run(bid("r-1"))
    started, ended = events()
    assert [event["christmas"]["request"]["id"] for event in (started, ended)] == ["r-1", "r-1"]
    assert (ended["event"]["action"], ended["event"]["outcome"]) == ("api_call_failed", "failure")
    assert ended["error"] == {"type": "TimeoutError", "message": "exchange"}
    assert list(measured.get_performance_summary()) == ["exchange.bid"]


def test_the_contexts_request_id_is_kept_and_afterwards_restored(name: str, events: Events) -> None:
    measured = PerformanceLogger(name)

    @measured.log_api_call()
    def work() -> None:
        pass

    work()
    with bound(request_id="r-2"):
        work()
    get_logger(name).info("after")
    *calls, after = events()
    assert [event["christmas"]["request"]["id"] for event in calls[2:]] == ["r-2", "r-2"]
    assert "christmas" not in after


def test_an_argument_that_cannot_be_shown_and_one_too_few_cost_nothing_but_themselves(
    name: str, events: Events
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    measured = PerformanceLogger(name)

    @measured.log_api_call
    def work(value: Any) -> int:
        return 1

    assert work(Broken()) == 1
    with pytest.raises(TypeError):
        work()  # type: ignore[call-arg]
    assert [event["event"]["action"].rpartition("_")[2] for event in events()] == [
        "started", "succeeded", "started", "failed",
    ]  # fmt: skip


def test_a_generator_is_refused_where_it_is_decorated() -> None:
    with pytest.raises(ConfigurationError, match="generator"):

        @PerformanceLogger().log_api_call
        def rows() -> Any:
            yield 1


def test_an_operation_that_is_no_text_costs_the_block_nothing(name: str, events: Events) -> None:
    measured = PerformanceLogger(name)
    for operation in (None, 5, ["a"], {"b": 1}, "\ud800"):
        with measured.measure_time(operation):  # type: ignore[arg-type]
            pass
    assert list(measured.get_performance_summary()) == ["None", "5", "['a']", "{'b': 1}", "\ud800"]
    assert len(events()) == 5


def test_threads_and_tasks_are_counted_without_loss() -> None:
    measured = PerformanceLogger("tests.silent")
    barrier, interval = threading.Barrier(8), sys.getswitchinterval()

    def work(_: int) -> None:
        barrier.wait()
        for _ in range(500):
            with measured.measure_time("work"):
                pass

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert measured.get_performance_summary()["work"]["count"] == 4_000


def test_operations_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "OPERATIONS", 2)
    measured = PerformanceLogger("tests.silent")
    for operation in ("a", "b", "c", "d", "a"):
        with measured.measure_time(operation):
            pass
    counts = {name: figures["count"] for name, figures in measured.get_performance_summary().items()}
    assert counts == {"a": 2, "b": 1, "(others)": 2}
    assert PerformanceLogger().get_performance_summary() == {}
