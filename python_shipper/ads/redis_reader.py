"""A monitor's view of the stream on Redis: a consumer group of its own, shared by the processes that run the monitor.

An event is acknowledged, its id remembered and its alerts kept in one step, so a restart of Redis or of the monitor
between two events repeats none. What a dead process had begun goes to a living one after ``claim_seconds``.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

import orjson

from python_shipper.ads.redis_client import async_client
from python_shipper.ads.stream import ALERTS, ALERTS_LENGTH, HANDLED_LENGTH, STREAM, Entry, Event
from python_shipper.core.ulid import new_ulid

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from python_shipper.ads.redis_stream import RedisStream

BATCH = 100
BLOCK_MS = 500
AFTER_OUTAGE_SECONDS = 10.0  # others first say what they had handled when Redis went away; they try every 5 seconds
FORGOTTEN_SECONDS = 86_400
RELEASED = "released"  # holds what nobody works on, for whoever claims it

# An event may be in the stream at two places: a Redis killed while it wrote a transaction to its file forgets the half
# of it at its start, and has it again at the next one. The first place that a process took is the event's.
# KEYS: handled ids, places by id. ARGV: ids kept; then for each event its id and its place. Answer: 1 for what is new.
TAKE = """
if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[2])
end
local answer = {}
for n = 2, #ARGV, 2 do
  local new = not redis.call('ZSCORE', KEYS[1], ARGV[n])
  if new and redis.call('HSETNX', KEYS[2], ARGV[n], ARGV[n + 1]) == 0 then
    new = redis.call('HGET', KEYS[2], ARGV[n]) == ARGV[n + 1]
  end
  answer[#answer + 1] = new and 1 or 0
end
return answer
"""

# KEYS: stream, handled ids, alerts, places by id. ARGV: group, place, event id, time, ids kept, alerts kept, alerts.
DONE = """
local new = redis.call('ZADD', KEYS[2], 'NX', ARGV[4], ARGV[3])
if new == 1 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - ARGV[5])
  for n = 7, #ARGV do
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'alert', ARGV[n])
  end
