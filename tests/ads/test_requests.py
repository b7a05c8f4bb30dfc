"""AdRequestTracker: a line for each step, and the journey read back from a store that real parts have filled."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from python_shipper import AdRequestTracker
from python_shipper.agent.ingest import Ingest
from python_shipper.errors import QueryError
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from python_shipper.testing import capture
from tests.ads.conftest import Events
from tests.store.documents import NOON, row


def ingested(settings: Settings) -> None:
    """Bring every written line into the store."""
    ingest = Ingest(settings)
    while ingest.turn():
        pass
    ingest.commit()
    ingest.close()


@contextmanager
def reading(folder: Path) -> Iterator[AdRequestTracker]:
    store = TantivyStore.open(folder)
    try:
        yield AdRequestTracker("tests.silent", store)
    finally:
        store.close()


def step(action: str, seconds: float, request: str = "r-1", **own: Any) -> Any:
    christmas = {"request": {"id": request}, **own}
    return row(NOON + round(seconds * 1000), event={"action": action}, user={"id": "u-1"}, christmas=christmas)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """A store that holds the given documents, in the given order."""

    def fill(*rows: Any) -> Path:
        writer = Writer(tmp_path / "data")
        for each in rows:
            writer.add([each])
        writer.close()
        return tmp_path / "data"

    return fill


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


def test_an_id_is_the_same_for_the_same_and_16_hex_digits() -> None:
    # printf 'u-1:2026-01-01T00:00:00Z' | sha256sum | head -c 16
    assert AdRequestTracker.generate_request_id("u-1", "2026-01-01T00:00:00Z") == "6d34f4044a920d40"
    assert len(AdRequestTracker.generate_request_id("\ud800", None)) == 16
    assert len(AdRequestTracker.generate_request_id(Unprintable(), Unprintable())) == 16


def test_every_step_is_a_line_with_typed_fields_and_personal_data_is_masked(name: str, events: Events) -> None:
    tracker = AdRequestTracker(name)
    context = {"email": "kim@example.com", "phone": "010-1234-5678", "device": "mobile"}
    request = tracker.track_ad_request("u-1", context, ["ad-1", {"id": "ad-2"}, {"ad_id": "ad-3"}], placement="top")
    tracker.track_ad_selection(request, {"ad_id": "ad-1", "campaign_id": "c-1", "score": 0.5}, "highest bid")
    tracker.track_ad_impression(request, "ad-1", campaign_id="c-1")
    tracker.track_ad_click(request, "ad-1", click_position=2)
    tracker.track_conversion(request, "ad-1", conversion_value=19.9, conversion_type="signup")
    found = events()
    assert [event["event"]["action"] for event in found] == [
        "ad_request", "ad_selection", "impression", "click", "conversion",
    ]  # fmt: skip
    assert {event["christmas"].pop("request")["id"] for event in found} == {request}
    asked, selected, shown, clicked, converted = found
    assert asked["user"] == {"id": "u-1"}
    assert asked["christmas"]["extra"]["available_ads"] == ["ad-1", "ad-2", "ad-3"]
    assert asked["christmas"]["extra"]["placement"] == "top"
    given = asked["christmas"]["extra"]["user_context"]
    assert given["device"] == "mobile" and "kim@example.com" not in str(asked) and "1234-5678" not in str(asked)
    extra = {"selection_reason": "highest bid", "score": 0.5}
    assert selected["christmas"] == {"ad": {"id": "ad-1"}, "campaign": {"id": "c-1"}, "extra": extra}
    assert shown["christmas"] == {"ad": {"id": "ad-1"}, "campaign": {"id": "c-1"}}
    assert clicked["christmas"] == {"ad": {"id": "ad-1"}, "click": {"position": 2}}
    assert converted["christmas"] == {"ad": {"id": "ad-1"}, "conversion": {"value": 19.9, "type": "signup"}}


def test_two_requests_of_one_user_are_two_in_forked_workers_as_well() -> None:
    tracker = AdRequestTracker("tests.silent")
    read, write = os.pipe()
    for _ in range(2):
        if not (pid := os.fork()):
            os.write(write, "".join(tracker.track_ad_request("u-1") for _ in range(100)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
    ids = os.read(read, 10_000).decode()
    assert len({ids[at : at + 16] for at in range(0, len(ids), 16)}) == 200


def test_whatever_a_caller_gives_a_step_is_written(name: str, events: Events) -> None:
    tracker = AdRequestTracker(name)
    request = tracker.track_ad_request("u-1", ads := {"a": 1}, [None, 7, {}], event_type="mine", request_id="mine")  # type: ignore[list-item]
    tracker.track_ad_selection(request, None, object())  # type: ignore[arg-type]
    tracker.track_ad_click(request, click_position="second")  # type: ignore[arg-type]
    assert ads == {"a": 1} and request == "mine"
    assert [event["event"]["action"] for event in events()] == ["ad_request", "ad_selection", "click"]


def test_a_journey_survives_the_tracker_that_wrote_it(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = AdRequestTracker(logger)
    request = tracker.track_ad_request("u-1", {"device": "mobile"}, ["ad-1"])
    other = tracker.track_ad_request("u-1")
    tracker.track_ad_selection(request, "ad-1", "only one")
    tracker.track_ad_impression(request, "ad-1")
    del tracker
    ingested(Settings(log_dir=tmp_path / "logs", data_dir=tmp_path / "data"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("python_shipper.core.config._active", None)
    journey = AdRequestTracker(logger).get_request_journey(request)
    assert journey is not None and (journey.user_id, journey.outcome) == ("u-1", "shown")
    assert [step.name for step in journey.steps] == ["ad_request", "ad_selection", "impression"]
    assert journey.steps[0].details["user_context"] == {"device": "mobile"}
    assert journey.steps[1].details == {"ad_id": "ad-1", "selection_reason": "only one"}
    assert journey.missing == () and len(journey.gaps) == 2
    with reading(tmp_path / "data") as reader:
        assert reader.get_request_journey(request) == journey
        found = reader.get_request_journey(other)
        assert found is not None and found.outcome == "requested"


def test_times_gaps_repeats_and_what_is_missing(stored: Callable[..., Path]) -> None:
    worth = {"value": 5.0, "type": "signup"}
    folder = stored(
        step("conversion", 60, conversion=worth),
        step("click", 3.25, click={"position": 1}),
        step("click", 3.5, click={"position": 1}),
        step("ad_request", 0),
        step("impression", 1, request="r-2"),
        step("conversion", 61, conversion={"value": 7.0, "type": "purchase"}),
        step("conversion", 62, conversion=worth),
        step("bid", 0.5),
    )
    with reading(folder) as tracker:
        journey, funnel = tracker.get_request_journey("r-1"), tracker.get_funnel()
    assert journey is not None and journey.outcome == "converted" and journey.duration_ms == 61_000
    assert [(s.name, s.since_previous_ms, s.times) for s in journey.steps] == [
        ("ad_request", None, 1),
        ("click", 3_250, 2),
        ("conversion", 56_750, 2),
        ("conversion", 1_000, 1),
    ]
    assert journey.missing == ("ad_selection", "impression")
    assert journey.gaps[0] == ("ad_request", "click", 3_250)
    assert journey.as_json()["steps"][0]["time"] == "2026-01-02T12:00:00.000Z"
    assert funnel.as_json() == {
        "ad_request": 1, "ad_selection": 0, "impression": 1, "click": 1, "conversion": 1,
        "conversion_value": 12.0, "repeats": 2,
    }  # fmt: skip


def test_a_funnel_of_a_time_takes_its_steps_only(stored: Callable[..., Path]) -> None:
    folder = stored(step("ad_request", 0), step("impression", 1), step("click", 2))
    with reading(folder) as tracker:
        part = tracker.get_funnel(since="2026-01-02T12:00:01Z", until="2026-01-02T12:00:02Z")
        assert (part.ad_request, part.impression, part.click) == (0, 1, 0)
        with pytest.raises(QueryError, match="since: expected"):
            tracker.get_funnel(since="yesterday")


def test_an_unknown_id_is_warned_of_and_none(tmp_path: Path) -> None:
    with reading(tmp_path / "data") as tracker, capture("tests.silent") as lines:
        assert tracker.get_request_journey("nobody") is None
        assert tracker.get_request_journey(None) is None  # type: ignore[arg-type]
        assert tracker.get_funnel().ad_request == 0
    assert [line["log.level"] for line in lines] == ["warning"] * 2
    assert lines[0]["christmas"]["request"]["id"] == "nobody"
