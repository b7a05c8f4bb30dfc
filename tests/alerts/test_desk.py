"""What becomes of findings: told or held back, in which notification, and what is remembered over a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from python_shipper.alerts import Alerts, desk, outbox
from python_shipper.alerts.outbox import Silence
from python_shipper.analyzers import Finding
from tests.alerts.conftest import Opened

ROUTES = 'routes: {ops: {type: webhook, url: "http://127.0.0.1:9/"}}\n'
START = 1_800_000_000_000
F = Finding(kind="high_error_rate", severity="error", message="12 % fail", at_ms=START, service="orders")


class Clock:
    """The time that the desk sees."""

    def __init__(self) -> None:
        self.ms = START

    def __call__(self) -> int:
        return self.ms

    def pass_(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(desk, "now_ms", found)
    return found


def rule(**keys: Any) -> str:
    return ROUTES + f"rules: [{ {'name': 'a', 'routes': ['ops'], **keys} }]\n"


def items(alerts: Alerts) -> list[list[dict[str, Any]]]:
    """The notifications, the first first, as their items."""
    return [delivery.items for delivery in alerts.outbox.deliveries_where("1 ORDER BY id")]


def statuses(alerts: Alerts) -> list[list[str]]:
    return [[item["status"] for item in each] for each in items(alerts)]


def test_a_finding_is_told_once_and_so_is_its_end(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule())
    for _ in range(5):
        assert alerts.handle(F)
    assert alerts.handle(replace(F, severity="info", resolved=True))
    assert alerts.handle(replace(F, severity="info", resolved=True))
    assert statuses(alerts) == [["open"], ["resolved"]]
    ((end,),) = items(alerts)[1:]
    assert (end["count"], end["severity"]) == (5, "error")
    assert alerts.status()["open"] == 0


def test_an_end_without_a_beginning_is_nothing(opened: Opened) -> None:
    alerts = opened(rule())
    alerts.handle(replace(F, resolved=True))
    assert items(alerts) == []


def test_resolve_false_tells_no_end(opened: Opened) -> None:
    alerts = opened(rule(resolve=False))
    alerts.handle(F)
    alerts.handle(replace(F, resolved=True))
    assert statuses(alerts) == [["open"]]


def test_the_cool_down_also_holds_after_an_end(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule(cool_down="15m"))
    alerts.handle(F)
    alerts.handle(replace(F, resolved=True))
    clock.pass_(60)
    alerts.handle(F)  # flaps: untold until the cool-down is over
    alerts.tell_untold()
    assert statuses(alerts) == [["open"], ["resolved"]]
    clock.pass_(14 * 60)
    alerts.tell_untold()
    assert statuses(alerts) == [["open"], ["resolved"], ["open"]]


def test_what_lasts_is_told_again_after_the_cool_down_with_what_was_held(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule(cool_down="15m"))
    for _ in range(4):
        alerts.handle(F)
        clock.pass_(300)
    assert [(each[0]["count"], each[0]["held"]) for each in items(alerts)] == [(1, 0), (4, 2)]


def test_what_gets_worse_is_told_at_once(opened: Opened) -> None:
    alerts = opened(rule())
    alerts.handle(replace(F, severity="warning"))
    alerts.handle(replace(F, severity="critical"))
    alerts.handle(replace(F, severity="error"))
    assert [each[0]["severity"] for each in items(alerts)] == ["warning", "critical"]


def test_a_rules_severity_takes_the_findings_place(opened: Opened) -> None:
    alerts = opened(rule(severity="critical"))
    alerts.handle(F)
    assert items(alerts)[0][0]["severity"] == "critical"


def test_a_key_of_the_rules_own_makes_one_alert_of_many(opened: Opened) -> None:
    alerts = opened(rule(key=["service"]))
    alerts.handle(F)
    alerts.handle(replace(F, kind="slow_response"))
    assert len(items(alerts)) == 1 and alerts.status()["open"] == 1


def test_a_group_shares_a_notification(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule(group={"wait": "30s", "by": ["kind"]}))
    for service in ("orders", "gateway", "bids"):
        alerts.handle(replace(F, service=service))
        clock.pass_(5)
    alerts.handle(replace(F, kind="silence"))
    assert [[item["service"] for item in each] for each in items(alerts)] == [["orders", "gateway", "bids"], ["orders"]]
    assert alerts.outbox.next_due("ops", START + 29_999) is None
    assert alerts.outbox.next_due("ops", START + 30_000) is not None
    clock.pass_(30)
    alerts.handle(replace(F, service="late"))  # the first one is on its way: this is another
    assert len(items(alerts)) == 3


def test_a_big_group_names_twenty_and_counts_the_rest(opened: Opened) -> None:
    alerts = opened(rule(group={"wait": "30s"}))
    for n in range(25):
        alerts.handle(replace(F, service=f"s{n}"))
    (delivery,) = alerts.outbox.deliveries_where("1")
    assert (len(delivery.items), delivery.more) == (20, 5)


def test_quiet_hours_hold_until_their_end(opened: Opened, clock: Clock) -> None:
    quiet = 'quiet_hours: {all: {from: "00:00", to: "00:00", zone: UTC}}\n'
    alerts = opened(quiet + rule(quiet_hours="all"))
    alerts.handle(F)
    alerts.handle(replace(F, service="bids", severity="critical"))
    dues = [delivery.due_ms for delivery in alerts.outbox.deliveries_where("1 ORDER BY id")]
    assert dues[0] > START and dues[0] % 86_400_000 == 0
    assert dues[1] == START


def test_what_was_told_at_once_is_not_told_again_by_older_news_that_waited(opened: Opened, clock: Clock) -> None:
    night = "night: {from: '00:00', to: '23:59', zone: UTC}"
    alerts = opened(rule(quiet_hours="night") + f"quiet_hours: {{{night}}}\n")
    for service in ("orders", "bids", "feed"):
        alerts.handle(replace(F, service=service))
    alerts.handle(replace(F, severity="critical"))
    alerts.handle(replace(F, service="feed", resolved=True))
    alerts.handle(replace(F, resolved=True))
    told = [[(item["service"], item["severity"], item["status"]) for item in each] for each in items(alerts)]
    assert told == [
        [("bids", "error", "open"), ("feed", "error", "resolved")],
        [("orders", "critical", "open")],
        [("orders", "critical", "resolved")],
    ]


def test_a_silence_holds_back_and_its_end_tells(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule())
    alerts.outbox.silence(Silence(pattern="high_*|orders*", until_ms=START + 60_000, made_ms=START, note=None))
    alerts.handle(F)
    alerts.handle(replace(F, service="bids"))
    assert [each[0]["service"] for each in items(alerts)] == ["bids"]
    clock.pass_(61)
    alerts.tell_untold()
    assert [each[0]["service"] for each in items(alerts)] == ["bids", "orders"]


def test_what_got_worse_within_a_silence_is_told_at_its_end(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule())
    alerts.handle(F)
    alerts.handle(replace(F, service="bids"))
    alerts.outbox.silence(Silence(pattern="*", until_ms=START + 60_000, made_ms=START, note=None))
    alerts.handle(replace(F, severity="critical"))
    alerts.handle(replace(F, service="bids", severity="warning"))  # better is no news
    alerts.tell_untold()
    assert len(items(alerts)) == 2
    clock.pass_(61)
    alerts.tell_untold()
    alerts.tell_untold()
    assert [(each[0]["service"], each[0]["severity"]) for each in items(alerts)[2:]] == [("orders", "critical")]


def test_an_acknowledged_alert_is_told_again_only_when_it_gets_worse(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule(cool_down="1m"))
    alerts.handle(F)
    (alert,) = alerts.outbox.alerts_where("1")
    alerts.outbox.acknowledge([alert.id], START, "looking")
    clock.pass_(3600)
    alerts.handle(F)
    assert len(items(alerts)) == 1
    alerts.handle(replace(F, severity="critical"))
    assert len(items(alerts)) == 2


def test_what_was_told_is_known_after_a_restart(opened: Opened, clock: Clock) -> None:
    opened(rule()).handle(F)
    again = opened(rule())
    again.handle(F)
    assert len(items(again)) == 1
    again.handle(replace(F, resolved=True))
    assert statuses(again) == [["open"], ["resolved"]]


def test_personal_data_is_masked_before_it_is_kept(opened: Opened, tmp_path: Path) -> None:
    alerts = opened(rule())
    labels = {"email": "kim@example.com", "exchange": "krx"}
    alerts.handle(replace(F, message="card 4111 1111 1111 1111 of kim@example.com\nfails", labels=labels))
    alerts.stop()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data" / "alerts").glob("alerts.sqlite3*"))
    assert b"krx" in kept and b"fails" in kept
    assert b"4111 1111" not in kept and b"kim@" not in kept


def test_a_full_outbox_refuses_counts_and_says_so(
    opened: Opened, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk, "MOST_WAITING", 2)
    alerts = opened(rule())
    for n in range(4):
        alerts.handle(replace(F, service=f"s{n}"))
    assert len(items(alerts)) == 2
    assert alerts.status()["refused_notifications_total"] == 2
    assert "is full of notifications" in caplog.text
    monkeypatch.setattr(desk, "MOST_WAITING", 10)
    alerts.tell_untold()
    assert len(items(alerts)) == 4


def test_ended_alerts_make_room_for_new_ones(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_ALERTS", 3)
    alerts = opened(rule())
    for n in range(3):
        alerts.handle(replace(F, service=f"s{n}"))
    alerts.handle(replace(F, service="no room"))
    assert alerts.status()["refused_alerts_total"] == 1
    alerts.handle(replace(F, service="s0", resolved=True))
    alerts.handle(replace(F, service="room"))
    assert {alert.key.split("|")[1] for alert in alerts.outbox.alerts_where("1")} == {"s1", "s2", "room"}


def failing(times: int, then: Callable[..., None]) -> Callable[..., None]:
    left = [times]

    def call(*arguments: Any, **keys: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("database or disk is full")
        then(*arguments, **keys)

    return call


def test_findings_wait_in_memory_while_the_disk_is_full(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = opened(rule())
    monkeypatch.setattr(alerts.outbox, "keep", failing(2, alerts.outbox.keep))
    assert [alerts.handle(F), alerts.handle(replace(F, resolved=True))] == [False, False]
    assert alerts.status()["unwritten"] == 2 and "disk is full" in caplog.text
    alerts.write_waiting()
    assert alerts.status()["unwritten"] == 2  # full still
    alerts.write_waiting()
    assert (alerts.status()["unwritten"], statuses(alerts)) == (0, [["open"], ["resolved"]])


def test_memory_is_bounded_and_what_is_lost_is_counted(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST_UNWRITTEN", 2)
    alerts = opened(rule())
    monkeypatch.setattr(alerts.outbox, "keep", failing(9, alerts.outbox.keep))
    for _ in range(5):
        alerts.handle(F)
    assert (alerts.status()["unwritten"], alerts.status()["lost_total"]) == (2, 3)


def test_old_news_is_forgotten(opened: Opened, clock: Clock) -> None:
    alerts = opened(rule())
    alerts.handle(F)
    clock.pass_(8 * 86_400)
    alerts.clean()
    assert alerts.outbox.alerts_where("1") == []
    assert alerts.status()["failed_total"] == 1  # nobody took its notification in all that time
