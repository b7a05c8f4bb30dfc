"""Which findings a rule is for, what makes two of them one alert, and when quiet hours let something out."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_shipper.alerts.rules import DAYS, Match, QuietHours, Rule
from python_shipper.analyzers import Finding

BERLIN = ZoneInfo("Europe/Berlin")
FINDING = Finding(
    kind="slow_response",
    severity="error",
    message="m",
    at_ms=1,
    service="orders",
    operation="execute",
    labels={"exchange": "krx"},
)


def ms(text: str, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(kind=("high_*", "slow_*")), True),
        (Match(kind=("high_*",)), False),
        (Match(service=("order?",)), True),
        (Match(service=("Orders",)), False),
        (Match(operation=("execute",), labels={"exchange": "k*"}), True),
        (Match(labels={"side": "*"}), True),
        (Match(labels={"side": "buy"}), False),
        (Match(severity="error"), True),
        (Match(severity="critical"), False),
    ],
)
def test_match(match: Match, fits: bool) -> None:
    assert match.fits(FINDING) is fits


def test_an_end_fits_whatever_its_severity() -> None:
    end = Finding(kind="slow_response", severity="info", message="m", at_ms=1, resolved=True)
    assert Match(severity="critical").fits(end)


def test_keys() -> None:
    plain, keyed = Rule(name="a"), Rule(name="a", key=("service", "labels.exchange"))
    assert plain.key_of(FINDING) == FINDING.key
    assert keyed.key_of(FINDING) == "orders|krx"
    assert len({plain.id_of(FINDING), keyed.id_of(FINDING), Rule(name="b").id_of(FINDING)}) == 3


NIGHT = QuietHours(begin=time(22), end=time(7), zone=BERLIN)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-26T21:59:59", "2026-11-26T21:59:59"),
        ("2026-11-26T22:00:00", "2026-11-27T07:00:00"),
        ("2026-11-27T03:00:00", "2026-11-27T07:00:00"),
        ("2026-11-27T07:00:00", "2026-11-27T07:00:00"),
        ("2026-03-29T01:30:00", "2026-03-29T07:00:00"),  # the clock goes from 2 to 3 in this night
        ("2026-10-25T02:30:00", "2026-10-25T07:00:00"),  # and here from 3 to 2
    ],
)
def test_quiet_hours_over_midnight(now: str, until: str) -> None:
    assert NIGHT.until_ms(ms(now), "error") == ms(until)
    assert NIGHT.until_ms(ms(now), "critical") == ms(now)


def test_quiet_hours_of_some_days_count_from_where_they_begin() -> None:
    friday = QuietHours(begin=time(22), end=time(7), zone=BERLIN, days=("fri",))
    assert friday.until_ms(ms("2026-11-28T03:00:00"), "error") == ms("2026-11-28T07:00:00")  # a Saturday
    assert friday.until_ms(ms("2026-11-27T03:00:00"), "error") == ms("2026-11-27T03:00:00")


def test_whole_days_that_follow_one_another_are_quiet_until_the_last_ends() -> None:
    weekend = QuietHours(begin=time(0), end=time(0), zone=BERLIN, days=("sat", "sun"))
    assert weekend.until_ms(ms("2026-11-28T10:00:00"), "error") == ms("2026-11-30T00:00:00")
    assert weekend.until_ms(ms("2026-11-30T00:00:00"), "error") == ms("2026-11-30T00:00:00")
    ever = QuietHours(begin=time(9), end=time(9), zone=BERLIN)
    assert ever.until_ms(ms("2026-11-28T10:00:00"), "error") == ms("2026-11-29T09:00:00")  # a day's news at its end


@given(
    now=st.integers(1_700_000_000_000, 1_900_000_000_000),
    begin=st.times(),
    end=st.times(),
    zone=st.sampled_from(["UTC", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe"]),
    days=st.sets(st.sampled_from(DAYS)),
)
def test_quiet_hours_end_within_a_day_of_them_and_never_in_the_past(
    now: int, begin: time, end: time, zone: str, days: set[str]
) -> None:
    quiet = QuietHours(begin=begin, end=end, zone=ZoneInfo(zone), days=tuple(days))
    until = quiet.until_ms(now, "error")
    assert now <= until <= now + 26 * 3_600_000 * (max(1, len(days)) if begin == end else 1)
    assert until == now or days
    assert quiet.until_ms(until, "error") == until or (begin == end and len(days) == 7)
