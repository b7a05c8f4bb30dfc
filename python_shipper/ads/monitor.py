"""Who watches the stream of events: functions that get every event once, and whose findings become alerts."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from python_shipper.ads.logging_system import AdLoggingSystem
from python_shipper.ads.stream import Entry, Event, Reader
from python_shipper.ads.verdict import findings_of, stored
from python_shipper.alerts import Alerts, Finding
from python_shipper.errors import ConfigurationError

FIRST_PAUSE_SECONDS, MOST_PAUSE_SECONDS = 0.1, 5.0
QUIET_SECONDS = 60.0
Monitor = Callable[[Event], Awaitable[Any]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watch:
    """One monitor: its function, what it did, and what it has handled that the stream does not know yet."""

    name: str
    function: Monitor
    counts: dict[str, int] = field(default_factory=lambda: {"handled": 0, "failed": 0, "alerts": 0})
    finished: tuple[Entry, list[Event]] | None = None
    next_word: float = 0.0


class Run:
    """One run of the monitors, which any thread may end, also before it began."""

    def __init__(self) -> None:
        self.asked = False
        self.began: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def begin(self) -> asyncio.Event:
        """What is set when it is to end."""
        self.began = asyncio.get_running_loop(), asyncio.Event()
        if self.asked:
            self.began[1].set()
        return self.began[1]

    def end(self) -> None:
        """End it, soon."""
        self.asked = True
        if self.began and not self.began[0].is_closed():
            self.began[0].call_soon_threadsafe(self.began[1].set)


class LogMonitor:
    """Runs monitors over the events of an :class:`~python_shipper.ads.logging_system.AdLoggingSystem`.

    Each monitor has a place of its own in the stream. On Redis it is kept there, and processes that run a monitor of
    one name share the events; what a process that died had begun goes to another one after ``claim_seconds``.
    """

    def __init__(self, system: AdLoggingSystem, alerts: Alerts | None = None) -> None:
        """Watch the stream of ``system``; without ``alerts`` those of its settings are opened while monitoring runs."""
        self._system, self._alerts = system, alerts
        self._watches: dict[str, Watch] = {}
        self._run = Run()

    def add_monitor(self, monitor_func: Monitor, name: str) -> None:
        """Let ``await monitor_func(event)`` see every event ``{timestamp, type, data, id}``, one after the other.

        It returns None, or an alert: a text, a mapping with what a :class:`~python_shipper.alerts.Finding` has
        (message, severity, …), a Finding, or a list of these. If it raises, or takes longer than half of
        ``claim_seconds``, that is counted and logged, and the next event comes. ``name`` keeps its place in the stream.

        Raises:
            ConfigurationError: the name is none or taken, the function is not async, or monitoring runs already.
        """
        if self._run.began:
            raise ConfigurationError(f"monitor {name!r}: monitoring runs already; add monitors before it starts")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"monitor {name!r:.80}: expected a name, which keeps its place in the stream")
        if name in self._watches:
            raise ConfigurationError(f"monitor {name!r}: there is one of that name; give it another")
        if not inspect.iscoroutinefunction(monitor_func) and not inspect.iscoroutinefunction(
            type(monitor_func).__call__
        ):
            raise ConfigurationError(f"monitor {name!r}: expected an async function, got {monitor_func!r:.80}")
        self._watches[name] = Watch(name, monitor_func)

    def start_monitoring(self) -> Coroutine[Any, Any, None]:
        """Run every monitor until :meth:`stop`; await it, or make a task of it.

        Raises:
            ConfigurationError: it runs already, or another LogMonitor runs one of the monitors in this process.
            StoreError: the alerts' outbox cannot be opened.
        """
        # Not an async function: a stop() that comes before the task had its first turn is meant for this run.
        run = Run()
        if not self._run.began:
            self._run = run
        return self._monitor(run)

    async def _monitor(self, run: Run) -> None:
        if self._run is not run:
            raise ConfigurationError("monitoring runs already; stop() ends it")
        stop = run.begin()
        try:
            alerts = self._alerts or Alerts.open(self._system.settings)
            if alerts is not self._alerts:
                alerts.start()
            try:
                log.info("watching the stream: %s", ", ".join(self._watches) or "no monitor")
                async with asyncio.TaskGroup() as group:
                    for watch in self._watches.values():
                        group.create_task(self._watch(watch, alerts, stop))
            except* ConfigurationError as errors:
                raise errors.exceptions[0] from None
            finally:
                if alerts is not self._alerts:
                    await asyncio.to_thread(alerts.stop)
        finally:
            self._run = Run()

    def stop(self) -> None:
        """Let ``start_monitoring`` return once the events at hand are handled; from any thread."""
        self._run.end()

    def counts(self) -> dict[str, dict[str, int]]:
        """By monitor: events handled, among them failed, and alerts."""
        return {name: dict(watch.counts) for name, watch in self._watches.items()}

    async def _watch(self, watch: Watch, alerts: Alerts, stop: asyncio.Event) -> None:
        """One monitor, through outages of the stream."""
        reader, away = self._system.stream.reader(watch.name), self._system.stream.away
        pause = FIRST_PAUSE_SECONDS
        try:
            while not stop.is_set():
                try:
                    await reader.open()
                    await self._finish(watch, reader)
                    while not stop.is_set():
                        await self._turn(watch, reader, alerts, stop)
                        pause = FIRST_PAUSE_SECONDS
                except away as error:
                    if pause == FIRST_PAUSE_SECONDS:
                        log.warning("monitor %s: the stream does not answer (%s); it is tried again", watch.name, error)
                    await waited(stop, pause)
                    pause = min(pause * 2, MOST_PAUSE_SECONDS)
        finally:
            await closed(watch.name, reader, away)

    async def _turn(self, watch: Watch, reader: Reader, alerts: Alerts, stop: asyncio.Event) -> None:
        """The next events, one by one."""
        entries = await reader.next()
        for entry in entries:
            if stop.is_set() or not reader.may_begin():
                return
            found = await self._found(watch, entry, reader.handler_seconds)
            for finding in found:
                # Before it is noted as handled: a crash between the two repeats an alert, which its key recognises.
                await asyncio.to_thread(alerts.handle, finding)
            watch.finished = entry, [stored(finding, watch.name, entry.event) for finding in found]
            await self._finish(watch, reader)
        await asyncio.sleep(0)  # where neither stream nor function ever waits, others want their turn, too

    async def _finish(self, watch: Watch, reader: Reader) -> None:
        """Note in the stream what was handled; after an outage, before anything else is read."""
        if watch.finished is not None:
            entry, alerts = watch.finished
            await reader.done(entry, alerts)
            watch.finished = None
            watch.counts["handled"] += 1
            watch.counts["alerts"] += len(alerts)

    async def _found(self, watch: Watch, entry: Entry, seconds: float) -> list[Finding]:
        """What a monitor has to say of an event; its failure is its own."""
        try:
            async with asyncio.timeout(seconds):
                said = await watch.function(entry.event)
            return findings_of(said, watch.name, entry.event, self._system.settings.service_name)
        except Exception as error:
            watch.counts["failed"] += 1
            if time.monotonic() >= watch.next_word:
                watch.next_word = time.monotonic() + QUIET_SECONDS
                words = "monitor %s failed on event %s (%d failures so far)"
                log.error(words, watch.name, entry.event["id"], watch.counts["failed"], exc_info=error)
            return []


async def waited(stop: asyncio.Event, seconds: float) -> None:
    """Pause, or until it stops."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def closed(name: str, reader: Reader, away: tuple[type[Exception], ...]) -> None:
    """Let go of a reader, also where the stream is away."""
    try:
        await reader.close()
    except away as error:
        log.warning("monitor %s: what it had begun is handled by others later: the stream is away (%s)", name, error)
