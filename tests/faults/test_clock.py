"""A clock that is a day off: what it makes of lines is undone by a replay, nothing is lost or twice."""

import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from python_shipper.agent import dead_letters

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("hours", [24, -24])
def test_a_clock_a_day_off(ground, traffic, hours):
    traffic.start(300)
    wrong = datetime.now(UTC) + timedelta(hours=hours)
    ground.start()
    ground.stores()
    ground.end()
    ground.start(f"now={wrong.isoformat()}")
    ground.stores()
    ground.end()
    ground.start()
    ground.stores()
    traffic.stop()
    named, unnamed, rubbish = ground.expected()
    total = len(named) + sum(unnamed.values()) + sum(rubbish.values())
    deadline = time.monotonic() + 120
    while ground.count() < total:
        assert time.monotonic() < deadline, (ground.count(), total, len(named), unnamed.total(), rubbish.total())
        time.sleep(0.1)
    ground.end(signal.SIGTERM)
    replayed = dead_letters.replay(ground.settings)
    assert replayed.still == sum(rubbish.values())
    logs = {d["event"]["id"] for index, d in ground.documents() if index.startswith("christmas-logs-")}
    assert set(named) <= logs
    assert len(logs) == len(named) + sum(unnamed.values())
    ground.start()
    assert all(row.difference == 0 and not row.missing for row in ground.verified())
    ground.assert_accepts(ground.count())
