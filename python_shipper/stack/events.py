"""Follows the ad system's event stream on Redis into the real-time analysis, where REDIS_URL names one.

It has no consumer group: how far it read is kept with what the analysis knows of it, so a ``kill -9`` neither loses an
event nor counts one twice, and every embedded process sees all events.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import orjson

from python_shipper.ads.redis_client import client, gone, without_password
from python_shipper.ads.redis_reader import event_of
from python_shipper.ads.stream import STREAM
from python_shipper.analyzers.real_time_stream import ecs_of
from python_shipper.core.clock import now_ms
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings
from python_shipper.stack.analysis import BATCH, Analysis

if TYPE_CHECKING:
    from redis import Redis

BLOCK_MS = 500
TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class EventFeed:
    """A thread that reads the stream, and waits for a Redis that is away."""

    def __init__(self, url: str, analysis: Analysis) -> None:
        """Prepare; nothing connects yet.

        Raises:
            ConfigurationError: the address is none, or Redis's client is not installed.
        """
        self.where, self.redis, self.analysis = without_password(url), client(url, TIMEOUT_SECONDS), analysis
        # Of what the stream had before, only what still says something of now.
        self.place = max(analysis.place(STREAM), f"{now_ms() - analysis.analyzer.oldest_ms}-0", key=order)
        analysis.stream = "not read yet"
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="shipper-events", daemon=True)

    def start(self) -> None:
        """Go on where the last state of the analysis ended."""
        self.thread.start()

    def stop(self) -> None:
        """End once the events at hand are handed over."""
        self.stopping.set()
        if self.thread.ident is not None:
            self.thread.join()
        self.redis.close()

    def run(self) -> None:
        """Read until stopped."""
        away = gone()
        while not self.stopping.is_set():
            try:
                self.turn(self.redis)
                self.say("read")
            except away as error:
                self.say(f"{self.where} does not answer as it should: {error}")
                self.stopping.wait(PAUSE_SECONDS)

    def turn(self, redis: Redis) -> None:
        """Hand the next events over, waiting for some for half a second at the most."""
        answer: Any = redis.xread({STREAM: self.place}, count=BATCH, block=BLOCK_MS)
        for rows in answer.values() if isinstance(answer, dict) else [rows for _, rows in answer or ()]:
            # The newest protocol's client wraps the rows of a stream in one more list.
            self.hand_over(rows[0] if isinstance(rows[0], list) else rows)

    def hand_over(self, rows: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Give events to the analysis, with the place of the last."""
        self.place = rows[-1][0].decode()
        events = [orjson.dumps(ecs_of(event_of(place.decode(), fields))) for place, fields in rows]
        self.analysis.listen(events, {STREAM: self.place})

    def say(self, state: str) -> None:
        """Show the stream's state, and log it where it changed."""
        if state != self.analysis.stream:
            (log.info if state == "read" else log.warning)("stream of events: %s", state)
            self.analysis.stream = state


def order(place: str) -> tuple[int, int]:
    """What places in a stream are compared by: milliseconds since 1970, and a number."""
    ms, _, number = place.partition("-")
    return int(ms), int(number or 0)


def feed(settings: Settings, analysis: Analysis) -> EventFeed | None:
    """The feed of REDIS_URL; None, with a line in the log, where its client is missing or the address is none."""
    if not settings.redis_url:
        return None
    try:
        return EventFeed(settings.redis_url, analysis)
    except ConfigurationError as error:
        log.error("events of the stream are not analysed: %s", error)
        analysis.stream = str(error)
        return None
