"""The ad system's business events: a bid asked for and answered, an ad shown, clicked, and what came of it."""

from __future__ import annotations

import logging
from typing import Any

from python_shipper.collectors.event import EventCollector, EventKind
from python_shipper.core.logger import LoggerLike

BID_REQUEST = EventKind("bid_request", "bid requested", category="api", type="start", level=logging.DEBUG)
BID_RESPONSE = EventKind("bid_response", "bid answered", category="api", type="end")
IMPRESSION = EventKind("impression", "ad shown", type="access")
CLICK = EventKind("click", "ad clicked", type="access")
CONVERSION = EventKind("conversion", "ad converted")


class AdEventLogger:
    """Writes ad events; ``**fields`` take ``campaign_id``, ``request_id`` and whatever else belongs to the event."""

    def __init__(self, logger: LoggerLike = "ad_system.events") -> None:
        self._events = EventCollector(logger)

    def log_impression(self, ad_id: str, user_id: str | None = None, **fields: Any) -> None:
        """An ad was shown to a user."""
        self._events.collect(IMPRESSION, ad_id=ad_id, user_id=user_id, **fields)

    def log_click(self, ad_id: str, user_id: str | None = None, **fields: Any) -> None:
        """A user clicked an ad; ``click_position`` is its place on the page, from 1."""
        self._events.collect(CLICK, ad_id=ad_id, user_id=user_id, **fields)

    def log_conversion(self, ad_id: str, user_id: str | None = None, value: float | None = None, **fields: Any) -> None:
        """A click led to what it was for; ``value`` is in the campaign's currency, ``conversion_type`` names it."""
        self._events.collect(CONVERSION, ad_id=ad_id, user_id=user_id, conversion_value=value, **fields)

    def log_bid_request(self, request_id: str, **fields: Any) -> None:
        """A bid is asked for; written at DEBUG."""
        self._events.collect(BID_REQUEST, request_id=request_id, **fields)

    def log_bid_response(self, request_id: str, bid_price: float, win: bool, **fields: Any) -> None:
        """A bid was answered with a price in the campaign's currency, and has won its auction or not."""
        self._events.collect(BID_RESPONSE, request_id=request_id, bid_price=bid_price, win=win, **fields)