end
redis.call('HDEL', KEYS[4], ARGV[3])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return new
"""

# KEYS: stream. ARGV: group, consumer, who gets what it has, for how long it is to count as idle (ms). In one step: what
# a broken connection still brings the consumer must not go with it.
RELEASE = """
local claim, more = {'XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0}, {'IDLE', ARGV[4], 'JUSTID'}
local left = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
for _, row in ipairs(left) do
  claim[#claim + 1] = row[1]
end
for _, word in ipairs(more) do
  claim[#claim + 1] = word
end
if #left > 0 then
  redis.call(unpack(claim))
end
if #left < 1000 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""


class RedisReader:
    """The :class:`~python_shipper.ads.stream.Reader` of one monitor in this process."""

    def __init__(self, stream: RedisStream, monitor: str) -> None:
        """Prepare; ``open`` connects."""
        self._stream = stream
        self.group = f"monitor:{monitor}"
        self.handled, self.begun = f"logs:handled:{monitor}", f"logs:begun:{monitor}"
        # A name for this run: two processes of one name would take each other's events for their own.
        self.consumer = f"{socket.gethostname()}-{os.getpid()}-{new_ulid()[-8:]}"
        self._claim_seconds = stream.claim_seconds  # of which a handler has half to begin and half to end
        self.handler_seconds = self._claim_seconds / 2
        self._redis: Redis | None = None
        self._own = True  # events may be in our name that we have not seen: the connection broke while they came
        self._next_claim = 0.0
        self._claim_from: Any = "0-0"  # a look at what others hold covers a part of it; the next goes on here
        self._got_at = 0.0
        self.lost = 0  # events that were trimmed away before they were handled

    async def open(self) -> None:
        """See :meth:`python_shipper.ads.stream.Reader.open`."""
        from redis.exceptions import ResponseError

        again = self._redis is not None
        if self._redis is not None:
            await self._redis.aclose()
        self._redis = async_client(self._stream.url, self._stream.timeout_seconds + BLOCK_MS / 1000)
        self._take, self._done = self._redis.register_script(TAKE), self._redis.register_script(DONE)
        self._own = True
        self._next_claim = time.monotonic() + (AFTER_OUTAGE_SECONDS if again else 0.0)
        try:
            # From the beginning: what was logged before the monitor's first start is handled, too.
            await self._redis.xgroup_create(STREAM, self.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            await self._forget_the_dead()

    async def next(self) -> list[Entry]:
        """See :meth:`python_shipper.ads.stream.Reader.next`."""
        assert self._redis is not None, "open() comes first"  # noqa: S101
        self._got_at = time.monotonic()
        if self._own:
            found = await self._read("0")
            self._own = bool(found)
            if found:
                return await self._new(found)
        if self._got_at >= self._next_claim:
            found = await self._claimed()
            if found:
                return await self._new(found)
        return await self._new(await self._read(">"))

    async def _read(self, after: str) -> list[Any]:
        assert self._redis is not None  # noqa: S101
        streams: dict[Any, Any] = {STREAM: after}
        block = BLOCK_MS if after == ">" else None
        answer: Any = await self._redis.xreadgroup(self.group, self.consumer, streams, count=BATCH, block=block)
        found = list(answer.values()) if isinstance(answer, dict) else [rows for _, rows in answer or ()]
        # The newest protocol's client wraps the rows of a stream in one more list.
        return [row for rows in found for row in (rows[0] if rows and isinstance(rows[0], list) else rows)]

    async def _claimed(self) -> list[Any]:
        """What others took and did not finish in time."""
        assert self._redis is not None  # noqa: S101
        idle = int(self._claim_seconds * 1000)
        answer: Any = await self._redis.xautoclaim(STREAM, self.group, self.consumer, idle, self._claim_from, BATCH)
        self._claim_from = answer[0]
        if answer[0] in (b"0-0", "0-0"):
            self._next_claim = self._got_at + self._claim_seconds / 2
        self.lost += len(answer[2]) if len(answer) > 2 else 0
        return list(answer[1])

    async def _new(self, found: list[Any]) -> list[Entry]:
        """The entries that were not handled before; the others are acknowledged."""
        assert self._redis is not None  # noqa: S101
        gone = [place for place, fields in found if not fields]
        entries = [Entry(place.decode(), event_of(place.decode(), fields)) for place, fields in found if fields]
        self.lost += len(gone)
        taken: list[int] = []
        if entries:
            pairs = [part for entry in entries for part in (entry.event["id"], entry.place)]
            taken = await self._take(keys=[self.handled, self.begun], args=[HANDLED_LENGTH, *pairs])
        fresh = [entry for entry, is_new in zip(entries, taken, strict=True) if is_new]
        repeated = {e.place for e in entries} - {e.place for e in fresh}
        if gone or repeated:
            await self._redis.xack(STREAM, self.group, *gone, *repeated)
        return fresh

    async def done(self, entry: Entry, alerts: list[Event]) -> None:
        """See :meth:`python_shipper.ads.stream.Reader.done`; may be called again after a failure."""
        bodies = [orjson.dumps(alert) for alert in alerts]
        await self._done(
            keys=[STREAM, self.handled, ALERTS, self.begun],
            args=[
                self.group, entry.place, entry.event["id"], time.time_ns() // 1_000_000,
                HANDLED_LENGTH, ALERTS_LENGTH, *bodies,
            ],
        )  # fmt: skip

    def may_begin(self) -> bool:
        """See :meth:`python_shipper.ads.stream.Reader.may_begin`."""
        alone = time.monotonic() - self._got_at < self._claim_seconds / 2
        self._own = self._own or not alone
        return alone

    async def close(self) -> None:
        """See :meth:`python_shipper.ads.stream.Reader.close`: others need not wait for what is left."""
        if self._redis is None:
            return
        try:
            args: list[Any] = [self.group, self.consumer, RELEASED, int(self._claim_seconds * 2000)]
            await self._redis.register_script(RELEASE)(keys=[STREAM], args=args)
        finally:
            await self._redis.aclose()
            self._redis = None

    async def _forget_the_dead(self) -> None:
        """Remove consumers that have nothing and were not seen for a day; each restart leaves one behind."""
        assert self._redis is not None  # noqa: S101
        for row in await self._redis.xinfo_consumers(STREAM, self.group):
            if row["pending"] == 0 and row["idle"] > FORGOTTEN_SECONDS * 1000:
                await self._redis.xgroup_delconsumer(STREAM, self.group, row["name"])


def event_of(place: str, fields: dict[bytes, bytes]) -> Event:
    """The event in a stream entry; what another program put there is given as it is, its place for an id."""
    try:
        event = orjson.loads(fields[b"event"])
    except (KeyError, orjson.JSONDecodeError):
        event = {name.decode("utf-8", "replace"): text.decode("utf-8", "replace") for name, text in fields.items()}
    event = event if isinstance(event, dict) else {"data": event}
    return event if isinstance(event.get("id"), str) else {**event, "id": place}
