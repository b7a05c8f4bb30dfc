"""AdLoggingSystem: what the root logger writes where, and events in a stream, on Redis and within the process alike."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from python_shipper import AdLoggingSystem, configure
from python_shipper.ads.redis_stream import RedisStream, Waiting
from python_shipper.ads.stream import MemoryStream, Receipt
from python_shipper.core.ulid import is_ulid
from python_shipper.errors import ConfigurationError, StoreError
from tests.ads.redis_server import RedisServer
from tests.ads.system import Root
from tests.core.hostile import CASES

Newest = Callable[[str], list[dict[str, Any]]]


BAD_ADDRESSES = (
    "redis://:sec/ret@host:6379",
    "redis://:sec#ret@host:6379",
    "redis://:secret@[::1",
    "http://:secret@host",
    "redis://host:99999",
    "redis://:secret@host?timeout=1",
    "rediss://:secret@host?ssl_cert_reqs=secret",
)


@pytest.fixture
def newest(system: AdLoggingSystem) -> Newest:
    """The events in ``logs:<type>``, newest first."""

    def read(event_type: str) -> list[dict[str, Any]]:
        if isinstance(system.stream, MemoryStream):
            return system.stream.newest(event_type, 10_000)
        assert isinstance(system.stream, RedisStream)
        return [orjson.loads(body) for body in system.stream._client.lrange(f"logs:{event_type}", 0, -1)]

    return read


def test_each_level_goes_where_it_belongs(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    log = AdLoggingSystem({"app_name": "bidder"}).get_logger("anything", region="kr")
    log.debug("of level debug")
    log.info("of level info")
    log.error("of level error", exception=TimeoutError("30 s"))
    (daily,) = root.folder.glob("bidder.daily.*.log")
    written = root.events("bidder.ecs.log")
    assert [event["message"] for event in written] == ["of level info", "of level error"]
    assert written == root.events(daily.name) and written[1:] == root.events("bidder.error.log")
    assert all(event["christmas"]["extra"] == {"region": "kr"} for event in written)
    shown = capsys.readouterr().err
    assert "of level info" in shown and "30 s" in shown and "of level debug" not in shown


def test_a_second_system_takes_the_place_of_the_first_and_of_configure(root: Root) -> None:
    configure("ad_system")
    AdLoggingSystem()
    AdLoggingSystem().get_logger("x").info("once")
    assert [event["message"] for event in root.events()] == ["once"]
    assert len(list(root.folder.glob("*.ecs.log"))) == 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"redis": "x"}, "unknown key 'redis'"),
        ({"redis_url": 5}, "redis_url: int"),
        ({"redis_url": "localhost:6379"}, "redis_url: expected an address such as"),
        ({"redis_timeout": "soon"}, "redis_timeout: str"),
        ({"redis_timeout": 0}, "redis_timeout: expected seconds above 0, got 0"),
        ({"claim_seconds": -1.0}, "claim_seconds: expected seconds above 0"),
        ({"claim_seconds": True}, "claim_seconds: expected seconds above 0"),
        *(({"redis_url": url}, "redis_url: expected an address such as") for url in BAD_ADDRESSES),
        (["redis_url"], "expected a mapping with app_name, redis_url, .*, got list"),
    ],
)
def test_a_wrong_config_is_named_and_changes_nothing(
    config: dict[str, Any],
    said: str,
    root: Root,
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        AdLoggingSystem(config)
    assert "'sec'" not in str(caught.value) and "secret" not in str(caught.value) and caught.value.__cause__ is None
    assert not root.folder.exists()


def test_a_folder_that_cannot_be_written_is_named(
    root: Root,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOG_DIR", "/proc/logs")
    with pytest.raises(ConfigurationError, match="LOG_DIR: cannot write"):
        AdLoggingSystem()


def test_an_event_has_time_type_data_and_id_and_no_personal_data(system: AdLoggingSystem, newest: Newest) -> None:
    data = {"user_id": "user_01", "campaign_id": "8412340987612340", "email": "kim@example.com", "bid": {"price": 1.25}}
    data["note"] = "call 010-1234-5678"

    async def run() -> str | None:
        assert await system.setup_redis()
        return await system.log_event_async("bid", data)

    identity = asyncio.run(run())
    (event,) = newest("bid")
    assert list(event) == ["timestamp", "type", "data", "id"]
    assert event["id"] == identity and is_ulid(event["id"]) and event["type"] == "bid"
    assert event["timestamp"].endswith("Z")
    kept = {name: event["data"][name] for name in ("user_id", "campaign_id", "bid")}
    assert kept == {name: data[name] for name in kept}
    assert "kim@" not in str(event) and "1234-5678" not in str(event)


def test_whatever_the_data_holds_it_is_stored(system: AdLoggingSystem, newest: Newest) -> None:
    async def run() -> list[str | None]:
        return [await system.log_event_async("odd", case) for case in CASES.values()]

    ids = asyncio.run(run())
    assert None not in ids
    assert [event["id"] for event in newest("odd")] == ids[::-1]


def test_events_come_from_tasks_threads_and_plain_functions(system: AdLoggingSystem, newest: Newest) -> None:
    def thread(number: int) -> None:
        asyncio.run(tasks(number))

    async def tasks(number: int) -> None:
        await asyncio.gather(*(system.log_event_async("bid", f"{number}-{n}") for n in range(50)))

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    system.put_event("bid", "plain")
    for each in threads:
        each.join()
    system.close(60)
    assert {e["data"] for e in newest("bid")} == {"plain", *(f"{n}-{m}" for n in range(4) for m in range(50))}
    assert system.counts()["stored"] == 201 and system.counts()["waiting"] == 0


def test_the_lists_are_bounded(system: AdLoggingSystem, newest: Newest) -> None:
    async def run() -> None:
        for first in range(0, 1_200, 300):
            await asyncio.gather(*(system.log_event_async("bid", first + n) for n in range(300)))

    asyncio.run(run())
    assert sorted(event["data"] for event in newest("bid")) == list(range(200, 1_200))


@pytest.mark.needs("redis")
def test_the_stream_on_redis_is_trimmed(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        stream = RedisStream(redis_server.url, stream_length=1_000)
        for number in range(5_000):
            stream.put({"type": "bid", "id": str(number), "data": number})
        stream.close(60)
        # Redis trims whole nodes of 100 entries.
        assert 1_000 <= client.xlen("log_stream") <= 1_100
        (newest,) = client.xrevrange("log_stream", count=1)
    assert orjson.loads(newest[1][b"event"])["data"] == 4_999


@pytest.mark.needs("redis")
def test_a_forked_child_sends_its_own_events_and_only_those(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        stream = RedisStream(redis_server.url)
        stream.put({"type": "bid", "id": "parent"})
        child = os.fork()
        if not child:
            stream.put({"type": "bid", "id": "child"})
            stream.close(60)
            os._exit(stream.counts()["stored"] != 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stream.close(60)
        assert {orjson.loads(body)["id"] for body in client.lrange("logs:bid", 0, -1)} == {"parent", "child"}


@pytest.mark.needs("redis")
def test_a_batch_that_comes_again_and_late_is_stored_once(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        stream = RedisStream(redis_server.url)
        batches = [[Waiting("bid", b'{"id": "%d"}' % number, Receipt(str(number), stored=False))] for number in (1, 2)]
        for number in (1, 1, 2, 1, 2):  # the copy of a connection that broke may come after all that followed
            stream._number = number
            assert stream._stored(batches[number - 1]) == [True]
        assert client.xlen("log_stream") == client.llen("logs:bid") == 2
        stream.close(60)


@pytest.mark.needs("redis")
def test_a_list_that_is_something_else_costs_the_list_and_not_the_event(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        client.set("logs:bid", "mine")
        stream = RedisStream(redis_server.url)
        stream.put({"type": "bid", "id": "1"})
        stream.close(60)
        assert client.xlen("log_stream") == 1 and client.get("logs:bid") == b"mine"


@pytest.mark.needs("redis")
def test_without_redis_nothing_blocks_and_memory_is_bounded(
    tmp_path: Path,
    root: Root,
) -> None:
    """Redis hangs, then dies, then comes: what was taken is there, what was dropped is counted."""
    server = RedisServer(tmp_path / "redis", durable=True)
    server.start()
    system = AdLoggingSystem({"redis_url": server.url, "redis_timeout": 0.2})

    async def during_an_outage() -> None:
        async with asyncio.timeout(60):  # three steps of 0.2 s; nothing of ours would end a wait without a timeout
            assert await asyncio.gather(*(system.log_event_async("bid", n) for n in range(50))) == [None] * 50
            assert not await system.setup_redis()
            with pytest.raises(StoreError, match="REDIS_URL"):
                await system.recent_alerts()

    server.hang()
    asyncio.run(during_an_outage())
    server.resume()
    server.kill()
    asyncio.run(during_an_outage())
    for _ in range(12_000):
        system.put_event("bid", "x" * 100)
    counts = system.counts()
    assert counts["waiting"] <= 10_000 and counts["dropped"] + counts["waiting"] + counts["stored"] >= 12_100
    server.start()
    system.close(120)
    assert system.counts()["waiting"] == 0
    with server.client() as client:
        bodies = [orjson.loads(fields[b"event"]) for _, fields in client.xrange("log_stream")]
    assert len({body["id"] for body in bodies}) == len(bodies) == system.counts()["stored"]
    assert system.counts()["stored"] + counts["dropped"] == 12_100
    server.kill()
