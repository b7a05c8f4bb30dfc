"""The demo's stream of ad events: a bid, and where it wins an impression, at times a click, at times a conversion."""

from __future__ import annotations

import logging
import os
import random

log = logging.getLogger(__name__)
chance = random.Random(os.environ.get("EXAMPLE_SEED"))
CAMPAIGNS = {"winter-sale": ("ad-101", "ad-102"), "new-broker": ("ad-201",), "etf-weeks": ("ad-301", "ad-302")}
WIN_SHARE, CLICK_SHARE, CONVERSION_SHARE = 0.7, 0.2, 0.3


def show() -> dict[str, object]:
    """Bid for one place; what came of it, each step logged under the request's trace id."""
    campaign = chance.choice(list(CAMPAIGNS))
    ad = {"campaign_id": campaign, "ad_id": chance.choice(CAMPAIGNS[campaign])}
    bid_price = round(chance.lognormvariate(0, 0.4), 4)
    won = chance.random() < WIN_SHARE
    log.info("bid placed", extra={**ad, "event_type": "bid", "bid_price": bid_price, "win": won})
    if not won:
        return {"shown": False}
    log.info("ad shown", extra={**ad, "event_type": "impression", "bid_price": bid_price})
    if chance.random() < CLICK_SHARE:
        log.info("ad clicked", extra={**ad, "event_type": "click", "click_position": chance.randint(1, 5)})
        if chance.random() < CONVERSION_SHARE:
            value = round(chance.uniform(10, 500), 2)
            goal = {"event_type": "conversion", "conversion_type": "signup", "conversion_value": value}
            log.info("ad converted", extra={**ad, **goal})
    return {"shown": True, **ad}
