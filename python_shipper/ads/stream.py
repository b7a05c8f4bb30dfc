"""What an event stream is: the event's form, what a caller gets for one, and a stream within this process.

:mod:`~python_shipper.ads.redis_stream` is the same on Redis. Names of both: ``logs:<type>`` holds the newest events of
one type, ``log_stream`` all events in order, ``log_alerts`` what monitors found.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from python_shipper.contract import contract
from python_shipper.core.clock import iso
from python_shipper.core.masking import Masker, default_masker, untouched
from python_shipper.core.plain import plain, safe_text, well_formed
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import ConfigurationError

STREAM, ALERTS = "log_stream", "log_alerts"
STREAM_LENGTH = 100_000
LIST_LENGTH = 1_000
ALERTS_LENGTH = 10_000
HANDLED_LENGTH = 100_000  # ids of handled events that are remembered for each monitor
CLAIM_SECONDS = 60.0
IN_PROCESS_LENGTH = 10_000
IN_PROCESS_TYPES = 1_000
TYPE_CHARACTERS = 200

Event = dict[str, Any]


class Entry(NamedTuple):
    """One event as a monitor gets it, and its place in the stream."""

    place: str
    event: Event


class Reader(Protocol):
    """One monitor's view of a stream: it goes on where the monitor stopped, and gives nothing twice.

    ``handler_seconds``: how long the handling of one event may take.
    """

    handler_seconds: float

    async def open(self) -> None:
        """Begin, or begin again after a failure."""

    async def next(self) -> list[Entry]:
        """The next events, waiting half a second for some at the most; call it when the last ones are done."""

    async def done(self, entry: Entry, alerts: list[Event]) -> None:
        """Remember an event as handled and keep its alerts, both or neither; may be called again after a failure."""

    def may_begin(self) -> bool:
        """Whether the events got last are still this reader's alone."""

    async def close(self) -> None:
        """End; what was got and not done is left to others."""


class Stream(Protocol):
    """Where events go: Redis, or this process. ``away``: the errors that say it does not answer now."""

    away: tuple[type[Exception], ...]
    claim_seconds: float

    def put(self, event: Event) -> Receipt:
        """Take an event without waiting; the receipt tells whether it is stored."""

    async def ready(self) -> bool:
        """Whether the stream can be reached."""

    def reader(self, monitor: str) -> Reader:
        """A monitor's view."""

    async def alerts(self, count: int) -> list[Event]:
        """The newest alerts, newest first."""

    def counts(self) -> dict[str, int]:
        """Events by what became of them."""

    def close(self, seconds: float) -> None:
        """Store what waits, within ``seconds``, and end; what is left then is counted as dropped."""


class Receipt:
    """For one event: await it for the event's id once the stream has it, or None if it has not within its time."""

    __slots__ = ("_future", "_seconds", "id", "stored")

    def __init__(self, identity: str, seconds: float = 0.0, *, stored: bool | None = None) -> None:
        self.id = identity
        self.stored = stored  # None: not yet known
        self._seconds = seconds
        self._future: asyncio.Future[None] | None = None
        if stored is None:
            try:
                self._future = asyncio.get_running_loop().create_future()
            except RuntimeError:  # called from a thread without a loop: nobody can wait
                return

    def __await__(self) -> Generator[Any, None, str | None]:
        return self._wait().__await__()

    async def _wait(self) -> str | None:
        future = self._future
        if future is not None and not future.done():
            # A timer and the future itself: every event pays for this, and asyncio.wait() makes more of it.
            timer = future.get_loop().call_later(self._seconds, _finish, (future,))
            try:
                await future
            finally:
                timer.cancel()
        return self.id if self.stored else None


def settle(receipts: Iterable[Receipt], stored: bool) -> None:
    """Tell who waits for ``receipts``, from any thread: one call into each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for receipt in receipts:
        receipt.stored = stored
        future = receipt._future
        if future is not None:
            loops.setdefault(future.get_loop(), []).append(future)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(_finish, futures)
        except RuntimeError:  # the loop is closed: nobody waits in it any more
            continue


def _finish(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def new_event(event_type: str, data: Any, masker: Masker | None = None) -> Event:
    """An event of the stream's form, masked by the contract's rules; never raises for what ``data`` holds."""
    identity, masker = new_ulid(), masker or default_masker()
    return {
        "timestamp": iso(ulid_ms(identity)),
        "type": masker.text(well_formed(safe_text(event_type)))[:TYPE_CHARACTERS],
        "data": masked(data, masker),
        "id": identity,
    }


def masked(data: Any, masker: Masker) -> Any:
    """``data`` as JSON values, masked; an identifier that the contract exempts stays, by its short name or its path."""
    value = well_formed(plain(data))
    if not isinstance(value, dict):
        return masker.value("", value)
    return {key: item if exempt(key, item) else masker.value(key, item) for key, item in value.items()}


def exempt(name: str, value: Any) -> bool:
    """Whether a scalar under ``name`` is one of the contract's identifiers or numbers, which are never masked."""
    short = contract().short_names.get(name)
    field = contract().fields.get(short.field if short else name)
    return field is not None and untouched(field) and not isinstance(value, dict | list)


