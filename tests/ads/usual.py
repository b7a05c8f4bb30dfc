"""The ad system's classes as an application uses them, each argument by position and by its name; nothing is set up.

Run as a program, by tests with every package and by those of the base install with none.
"""

import asyncio
import logging

from python_shipper import (
    AdEventLogger,
    AdLoggingSystem,
    AdRequestTracker,
    AdSystemErrorTracker,
    AdSystemLogger,
    CampaignLogger,
    ContextualLogger,
    ErrorCollector,
    LogMonitor,
    MetricCollector,
    PerformanceLogger,
    SlackHandler,
    StructuredLogger,
)

BROKEN = ValueError("no price")
SUMMARY = ["count", "mean_ms", "median_ms", "min_ms", "max_ms", "stdev_ms", "p95_ms", "p99_ms"]
ERRORS = {"email_alerts": False, "smtp_host": "mail", "from_email": "a@b.kr", "alert_emails": ["c@d.kr"]}


def structured() -> None:
    assert AdSystemLogger.setup_logging(app_name="ad_system") is AdSystemLogger.setup_logging()
    for log in (
        StructuredLogger("ad_system.bids"),
        StructuredLogger(name="ad_system.bids"),
        ContextualLogger(name="x"),
    ):
        log.error("failed", BROKEN, ad_id="ad-1")
        log.error(message="failed", exception=BROKEN, ad_id="ad-1")
    StructuredLogger("ad_system.bids").set_context(user_id="u")
    StructuredLogger("ad_system.bids").clear_context()


def events() -> None:
    for log in (AdEventLogger(), AdEventLogger(logging.getLogger("ad_system.e")), AdEventLogger(logger="ad_system.e")):
        log.log_impression("ad-1", "u")
        log.log_impression(ad_id="ad-1", user_id="u")
        log.log_click(ad_id="ad-1", user_id="u")
        log.log_conversion("ad-1", "u", 19.9)
        log.log_conversion(ad_id="ad-1", user_id="u", value=19.9)
        log.log_bid_request(request_id="r")
        log.log_bid_response("r", 1.5, True)
        log.log_bid_response(request_id="r", bid_price=1.5, win=False)


def measurements() -> None:
    performance = PerformanceLogger(logging.getLogger("ad_system.performance"))

    @performance.log_api_call
    def call(amount: int) -> int:
        return amount

    async def score() -> int:
        async with performance.measure_time("score", exchange="krx"):
            return await performance.log_api_call(asyncio.sleep)(0, 7)

    with performance.measure_time(operation="rank"):
        assert call(5) == 5 and asyncio.run(score()) == 7
    assert list(performance.get_performance_summary()["rank"]) == SUMMARY


def requests() -> None:
    tracker = AdRequestTracker()
    assert len(tracker.generate_request_id(user_id="u", timestamp=1_700_000_000.5)) == 16
    for context, ads in (({"device": "mobile"}, ["ad-1"]), (None, None), ("mobile", "ad-1"), ((), ({"id": "ad-1"},))):
        tracker.track_ad_request("u", context, ads)
    request = tracker.track_ad_request(user_id="u", user_context={}, available_ads=[])
    tracker.track_ad_selection(request_id=request, selected_ad={"id": "ad-1"}, selection_reason="best")
    tracker.track_ad_impression(request)
    tracker.track_ad_click(request, click_position=2)
    tracker.track_conversion(request, conversion_value=1, conversion_type="signup")


def errors() -> None:
    tracker = AdSystemErrorTracker(ERRORS)
    tracker.track_error("timeout", "no answer", {"campaign_id": "c"}, BROKEN)
    tracker.track_error(error_type="timeout", error_message="no answer", context=None, exception=None)
    tracker.track_error("timeout", "no answer", "a text", "another")  # a mistake costs the caller nothing
    assert tracker.get_error_statistics()["timeout"]["count"] == 3
    SlackHandler(webhook_url="https://hooks.slack.com/services/T/B/X").close()


async def system() -> None:
    made = AdLoggingSystem({"redis_url": None, "enable_remote_logging": False})
    assert await made.setup_redis()
    assert await made.log_event_async("bid", {"price": 1}) and await made.log_event_async(event_type="bid", data={})
    log = made.get_logger(name="ad_system.bids", region="kr")
    async with log.context(request_id="r"):
        log.error("failed", exception=BROKEN)
    campaigns = CampaignLogger(made)
    assert await campaigns.log_campaign_created("c", {"name": "winter"})
    assert await campaigns.log_campaign_performance("c", {"impressions": 9, "clicks": 1, "spend": 2, "roas": 0.5})
    campaigns.log_campaign_created("c", None)
    monitor, seen = LogMonitor(made), []

    async def watch(event: dict[str, object]) -> None:
        seen.append(event["type"])
        if len(seen) == 5:
            monitor.stop()

    monitor.add_monitor(watch, "watch")
    async with asyncio.timeout(60):
        await monitor.start_monitoring()
    assert seen == ["bid", "bid", "campaign_created", "campaign_performance", "campaign_created"]


def collectors() -> None:
    metrics = MetricCollector("ad_system.metrics")
    metrics.counter("bids_total", exchange="krx")
    metrics.gauge("queue_size", 3)
    metrics.histogram("bid_seconds", 0.2)
    metrics.close()
    errors = ErrorCollector("ad_system.errors")
    errors.install()
    errors.uninstall()


if __name__ == "__main__":
    structured()
    events()
    measurements()
    requests()
    errors()
    asyncio.run(system())
    collectors()
