"""CampaignLogger: the line, the event, and the warning where a campaign earns less than it should."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest

from python_shipper import AdLoggingSystem, CampaignLogger
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import now_ms
from python_shipper.errors import ConfigurationError
from tests.ads.system import Root


@pytest.fixture
def system(root: Root) -> Iterator[AdLoggingSystem]:
    yield AdLoggingSystem()


def lines(system: AdLoggingSystem, root: Root) -> list[dict[str, Any]]:
    """The campaign's lines, each of which the pipeline would store as it is."""
    found = [event for event in root.events() if event["log"].get("logger") == "ad_system.campaign"]
    for raw in root.raw():
        routed = Pipeline().process(raw, Source("/logs/ad_system.ecs.log", "f" * 64, 0), now_ms())
        assert routed.index.startswith("christmas-logs-")
    return found


def test_a_campaign_begins(system: AdLoggingSystem, root: Root) -> None:
    CampaignLogger(system).log_campaign_created(
        "c1", {"name": "Winter", "budget": 5000, "owner_email": "kim@example.com"}
    )
    (line,) = lines(system, root)
    assert line["christmas"]["campaign"] == {"id": "c1", "name": "Winter", "budget": 5000}
    assert line["event"]["action"] == "campaign_created" and line["log.level"] == "info"
    assert "kim@" not in str(line)
    (event,) = system.stream.newest("campaign_created")  # type: ignore[attr-defined]
    assert event["data"]["campaign_id"] == "c1" and "kim@" not in str(event)


FIGURES = {"impressions": 10_000, "clicks": 150, "conversions": 12, "spend": 75.5}


@pytest.mark.parametrize(
    ("metrics", "roas", "level"),
    [
        ({"roas": 2.5, "ctr": 0.015}, 2.5, "info"),
        ({"roas": 1.0}, 1.0, "info"),
        ({"roas": 0.99}, 0.99, "warning"),
        ({"revenue": 151.0}, 2.0, "info"),
        ({"revenue": 7.55}, 0.1, "warning"),
        ({"revenue": 0}, 0.0, "warning"),
        ({"roas": 2.5, "target_roas": 3}, 2.5, "warning"),
        ({"roas": 0.5, "target_roas": 0.4}, 0.5, "info"),
        ({"roas": "0.5"}, 0.5, "warning"),
    ],
)
def test_a_roas_under_its_target_is_a_warning(
    metrics: dict[str, Any],
    roas: float,
    level: str,
    system: AdLoggingSystem,
    root: Root,
) -> None:
    CampaignLogger(system).log_campaign_performance("c1", {**FIGURES, **metrics})
    (line,) = lines(system, root)
    campaign = line["christmas"]["campaign"]
    assert (campaign["roas"], line["log.level"]) == (roas, level)
    assert campaign["ctr"] == 0.015 and campaign["impressions"] == 10_000 and campaign["spend"] == 75.5
    assert line["event"]["action"] == "campaign_performance" and line["event"]["kind"] == "metric"


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"spend": 0, "revenue": 5},
        {"roas": None},
        {"roas": math.nan},
        {"roas": "many"},
        {"exception": 1, "level": 2},
    ],
)
def test_where_there_is_no_roas_nobody_is_warned(
    metrics: dict[str, Any],
    system: AdLoggingSystem,
    root: Root,
) -> None:
    CampaignLogger(system).log_campaign_performance("c1", metrics)
    (line,) = lines(system, root)
    assert line["log.level"] == "info" and "ctr" not in line["christmas"]["campaign"]


def test_a_target_that_is_no_number_is_refused_where_it_is_given(system: AdLoggingSystem) -> None:
    with pytest.raises(ConfigurationError, match="target_roas: expected a number, got 'high'"):
        CampaignLogger(system, target_roas="high")  # type: ignore[arg-type]


def test_a_target_of_ones_own_and_an_awaited_call(system: AdLoggingSystem, root: Root) -> None:
    async def run() -> str | None:
        return await CampaignLogger(system, target_roas=4).log_campaign_performance("c1", {"roas": 3.5})

    identity = asyncio.run(run())
    (line,) = lines(system, root)
    assert line["log.level"] == "warning" and line["christmas"]["campaign"]["target_roas"] == 4
    assert [e["id"] for e in system.stream.newest("campaign_performance")] == [identity]  # type: ignore[attr-defined]