def ulid_ms(identity: str) -> int:
    """The milliseconds since 1970 in a ULID."""
    ms = 0
    for character in identity[:10]:
        ms = ms * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    return ms


def encoded(event: Mapping[str, Any]) -> bytes:
    """The event as JSON."""
    return orjson.dumps(event)


class MemoryStream:
    """A stream within this process: nothing to install, bounded, gone with the process."""

    away: tuple[type[Exception], ...] = ()

    def __init__(self, length: int = IN_PROCESS_LENGTH, claim_seconds: float = CLAIM_SECONDS) -> None:
        """Keep the newest ``length`` events; a monitor may take half of ``claim_seconds`` for one."""
        self.claim_seconds = claim_seconds
        self._lock = threading.Lock()
        self._entries: deque[tuple[int, Event]] = deque(maxlen=length)
        self._last = 0
        self._lists: dict[str, deque[Event]] = {}
        self._alerts: deque[Event] = deque(maxlen=ALERTS_LENGTH)
        self._readers: dict[str, MemoryReader] = {}

    def put(self, event: Event) -> Receipt:
        """See :meth:`Stream.put`; stored at once."""
        with self._lock:
            self._last += 1
            self._entries.append((self._last, event))
            if event["type"] not in self._lists and len(self._lists) >= IN_PROCESS_TYPES:
                del self._lists[next(iter(self._lists))]
            self._lists.setdefault(event["type"], deque(maxlen=LIST_LENGTH)).appendleft(event)
            readers = list(self._readers.values())
        for reader in readers:
            reader.wake()
        return Receipt(event["id"], stored=True)

    async def ready(self) -> bool:
        """See :meth:`Stream.ready`: always."""
        return True

    def reader(self, monitor: str) -> Reader:
        """See :meth:`Stream.reader`."""
        with self._lock:
            return self._readers.setdefault(monitor, MemoryReader(self))

    async def alerts(self, count: int = 100) -> list[Event]:
        """See :meth:`Stream.alerts`."""
        with self._lock:
            return list(reversed(self._alerts))[:count]

    def newest(self, event_type: str, count: int = 100) -> list[Event]:
        """The newest events of a type, newest first: what ``LRANGE logs:<type>`` shows on Redis."""
        with self._lock:
            return list(self._lists.get(event_type, ()))[:count]

    def counts(self) -> dict[str, int]:
        """See :meth:`Stream.counts`."""
        return {"stored": self._last, "refused": 0, "dropped": 0, "waiting": 0}

    def close(self, seconds: float = 0.0) -> None:
        """See :meth:`Stream.close`: nothing waits here."""

    def after(self, place: int, count: int) -> list[tuple[int, Event]]:
        """Up to ``count`` entries after ``place``."""
        with self._lock:
            oldest = self._entries[0][0] if self._entries else self._last + 1
            begin = max(place + 1, oldest) - oldest
            return [self._entries[at] for at in range(begin, min(begin + count, len(self._entries)))]

    def keep(self, alerts: list[Event]) -> None:
        """Keep alerts."""
        with self._lock:
            self._alerts.extend(alerts)


class MemoryReader:
    """A monitor's place in a :class:`MemoryStream`; it stays with the stream when the monitor stops."""

    BATCH = 100
    WAIT_SECONDS = 0.5

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self.handler_seconds = stream.claim_seconds / 2
        self._place = 0
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def open(self) -> None:
        """See :meth:`Reader.open`.

        Raises:
            ConfigurationError: a monitor of this name runs already.
        """
        if self._waiting is not None and not self._waiting[0].is_closed():
            raise ConfigurationError("a monitor of this name watches this stream already; give it another name")
        self._waiting = asyncio.get_running_loop(), asyncio.Event()

    async def next(self) -> list[Entry]:
        """See :meth:`Reader.next`."""
        assert self._waiting is not None, "open() comes first"  # noqa: S101
        self._waiting[1].clear()
        found = self._stream.after(self._place, self.BATCH)
        if not found:
            try:
                await asyncio.wait_for(self._waiting[1].wait(), self.WAIT_SECONDS)
            except TimeoutError:
                return []
            found = self._stream.after(self._place, self.BATCH)
        return [Entry(str(place), event) for place, event in found]

    async def done(self, entry: Entry, alerts: list[Event]) -> None:
        """See :meth:`Reader.done`."""
        self._place = int(entry.place)
        self._stream.keep(alerts)

    def may_begin(self) -> bool:
        """See :meth:`Reader.may_begin`: nobody else reads here."""
        return True

    async def close(self) -> None:
        """See :meth:`Reader.close`."""
        self._waiting = None

    def wake(self) -> None:
        """Say, from any thread, that there is a new event."""
        waiting = self._waiting
        if waiting is not None:
            try:
                waiting[0].call_soon_threadsafe(waiting[1].set)
            except RuntimeError:  # the monitor's loop ended without stop(); its place is kept
                self._waiting = None
