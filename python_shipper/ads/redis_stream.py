"""Events on Redis: concurrent calls share pipelines, an outage is waited out in bounded memory, nothing is sent twice.

A thread writes, so that it does not matter which thread, event loop or plain function an event comes from, and no
caller waits for Redis. A batch is one script that also keeps its number, and does nothing where the number is there
already: a batch may be sent again after a broken connection, also if the first copy arrives after the second.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Any, NamedTuple

import orjson

from python_shipper.ads.redis_client import async_client, client, gone, without_password
from python_shipper.ads.stream import (
    ALERTS,
    CLAIM_SECONDS,
    LIST_LENGTH,
    STREAM,
    STREAM_LENGTH,
    Event,
    Reader,
    Receipt,
    encoded,
    settle,
)
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import StoreError

log = logging.getLogger(__name__)

CAPACITY = 10_000
MAX_BYTES = 16 * 1024 * 1024
BATCH = 500
BATCH_BYTES = 1024 * 1024
LEAST_PAUSE, GREATEST_PAUSE = 0.05, 1.0
MARKER_SECONDS = 86_400
QUIET_SECONDS = 60.0
_living: weakref.WeakSet[RedisStream] = weakref.WeakSet()

# KEYS: number of the writer's newest batch, stream, lists. ARGV: number, seconds to keep it, lengths of a list and of
# the stream; then for each event its list's place in KEYS, and the event. A list that is something else costs no event.
# Trimmed once, at the end: in Redis' file a trimming XADD holds a length, by which a start after a crash trims more.
STORE = """
local answer = {''}
local known = tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1])
if not known then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
for n = 5, #ARGV, 2 do
  local stored = known
  if not known then
    local list = redis.pcall('LPUSH', KEYS[tonumber(ARGV[n])], ARGV[n + 1])
    stored = redis.pcall('XADD', KEYS[2], '*', 'event', ARGV[n + 1])
    answer[1] = type(list) == 'table' and list.err or answer[1]
    answer[1] = type(stored) == 'table' and stored.err or answer[1]
    stored = type(stored) ~= 'table'
  end
  answer[#answer + 1] = stored and 1 or 0
end
if not known then
  for n = 3, #KEYS do
    redis.pcall('LTRIM', KEYS[n], 0, ARGV[3] - 1)
  end
  redis.pcall('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[4])
end
return answer
"""


class Waiting(NamedTuple):
    """One event on its way."""

    type: str
    body: bytes
    receipt: Receipt


class RedisStream:
    """The :class:`~python_shipper.ads.stream.Stream` of a Redis server."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 1.0,
        capacity: int = CAPACITY,
        stream_length: int = STREAM_LENGTH,
        list_length: int = LIST_LENGTH,
        claim_seconds: float = CLAIM_SECONDS,
    ) -> None:
        """Prepare; nothing connects before the first event.

        Args:
            url: ``redis://``, ``rediss://`` (TLS) or ``unix://``.
            timeout_seconds: how long anybody waits for Redis.
            capacity: events that wait in memory at the most, 16 MiB of them at the most; further ones are dropped.
            stream_length: events that ``log_stream`` keeps, roughly.
            list_length: events that each ``logs:<type>`` keeps.
            claim_seconds: after how long a monitor takes over what another began and did not finish.

        Raises:
            ConfigurationError: the address is none, or the Redis client is not installed.
        """
        self.url = url
        self.timeout_seconds, self.claim_seconds = timeout_seconds, claim_seconds
        self._capacity, self._stream_length, self._list_length = capacity, stream_length, list_length
        self._connect()
        self.where, self.away = without_password(url), gone()
        self._reset()
        _living.add(self)

    def _connect(self) -> None:
        self._client = client(self.url, self.timeout_seconds)
        self._store = self._client.register_script(STORE)

    def _reset(self) -> None:
        """An empty queue and no thread."""
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None  # monotonic; set by close()
        self._abandoned = False
        self._marker = f"logs:writer:{new_ulid()}"
        self._number = 0
        self._counts = {"stored": 0, "refused": 0, "dropped": 0, "retries": 0}
        self._next_word = 0.0

    def put(self, event: Event) -> Receipt:
        """See :meth:`python_shipper.ads.stream.Stream.put`."""
        body = encoded(event)
        with self._changed:
            fits = len(self._waiting) < self._capacity and self._bytes + len(body) <= MAX_BYTES
            if fits and self._deadline is None and self._runs():
                receipt = Receipt(event["id"], self.timeout_seconds)
                self._waiting.append(Waiting(event["type"], body, receipt))
                self._bytes += len(body)
                self._changed.notify()
                return receipt
        self._dropped(1, "the queue is full" if self._deadline is None else "the stream is closed")
        return Receipt(event["id"], stored=False)

    def _runs(self) -> bool:
        """Whether the thread runs; it starts with the first event."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="python-shipper-stream", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going down
                return False
            self._thread = thread
        return True

    async def ready(self) -> bool:
        """See :meth:`python_shipper.ads.stream.Stream.ready`; takes twice ``timeout_seconds`` at the most."""
        import asyncio

        return await asyncio.to_thread(self._answers)

    def _answers(self) -> bool:
        from redis.exceptions import RedisError

        try:
            return bool(self._client.ping())
        except (RedisError, OSError) as error:
            log.warning("Redis at %s does not answer (%s); events wait in memory", self.where, error)
            return False

    def reader(self, monitor: str) -> Reader:
        """See :meth:`python_shipper.ads.stream.Stream.reader`."""
        from python_shipper.ads.redis_reader import RedisReader

        return RedisReader(self, monitor)

    async def alerts(self, count: int = 100) -> list[Event]:
        """See :meth:`python_shipper.ads.stream.Stream.alerts`.

        Raises:
            StoreError: Redis does not answer.
        """
        try:
            async with async_client(self.url, self.timeout_seconds) as connection:
                found: Any = await connection.xrevrange(ALERTS, count=count)
        except self.away as error:
            raise StoreError(f"Redis at {self.where}: {error}; see that it runs, and REDIS_URL") from error
        return [orjson.loads(fields[b"alert"]) for _, fields in found]

    def counts(self) -> dict[str, int]:
        """See :meth:`python_shipper.ads.stream.Stream.counts`."""
        with self._changed:
            return {**self._counts, "waiting": len(self._waiting)}

    def close(self, seconds: float) -> None:
        """See :meth:`python_shipper.ads.stream.Stream.close`."""
        with self._changed:
            if self._deadline is not None:
                return
            self._deadline = time.monotonic() + seconds
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(seconds)
        with self._changed:
            self._abandoned = True
            left = list(self._waiting)
            self._waiting.clear()
        if left:
            self._dropped(len(left), "the stream was closed before Redis answered")
            settle((waiting.receipt for waiting in left), False)
        self._client.close()

    def after_fork(self) -> None:
        """In a forked child: the parent sends what the parent took; connections and thread are new."""
        deadline = self._deadline
        self._connect()
        self._reset()
        self._deadline = deadline

    def _run(self) -> None:
        while batch := self._batch():
            self._send(batch)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return

    def _batch(self) -> list[Waiting]:
        """The next events, which stay in the queue until they are settled; none when the stream closes."""
        with self._changed:
            while not self._waiting:
                if self._deadline is not None:
                    return []
                self._changed.wait()
            batch: list[Waiting] = []
            size = 0
            for waiting in self._waiting:
                size += len(waiting.body)
                if batch and (len(batch) >= BATCH or size > BATCH_BYTES):
                    break
                batch.append(waiting)
            return batch

    def _send(self, batch: list[Waiting]) -> None:
        """Store a batch, however often that has to be tried, until the stream closes."""
        from redis.exceptions import RedisError

        self._number += 1
        pause, failed = LEAST_PAUSE, False
        while True:
            try:
                stored = self._stored(batch)
                break
            except (RedisError, OSError) as error:
                if not failed:
                    log.warning(
                        "Redis at %s: %s; events wait in memory, %s at the most", self.where, error, self._capacity
                    )
                failed = True
            if not self._pause(pause):
                return
            pause = min(pause * 2, GREATEST_PAUSE)
            with self._changed:
                self._counts["retries"] += 1
        if failed:
            log.warning("Redis at %s answers again", self.where)
        self._settled(batch, stored)

    def _stored(self, batch: list[Waiting]) -> list[bool]:
        """Send a batch; whether each event is in the stream."""
        lists = {name: at for at, name in enumerate(dict.fromkeys(f"logs:{waiting.type}" for waiting in batch), 3)}
        args: list[Any] = [self._number, MARKER_SECONDS, self._list_length, self._stream_length]
        for waiting in batch:
            args += lists[f"logs:{waiting.type}"], waiting.body
        wrong, *stored = self._store([self._marker, STREAM, *lists], args)
        if wrong:
            log.error("Redis at %s refused a part of %d events: %s", self.where, len(batch), wrong.decode())
        return [bool(each) for each in stored]

    def _settled(self, batch: list[Waiting], stored: list[bool]) -> None:
        """Take a batch out of the queue and tell who waits for it."""
        with self._changed:
            if self._abandoned:
                return
            for _ in batch:
                self._bytes -= len(self._waiting.popleft().body)
            self._counts["stored"] += sum(stored)
            self._counts["refused"] += len(stored) - sum(stored)
        for outcome in (True, False):
            settle((w.receipt for w, is_stored in zip(batch, stored, strict=True) if is_stored is outcome), outcome)

    def _pause(self, seconds: float) -> bool:
        """Wait before another attempt; False when the stream closes and its time is over."""
        with self._changed:
            if self._deadline is None:
                self._changed.wait_for(lambda: self._deadline is not None, seconds)
                return True
            left = self._deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, left)))
        return left > 0

    def _dropped(self, number: int, why: str) -> None:
        """Count events that are lost; say so at most once a minute."""
        with self._changed:
            self._counts["dropped"] += number
            total, now = self._counts["dropped"], time.monotonic()
            speak = now >= self._next_word
            self._next_word = now + QUIET_SECONDS if speak else self._next_word
        if speak:
            log.error("%d events were not stored on Redis at %s so far: %s", total, self.where, why)


def _close_all() -> None:
    for stream in list(_living):
        stream.close(stream.timeout_seconds)


def _after_fork() -> None:
    for stream in list(_living):
        stream.after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
