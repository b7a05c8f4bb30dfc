"""ContextualLogger: default fields, nested contexts, and never a foreign field on a line, whatever runs beside it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_shipper import ContextualLogger, bound, get_logger
from python_shipper.core.formatters import EcsFormatter
from tests.ads.conftest import Events
from tests.spec.validator import checked

TASKS, THREADS = 100, 32
FIELDS = ("user_id", "order_id", "venue")
# A plan is a tree: fields of a context, and the contexts within it.
PLANS = st.recursive(
    st.tuples(st.sets(st.sampled_from(FIELDS)), st.just([])),
    lambda inner: st.tuples(st.sets(st.sampled_from(FIELDS)), st.lists(inner, max_size=3)),
    max_leaves=6,
)


def test_call_over_context_over_defaults(name: str, events: Events) -> None:
    async def run() -> None:
        log = ContextualLogger(name, user_id="default", order_id="default", ad_id="default", venue="default")
        async with log.context(user_id="outer", order_id="outer"):
            async with log.context(order_id="inner", ad_id="inner"):
                log.warning("line", ad_id="call")
            log.info("line")
        log.debug("line")

    asyncio.run(run())
    shown = [(e["user"]["id"], e["christmas"]["order"]["id"], e["christmas"]["ad"]["id"]) for e in events()]
    assert shown == [("outer", "inner", "call"), ("outer", "outer", "default"), ("default", "default", "default")]


def test_other_loggers_lines_within_the_block_carry_it_too(name: str, events: Events) -> None:
    async def run() -> None:
        async with ContextualLogger(f"{name}.one").context(user_id="u1"):
            get_logger(f"{name}.other").info("line")
        get_logger(f"{name}.other").info("line")

    asyncio.run(run())
    assert [event.get("user") for event in events()] == [{"id": "u1"}, None]


def test_a_block_that_raises_or_is_cancelled_takes_its_fields_away(name: str, events: Events) -> None:
    log = ContextualLogger(name)

    async def fails() -> None:
        async with log.context(user_id="u1"):
            raise ValueError("no price")

    async def run() -> None:
        with bound(order_id="o1"):
            with pytest.raises(ValueError, match="no price") as caught:
                await fails()
            log.error("line", exception=caught.value)
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        log.info("line")

    async def waits() -> None:
        async with log.context(user_id="u2"):
            await asyncio.sleep(60)

    asyncio.run(run())
    first, second = events()
    assert first["error"]["type"] == "ValueError" and first["christmas"]["order"] == {"id": "o1"}
    assert "user" not in first and "user" not in second


def test_the_line_names_the_place_of_the_call(logger: logging.Logger, files: Any, events: Events) -> None:
    files.setFormatter(EcsFormatter(origin=True))
    ContextualLogger(logger.name).info("here")
    assert events()[0]["log"]["origin"]["function"] == "test_the_line_names_the_place_of_the_call"


async def follow(log: ContextualLogger, worker: int, plan: Any, above: dict[str, str], expected: list[Any]) -> None:
    """Go through a plan, giving others their turn at every step; ``expected`` gets what each line must show."""
    fields, inner = plan
    mine = above | {field: f"{worker}-{len(expected)}" for field in fields}
    async with log.context(**{field: mine[field] for field in fields}):
        await asyncio.sleep(0)
        log.info("line", worker=str(worker))
        expected.append(mine)
        for each in inner:
            await follow(log, worker, each, mine, expected)
            await asyncio.sleep(0)
        log.info("line", worker=str(worker))
        expected.append(mine)


def shown(event: dict[str, Any]) -> dict[str, str]:
    own = event["christmas"]
    found = {"user_id": event.get("user", {}).get("id"), "order_id": own.get("order", {}).get("id")}
    found["venue"] = own["extra"].get("venue")
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("kind", ["tasks", "threads"])
def test_no_line_shows_another_ones_context(kind: str, name: str, files: Any) -> None:
    log, path = ContextualLogger(name), files.directory / "orders.ecs.log"
    end = 0

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(plans=st.lists(PLANS, min_size=1, max_size=6))
    def holds(plans: list[Any]) -> None:
        nonlocal end
        expected: dict[int, list[dict[str, str]]] = defaultdict(list)

        async def one(worker: int) -> None:
            await follow(log, worker, plans[worker % len(plans)], {}, expected[worker])

        async def together() -> None:
            await asyncio.gather(*map(one, range(1, TASKS + 1)))

        if kind == "tasks":
            asyncio.run(together())
        else:
            barrier = threading.Barrier(THREADS)

            def thread(worker: int) -> None:
                barrier.wait()
                asyncio.run(one(worker))

            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(thread, range(1, THREADS + 1)))
        found: dict[int, list[dict[str, str]]] = defaultdict(list)
        with path.open("rb") as file:
            file.seek(end)
            for event in map(checked, file.readlines()):
                if worker := event.get("christmas", {}).get("extra", {}).get("worker"):
                    found[int(worker)].append(shown(event))
            end = file.tell()
        assert found == expected

    holds()
