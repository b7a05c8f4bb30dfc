"""The real-time analysis within the embedded process: stored logs in, findings to the alerts and to whoever asks.

The agent's thread only puts sources into a queue; a thread of its own analyses them. The queue is bounded: where the
analysis cannot keep up it leaves documents out and counts them, and storing goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from python_shipper.alerts import Alerts
from python_shipper.analyzers import SEVERITIES, Finding
from python_shipper.analyzers.real_time import Open, RealTimeAnalyzer
from python_shipper.analyzers.real_time_state import encoded, load, write
from python_shipper.analyzers.real_time_thresholds import load_thresholds
from python_shipper.core.clock import iso, now_ms
from python_shipper.errors import ShipperError
from python_shipper.settings import Settings
from python_shipper.store import LOGS, Store

MOST_WAITING_BYTES = 64_000_000
BATCH = 500  # documents analysed while the lock is held
MOST_CAUGHT_UP, PAGE = 100_000, 5_000  # documents
TICK_SECONDS = 0.5
SAVE_SECONDS = 15.0
BEHIND_SECONDS = 2.0  # of the agent; from there on time passes by events alone
SETTLED_SECONDS = 4.0  # without anything new before time passes by the wall clock; for the last of a backlog to come
MOST_ENDED = 100
QUIET_SECONDS = 60.0

log = logging.getLogger(__name__)


class Analysis:
    """The thread that analyses, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, alerts: Alerts, agent_status: Callable[[], Mapping[str, Any]]) -> None:
        """Read thresholds and state.

        Raises:
            ConfigurationError: the file of ANALYSIS_FILE is wrong.
        """
        self.alerts, self.agent_status = alerts, agent_status
        self.path = settings.data_dir / "analysis" / "state.json"
        self.analyzer = load(RealTimeAnalyzer(load_thresholds(settings.analysis_file), now_ms), self.path)
        self.waiting: deque[tuple[list[bytes], Mapping[str, str]]] = deque()  # documents; places after them
        self.taken = self.done = 0  # bytes
        self.left_out = self.faults = 0  # documents; times
        self.ended: deque[Finding] = deque(maxlen=MOST_ENDED)
        self.lock = threading.Lock()  # over the analyser: its thread and those that ask
        self.taking = threading.Lock()
        self.wake, self.stopping = threading.Event(), threading.Event()
        self.heard_at = self.saved_at = self.behind_at = time.monotonic()
        self.next_word = 0.0
        self.stream: str | None = None  # the state of the stream of events, if one is followed
        self.thread = threading.Thread(target=self.run, name="shipper-analysis", daemon=True)

    def listen(self, sources: list[bytes], places: Mapping[str, str] | None = None) -> None:
        """Take documents from the agent or another source, each in a thread of its own.

        ``places``: how far the source is read with them, 500 at the most; :meth:`place` gives it back after a restart.
        """
        size = sum(map(len, sources))
        with self.taking:
            if self.taken - self.done + size > MOST_WAITING_BYTES:
                self.left_out += len(sources)
                return
            self.taken += size
        self.waiting.append((sources, places or {}))
        self.wake.set()

    def place(self, source: str) -> str:
        """How far a source was read by what is remembered; `0` if nothing is known."""
        with self.lock:
            return self.analyzer.places.get(source, "0")

    def start(self, store: Store) -> None:
        """Tell again what was open when the last process ended, take what that one missed in ``store``, and begin.

        To be called before the agent starts.
        """
        self.tell([known.finding for known in self.analyzer.open.values()])
        self.guarded(lambda: self.catch_up(store))
        self.thread.start()

    def stop(self) -> None:
        """Analyse what waits, and save."""
        self.stopping.set()
        self.wake.set()
        if self.thread.ident is not None:
            self.thread.join()

    def catch_up(self, store: Store) -> None:
        """Analyse what was stored after the last state: the moments before a ``kill -9``.

        What came late within them is left out, as nobody knows whether it was counted.
        """
        if self.analyzer.clock_ms:
            after_ms = max(self.analyzer.clock_ms, now_ms() - self.analyzer.oldest_ms)
            for documents in pages(store, after_ms, MOST_CAUGHT_UP):
                self.analyse(documents)

    def run(self) -> None:
        """Analyse until stopped; a fault is said and counted, and the next documents are tried."""
        while not self.stopping.is_set():
            self.wake.wait(TICK_SECONDS)
            self.wake.clear()
            self.guarded(self.turn)
        self.guarded(self.turn)
        self.guarded(self.save)

    def guarded(self, work: Callable[[], None]) -> None:
        """Do ``work``; what it raises is logged once a minute at the most."""
        try:
            work()
        except Exception as error:
            self.faults += 1
            if time.monotonic() >= self.next_word:
                self.next_word = time.monotonic() + QUIET_SECONDS
                log.error("analysis: %s; it goes on", error, exc_info=not isinstance(error, OSError | ShipperError))

    def turn(self) -> None:
        """Analyse what waits, let time pass where nothing came, and save when it is time."""
        came, complete = bool(self.waiting), self.agent_is_up_to_date()
        with self.lock:
            self.analyzer.complete = complete
        while self.waiting:
            sources, places = self.waiting.popleft()
            try:
                self.take(sources, places)
            finally:
                self.done += sum(map(len, sources))
            self.save_in_time()
        if came:
            self.heard_at = time.monotonic()
            self.judge()  # there may be nothing after it for a while
        elif time.monotonic() - self.heard_at >= SETTLED_SECONDS and complete:
            self.judge(now_ms())
        self.save_in_time()

    def take(self, sources: list[bytes], places: Mapping[str, str]) -> None:
        """Analyse sources; whoever asks has their turn in between."""
        for start in range(0, len(sources), BATCH):
            last = start + BATCH >= len(sources)
            self.analyse(map(orjson.loads, sources[start : start + BATCH]), places if last else {})

    def analyse(self, documents: Iterable[Mapping[str, Any]], places: Mapping[str, str] | None = None) -> None:
        """Analyse some documents, after which their source is at ``places``."""
        found = []
        with self.lock:
            for document in documents:
                self.analyzer.add(document)
                if self.analyzer.due:
                    found += self.analyzer.judge()
            self.analyzer.places.update(places or {})
        self.tell(found)

    def judge(self, at_ms: int = 0) -> None:
        """Judge what was counted, at the time of the newest document or at ``at_ms`` if that is later."""
        with self.lock:
            self.analyzer.tick(at_ms)
            found = self.analyzer.judge()
        self.tell(found)

    def agent_is_up_to_date(self) -> bool:
        """Whether what is not here was not written: the agent has read all for a while, and so has stored all."""
        status = self.agent_status()
        if status.get("state") != "running" or status.get("lag_seconds", BEHIND_SECONDS) >= BEHIND_SECONDS:
            self.behind_at = time.monotonic()
        return time.monotonic() - self.behind_at >= SETTLED_SECONDS

    def tell(self, findings: list[Finding]) -> None:
        """Give findings to the alerts.

        Ends go before the state is saved, beginnings after it: whatever a crash falls between, an alert that was opened
        is known to be open at the next start, and ends.
        """
        ends = [finding for finding in findings if finding.resolved]
        with self.lock:
            self.ended.extend(ends)
        for finding in ends:
            self.alerts.handle(finding)
        if findings:
            self.guarded(self.save)
        for finding in findings:
            if not finding.resolved:
                self.alerts.handle(finding)

    def save_in_time(self) -> None:
        """Save where that was long ago."""
        if time.monotonic() - self.saved_at >= SAVE_SECONDS:
            self.guarded(self.save)

    def save(self) -> None:
        """Keep what is remembered.

        Raises:
            OSError: it cannot be written.
        """
        self.saved_at = time.monotonic()
        with self.lock:
            content = encoded(self.analyzer)
        write(content, self.path)

    def status(self) -> dict[str, Any]:
        """The worst that is open, counts of the analysis, and the alerts' own figures."""
        with self.lock:
            counts, opened = self.analyzer.status(), [known.finding for known in self.analyzer.open.values()]
        worst = max(opened, key=lambda finding: SEVERITIES.index(finding.severity), default=None)
        own: dict[str, Any] = {
            "waiting_bytes": self.taken - self.done,
            "left_out_total": self.left_out,
            "faults_total": self.faults,
        }
        if self.stream is not None:
            own["stream"] = self.stream
        return {"analysis": {"wrong": worst and worst.message} | counts | own, "alerts": self.alerts.status()}

    def findings(self) -> dict[str, Any]:
        """What is open, what ended lately, and the figures of the last minute."""
        with self.lock:
            opened, ended, series = list(self.analyzer.open.values()), list(self.ended), self.analyzer.figures()
        return {
            "open": [shown(each) for each in sorted(opened, key=lambda each: -each.since_ms)],
            "ended": [finding.as_dict() | {"at": iso(finding.at_ms)} for finding in reversed(ended)],
            "last_minute": series,
        }

    def collect(self) -> Iterator[Metric]:
        """The open findings for a scrape."""
        with self.lock:
            opened = [known.finding for known in self.analyzer.open.values()]
        labels = Counter((finding.kind, finding.severity, finding.service or "") for finding in opened)
        gauge = GaugeMetricFamily("shipper_findings_open", "What is wrong now.", labels=("kind", "severity", "service"))
        for values, number in sorted(labels.items()):
            gauge.add_metric(values, number)
        yield gauge


def shown(known: Open) -> dict[str, Any]:
    """An open finding as JSON, with its times for people."""
    return known.finding.as_dict() | {"since": iso(known.since_ms), "at": iso(known.finding.at_ms)}


def pages(store: Store, after_ms: int, most: int) -> Iterator[list[dict[str, Any]]]:
    """Up to ``most`` logs of a time after ``after_ms``, the oldest first."""
    body: dict[str, Any] = {
        "query": {"range": {"@timestamp": {"gt": iso(after_ms)}}},
        "size": PAGE,
        "sort": [{"event.id": "asc"}],
        "track_total_hits": False,
    }
    for _ in range(most // PAGE):
        hits = store.search(LOGS, body)["hits"]["hits"]
        yield [hit["_source"] for hit in hits]
        if len(hits) < PAGE:
            return
        body["search_after"] = hits[-1]["sort"]
