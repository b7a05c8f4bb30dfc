"""AdEventLogger: each event by its action, category and typed fields, whatever the caller's values look like."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest

from python_shipper import AdEventLogger, StructuredLogger
from python_shipper.collectors.event import EventKind
from python_shipper.errors import ConfigurationError
from tests.ads.conftest import Events


def test_each_event_has_its_action_its_category_and_typed_fields(name: str, events: Events) -> None:
    ads = AdEventLogger(name)
    ads.log_bid_request("r-1", campaign_id="c-1")
    ads.log_bid_response("r-1", 1.25, True)
    ads.log_impression("ad-1", "u-1", request_id="r-1")
    ads.log_click("ad-1", "u-1", click_position=3)
    ads.log_conversion("ad-1", "u-1", 19.9, conversion_type="signup")
    found = events()
    assert [(e["event"]["action"], e["event"]["category"], e["log.level"]) for e in found] == [
        ("bid_request", ["api"], "debug"),
        ("bid_response", ["api"], "info"),
        ("impression", ["web"], "info"),
        ("click", ["web"], "info"),
        ("conversion", ["web"], "info"),
    ]
    assert [e["christmas"] for e in found] == [
        {"request": {"id": "r-1"}, "campaign": {"id": "c-1"}},
        {"request": {"id": "r-1"}, "bid": {"price": 1.25, "win": True}},
        {"ad": {"id": "ad-1"}, "request": {"id": "r-1"}},
        {"ad": {"id": "ad-1"}, "click": {"position": 3}},
        {"ad": {"id": "ad-1"}, "conversion": {"value": 19.9, "type": "signup"}},
    ]
    assert [e.get("user") for e in found] == [None, None] + [{"id": "u-1"}] * 3


def test_a_value_of_another_type_costs_no_line_and_no_refusal(name: str, events: Events) -> None:
    ads = AdEventLogger(name)
    ads.log_conversion("ad-1", 7, Decimal("19.90"))  # type: ignore[arg-type]
    ads.log_bid_response("r-1", "much", "perhaps")  # type: ignore[arg-type]
    ads.log_click("ad-1", "u-1", click_position={"x": 1, "y": 2}, event_type="own", note="kim@example.com")
    conversion, bid, click = events()
    assert (conversion["user"]["id"], conversion["christmas"]["conversion"]["value"]) == ("7", 19.9)
    assert "bid" not in bid["christmas"] and bid["christmas"]["extra"]
    assert click["event"]["action"] in ("click", "own") and "kim@example.com" not in str(click)


def test_it_writes_by_any_logger(logger: logging.Logger, events: Events) -> None:
    structured = StructuredLogger(logger.name)
    structured.set_context(campaign_id="c-1")
    adapter = logging.LoggerAdapter(logger, {"campaign_id": "c-1"})
    for given in (structured, adapter):
        AdEventLogger(given).log_impression("ad-1", "u-1")
    structured.clear_context()
    AdEventLogger(logger).log_impression("ad-1", "u-1")
    assert [event["christmas"].get("campaign") for event in events()] == [{"id": "c-1"}, {"id": "c-1"}, None]


def test_what_the_level_leaves_out_is_not_written(logger: logging.Logger, events: Events) -> None:
    logger.setLevel(logging.INFO)
    AdEventLogger(logger).log_bid_request("r-1")
    AdEventLogger(logger).log_bid_response("r-1", 1.0, False)
    assert [event["event"]["action"] for event in events()] == ["bid_response"]


def test_a_category_that_ecs_does_not_know_is_refused_where_the_kind_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"event order_placed: category: .*'orders'"):
        EventKind("order_placed", "order placed", category="orders")
