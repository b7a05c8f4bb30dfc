"""Funnel numbers from either store equal those emitted: journeys with drop-outs, repeats and reordering, exactly.

``FUNNEL=100000`` makes that many journeys instead of the short form's 3,000.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from python_shipper import AdRequestTracker
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import now_ms
from python_shipper.core.handlers import FilesHandler
from python_shipper.settings import Settings
from python_shipper.stack import elk
from python_shipper.store import Store
from python_shipper.store.tantivy import TantivyStore
from tests.ads.test_requests import ingested
from tests.spec.validator import checked
from tests.stack import elasticsearch as engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]
JOURNEYS = int(os.environ.get("FUNNEL", "3000"))
GOES_ON, MISSED, REPEATED, TWICE_CONVERTED = 0.7, 0.01, 0.05, 0.2
WINDOW = 1_000  # how far out of order steps are written
BULK = 5_000
STEPS = ("ad_request", "ad_selection", "impression", "click", "conversion")
SERVICE = "funnel"


class Emitted:
    """Journeys made up and written by the tracker, and what of them must be counted."""

    def __init__(self, journeys: int) -> None:
        self.chance = random.Random(journeys)
        self.counts: Counter[str] = Counter()
        self.values: list[float] = []
        self.repeats = 0
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        for number in range(journeys):
            self.journey(AdRequestTracker.generate_request_id(f"user_{number % 500}", number))
        self.calls = [call for _, call in sorted(enumerate(self.calls), key=self.moved)]

    def moved(self, at: tuple[int, Any]) -> float:
        return at[0] + self.chance.uniform(0, WINDOW)

    def journey(self, request: str) -> None:
        """One journey: it ends somewhere, and here and there a step's line is missing or comes more than once."""
        for step in STEPS:
            if self.chance.random() > MISSED:
                self.step(step, request)
            if self.chance.random() > GOES_ON:
                return

    def step(self, step: str, request: str) -> None:
        kinds = ("signup", "purchase") if self.chance.random() < TWICE_CONVERTED else ("signup",)
        for kind in kinds if step == "conversion" else ("",):
            more = {"conversion_type": kind, "conversion_value": self.chance.randint(1, 10_000) / 4} if kind else {}
            times = self.chance.randint(2, 4) if self.chance.random() < REPEATED else 1
            self.calls += [(step, request, more)] * times
            self.repeats += times - 1
            self.values += [more["conversion_value"]] if more else []
        self.counts[step] += 1

    def write(self, tracker: AdRequestTracker) -> None:
        """Call the tracker as an application would."""
        calls = {
            "ad_request": lambda request: tracker.track_ad_request("user_1", request_id=request),
            "ad_selection": lambda request: tracker.track_ad_selection(request, "ad-1", "highest bid"),
            "impression": tracker.track_ad_impression,
            "click": tracker.track_ad_click,
            "conversion": tracker.track_conversion,
        }
        for step, request, more in self.calls:
            calls[step](request, **more)  # type: ignore[operator]

    def expected(self) -> dict[str, Any]:
        """What the store must say."""
        steps = {step: self.counts[step] for step in STEPS}
        return {**steps, "conversion_value": math.fsum(self.values), "repeats": self.repeats}


@pytest.fixture(scope="module")
def emitted() -> Emitted:
    return Emitted(JOURNEYS)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, emitted: Emitted) -> Settings:
    """The settings of the folder to which all steps have been written."""
    folder = tmp_path_factory.mktemp("funnel")
    settings = Settings(log_dir=folder / "logs", data_dir=folder / "data", log_max_bytes=20_000_000)
    settings = dataclasses.replace(settings, log_backup_count=1_000)
    handler = FilesHandler(SERVICE, settings.log_dir, daily=False, error=False, settings=settings)
    logger = logging.getLogger("tests.funnel")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    emitted.write(AdRequestTracker(logger))
    logger.removeHandler(handler)
    handler.close()
    return settings


def lines(settings: Settings) -> Iterator[bytes]:
    for path in sorted(settings.log_dir.glob("*.ecs.log*")):
        with path.open("rb") as file:
            yield from file


def answers(store: Store, emitted: Emitted) -> None:
    """The whole funnel, and the journey of a request that is in it."""
    tracker = AdRequestTracker("tests.silent", store)
    got = tracker.get_funnel().as_json()
    print(f"\n{type(store).__name__}: {JOURNEYS} journeys, {len(emitted.calls)} lines: {got}")
    assert got == emitted.expected()
    step, request, _ = emitted.calls[len(emitted.calls) // 2]
    journey = tracker.get_request_journey(request)
    assert journey is not None and step in {found.name for found in journey.steps}
    written = Counter(name for name, of, _ in emitted.calls if of == request)
    assert sum(found.times for found in journey.steps) == written.total()


def test_every_line_passes_the_specification(settings: Settings, emitted: Emitted) -> None:
    events = [checked(line) for line in lines(settings)]
    assert sum("request" in event["christmas"] for event in events) == len(emitted.calls)


def test_the_embedded_store_counts_what_was_emitted(settings: Settings, emitted: Emitted) -> None:
    # The same lines once more, as after a crash of whoever copied them: known by their ids.
    again = settings.log_dir / f"{SERVICE}.2.ecs.log"
    first = next(iter(sorted(settings.log_dir.glob(f"{SERVICE}.ecs.log*"))))
    again.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[1:]))
    ingested(settings)
    again.unlink()
    with closing(TantivyStore.open(settings.data_dir)) as store:
        answers(store, emitted)


def test_elasticsearch_counts_what_was_emitted(
    settings: Settings, emitted: Emitted, elasticsearch: engine.Server
) -> None:
    api, pipeline, source = elasticsearch.api(), Pipeline(), Source(f"/logs/{SERVICE}.ecs.log", "f" * 64, 0)
    indices, at_ms, batch = set(), now_ms(), list[str]()

    def send() -> None:
        answer = api.send("POST", "/_bulk", "".join(batch).encode(), {"Content-Type": "application/x-ndjson"})
        assert all(item["create"]["status"] in (201, 409) for item in answer["items"])
        batch.clear()

    try:
        for line in lines(settings):
            routed = pipeline.process(line, source, at_ms)
            indices.add(routed.index)
            action = {"create": {"_index": routed.index, "_id": routed.id}}
            batch += [json.dumps(action) + "\n", json.dumps(routed.document) + "\n"] * 2
            if len(batch) >= BULK:
                send()
        if batch:
            send()
        api.call("POST", f"/christmas-logs-{SERVICE}-*/_refresh")
        with closing(elk.store_at(api)) as store:
            answers(store, emitted)
    finally:
        for index in indices:
            api.call("DELETE", f"/{index}")
