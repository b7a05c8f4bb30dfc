"""LogMonitor: every event once, failures kept apart, its place kept, alerts stored and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from python_shipper import AdLoggingSystem, LogMonitor
from python_shipper.ads.redis_stream import RedisStream
from python_shipper.ads.stream import STREAM
from python_shipper.alerts import Alerts, Finding
from python_shipper.errors import ConfigurationError
from tests.ads.redis_server import RedisServer
from tests.ads.system import Root

Event = dict[str, Any]


class Collects:
    """A monitor that remembers what it got."""

    def __init__(self, said: Callable[[Event], Any] = lambda event: None) -> None:
        self.got: list[Event] = []
        self.said = said

    async def __call__(self, event: Event) -> Any:
        self.got.append(event)
        return self.said(event)


@asynccontextmanager
async def running(system: AdLoggingSystem, **monitors: Any) -> AsyncIterator[LogMonitor]:
    """Monitoring for a block, stopped in order."""
    monitor = LogMonitor(system)
    for name, function in monitors.items():
        monitor.add_monitor(function, name)
    task = asyncio.create_task(monitor.start_monitoring())
    try:
        yield monitor
    finally:
        monitor.stop()
        await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def ran(main: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await main()

    return asyncio.run(run())


def test_every_monitor_gets_every_event_once_and_in_order(system: AdLoggingSystem) -> None:
    one, two = Collects(), Collects()

    async def run() -> None:
        first = [await system.log_event_async("bid", n) for n in range(30)]
        async with running(system, one=one, two=two) as monitor:
            second = [await system.log_event_async("click", n) for n in range(300)]
            await until(lambda: len(one.got) + len(two.got) >= 660)
        assert [e["id"] for e in one.got] == [e["id"] for e in two.got] == first + second
        assert monitor.counts() == {name: {"handled": 330, "failed": 0, "alerts": 0} for name in ("one", "two")}

    ran(run)


def test_it_goes_on_where_it_stopped(system: AdLoggingSystem) -> None:
    watcher = Collects()

    async def run() -> None:
        for part in range(3):
            await asyncio.gather(*(system.log_event_async("bid", part * 100 + n) for n in range(100)))
            async with running(system, one=watcher):
                await until(lambda part=part: len(watcher.got) > part * 100 + 10)  # stopped in the middle of a batch
        async with running(system, one=watcher):
            await until(lambda: len(watcher.got) >= 300)

    ran(run)
    assert sorted(event["data"] for event in watcher.got) == list(range(300))


def test_a_monitor_that_fails_or_hangs_is_counted_logged_and_alone(
    system: AdLoggingSystem,
    root: Root,
) -> None:
    fine = Collects()

    async def hangs(event: Event) -> None:
        await asyncio.sleep(3600)

    async def fails(event: Event) -> None:
        if event["data"] % 2:
            raise ValueError("odd bid")

    async def run() -> None:
        for n in range(10):
            await system.log_event_async("bid", n)
        async with running(system, fine=fine, fails=fails, hangs=hangs) as monitor:
            await until(lambda: monitor.counts()["fails"]["handled"] == len(fine.got) == 10)
            assert monitor.counts()["fails"] == {"handled": 10, "failed": 5, "alerts": 0}
            await until(lambda: monitor.counts()["hangs"]["failed"] > 0)

    system.stream.claim_seconds = 2
    ran(run)
    said = {e["message"].split(" failed")[0]: e["error"] for e in root.events() if e["log.level"] == "error"}
    assert set(said) == {"monitor fails", "monitor hangs"}
    assert said["monitor fails"]["message"] == "odd bid" and said["monitor hangs"]["type"] == "TimeoutError"


def test_what_a_cancelled_run_had_begun_comes_again(system: AdLoggingSystem) -> None:
    watcher, begun = Collects(), asyncio.Event()

    async def waits(event: Event) -> None:
        begun.set()
        await asyncio.sleep(20)

    async def run() -> None:
        ids = [await system.log_event_async("bid", n) for n in range(10)]
        monitor = LogMonitor(system)
        monitor.add_monitor(waits, "one")
        task = asyncio.create_task(monitor.start_monitoring())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with running(system, one=watcher):
            await until(lambda: len(watcher.got) >= 10)
        assert sorted(event["id"] for event in watcher.got) == ids

    ran(run)


def test_what_a_monitor_returns_becomes_alerts_that_are_stored_and_told(
    system: AdLoggingSystem,
    root: Root,
) -> None:
    finding = Finding(kind="spend", severity="critical", message="too fast", at_ms=1_790_000_000_000)
    answers: list[Any] = [
        None,
        "a text",
        {"message": "of kim@example.com", "severity": "error", "value": 0.5},
        [finding, "another text"],
        17,
        {"message": "x", "colour": "red"},
        {"message": "x", "severity": "awful"},
    ]
    watcher = Collects(lambda event: answers[event["data"]["n"]])

    async def run() -> list[Event]:
        async with running(system, watcher=watcher) as monitor:
            for n in range(len(answers)):
                await system.log_event_async("bid", {"n": n, "trace_id": f"t{n}"})
            await until(lambda: monitor.counts()["watcher"]["handled"] == len(answers))
            assert monitor.counts()["watcher"] == {"handled": 7, "failed": 3, "alerts": 4}
        return await system.recent_alerts()

    another, critical, masked, text = ran(run)
    assert (text["kind"], text["severity"], text["message"]) == ("watcher", "warning", "a text")
    assert text["evidence"] == ["t1"] and text["service"] == "ad_system" and text["monitor"] == "watcher"
    assert text["event_id"] == watcher.got[1]["id"] and text["timestamp"] == watcher.got[1]["timestamp"]
    assert "kim@" not in str(masked) and masked["value"] == 0.5
    assert critical["kind"] == "spend" and critical["at_ms"] == finding.at_ms and another["message"] == "another text"
    desk = Alerts.open(system.settings)
    assert desk.status()["open"] == 2  # by kind: the monitor's three are one, with "spend"
    desk.stop()


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        ("one", Collects(), "there is one of that name"),
        ("two", print, "expected an async function"),
        ("", Collects(), "expected a name"),
        (["two"], Collects(), "expected a name"),
    ],
)
def test_what_cannot_be_a_monitor_is_refused(
    name: Any,
    function: Any,
    said: str,
    root: Root,
) -> None:
    monitor = LogMonitor(AdLoggingSystem())
    monitor.add_monitor(Collects(), "one")
    with pytest.raises(ConfigurationError, match=said):
        monitor.add_monitor(function, name)


def test_while_it_runs_it_is_not_changed_and_not_started_again(root: Root) -> None:
    system = AdLoggingSystem()

    async def run() -> None:
        async with running(system, one=Collects()) as monitor:
            await asyncio.sleep(0.05)
            with pytest.raises(ConfigurationError, match="runs already"):
                monitor.add_monitor(Collects(), "two")
            with pytest.raises(ConfigurationError, match="runs already"):
                await monitor.start_monitoring()
            other = LogMonitor(system)
            other.add_monitor(Collects(), "one")
            with pytest.raises(ConfigurationError, match="of this name"):
                await other.start_monitoring()

    ran(run)


def test_a_stop_counts_for_the_run_that_was_asked_for_and_for_no_other(root: Root) -> None:
    monitor = LogMonitor(AdLoggingSystem())
    monitor.add_monitor(Collects(), "one")

    async def run() -> None:
        monitor.stop()  # of nothing
        task = asyncio.create_task(monitor.start_monitoring())
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
        monitor.stop()
        await task
        task = asyncio.create_task(monitor.start_monitoring())
        monitor.stop()  # before its first turn
        await task

    ran(run)


@pytest.mark.needs("redis")
def test_what_another_program_wrote_and_what_came_twice(redis_server: RedisServer, root: Root) -> None:
    watcher = Collects()
    with redis_server.client() as client:
        client.flushall()
        system = AdLoggingSystem({"redis_url": redis_server.url})
        place = client.xadd(STREAM, {"price": "1.25"}).decode()
        for _ in range(2):
            client.xadd(STREAM, {"event": b'{"id": "the-same", "data": 1}'})
        client.xadd(STREAM, {"event": b"[1, 2]"})

        async def run() -> None:
            async with running(system, one=watcher):
                await until(lambda: len(watcher.got) >= 3)
                await until(lambda: client.xpending(STREAM, "monitor:one")["pending"] == 0)

        ran(run)
    assert watcher.got[:2] == [{"price": "1.25", "id": place}, {"id": "the-same", "data": 1}]
    assert watcher.got[2]["data"] == [1, 2] and len(watcher.got) == 3


@pytest.mark.needs("redis")
def test_processes_of_one_monitor_share_the_events(redis_server: RedisServer, root: Root) -> None:
    one, two = Collects(), Collects()
    with redis_server.client() as client:
        client.flushall()

    async def run() -> None:
        first, second = (AdLoggingSystem({"redis_url": redis_server.url, "redis_timeout": 60}) for _ in range(2))
        async with running(first, shared=one), running(second, shared=two):
            ids = await asyncio.gather(*(first.log_event_async("bid", n) for n in range(1_000)))
            await until(lambda: len(one.got) + len(two.got) >= 1_000)
        assert sorted(e["id"] for e in one.got + two.got) == sorted(ids)

    ran(run)


@pytest.mark.needs("redis")
def test_claiming_finds_what_lies_behind_many_that_are_not_idle(redis_server: RedisServer) -> None:
    """One look of XAUTOCLAIM covers a part of what is pending; the next goes on there."""
    stream = RedisStream(redis_server.url, claim_seconds=30)
    with redis_server.client() as client:
        client.flushall()
        client.xgroup_create(STREAM, "monitor:one", id="0", mkstream=True)
        for number in range(3_000):
            client.xadd(STREAM, {"event": b'{"id": "%d"}' % number})
        client.xreadgroup("monitor:one", "busy", {STREAM: ">"}, count=2_999)
        ((_, ((place, _),)),) = client.xreadgroup("monitor:one", "dead", {STREAM: ">"})
        client.xclaim(STREAM, "monitor:one", "dead", 0, [place], idle=60_000)

        async def run() -> list[str]:
            reader = stream.reader("one")
            await reader.open()
            found = [await reader.next() for _ in range(4)]
            await reader.close()
            return [entry.event["id"] for entries in found for entry in entries]

        assert ran(run) == ["2999"]


@pytest.mark.needs("redis")
def test_an_event_at_two_places_is_one_readers_alone_until_it_is_handled(redis_server: RedisServer) -> None:
    stream = RedisStream(redis_server.url)
    with redis_server.client() as client:
        client.flushall()
        for number in (*range(100), *range(50, 150)):  # batches of 100
            client.xadd(STREAM, {"event": b'{"id": "%d"}' % number})

        async def run() -> None:
            one, two = stream.reader("one"), stream.reader("one")
            await one.open()
            await two.open()
            first, second = await one.next(), await two.next()
            assert [entry.event["id"] for entry in first] == [str(number) for number in range(100)]
            assert [entry.event["id"] for entry in second] == [str(number) for number in range(100, 150)]
            await one.open()  # as after an outage: they are still its own
            again = await one.next()
            assert again == first
            for entry in first:
                await one.done(entry, [])
            await one.close()
            await two.close()

        ran(run)
        assert client.hlen("logs:begun:one") == 50 == client.xpending(STREAM, "monitor:one")["pending"]
        assert client.xinfo_consumers(STREAM, "monitor:one")[0]["name"] == b"released"


@pytest.mark.needs("redis")
def test_what_a_dead_reader_had_begun_is_new_to_who_claims_it(redis_server: RedisServer) -> None:
    stream = RedisStream(redis_server.url, claim_seconds=0.2)
    with redis_server.client() as client:
        client.flushall()
        client.xadd(STREAM, {"event": b'{"id": "1"}'})

        async def run() -> list[str]:
            dead, alive = stream.reader("one"), stream.reader("one")
            await dead.open()
            assert len(await dead.next()) == 1
            await alive.open()
            async with asyncio.timeout(60):
                while not (found := await alive.next()):
                    pass
            await alive.close()
            await dead.close()
            return [entry.event["id"] for entry in found]

        assert ran(run) == ["1"]
