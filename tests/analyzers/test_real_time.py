"""The real-time analyser in event time: what it finds and how soon, what it leaves alone, what it remembers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_shipper.analyzers import Finding
from python_shipper.analyzers.real_time import RealTimeAnalyzer, at_of
from python_shipper.analyzers.real_time_checks import CHECKS, at_least
from python_shipper.analyzers.real_time_state import encoded, load, write
from python_shipper.analyzers.real_time_thresholds import load_thresholds
from python_shipper.analyzers.real_time_windows import Window, bucket_of, quantile
from python_shipper.core.clock import iso
from python_shipper.core.fingerprint import fingerprint
from python_shipper.errors import ConfigurationError

START = 1_780_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
Event = dict[str, Any]


def event(at_ms: int, *, error: bool = False, ms: float | None = 20, service: str = "orders", **more: Any) -> Event:
    made: Event = {"@timestamp": iso(at_ms), "log.level": "error" if error else "info", "service": {"name": service}}
    made["trace"] = {"id": f"trace-{at_ms}"}
    if ms is not None:
        made["event"] = {"duration": int(ms * 1e6), "outcome": "failure" if error else "success"}
        made["christmas"] = {"operation": "POST /orders"}
    return made | more


def steady(
    start_ms: int, seconds: float, *, rate: int = 20, errors: float = 0.01, ms: float = 20, **more: Any
) -> Iterator[Event]:
    chance = random.Random(start_ms)
    for number in range(int(seconds * rate)):
        failed = chance.random() < errors
        took = ms * chance.lognormvariate(0, 0.4)
        yield event(start_ms + number * 1000 // rate, error=failed, ms=took, **more)


def run(analyzer: RealTimeAnalyzer, *streams: Iterable[Event]) -> list[Finding]:
    return [finding for stream in streams for finding in analyzer.follow(stream)]


def of_kind(findings: list[Finding], kind: str, *, resolved: bool = False) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind and finding.resolved is resolved]


@pytest.mark.parametrize(
    ("share", "known_seconds"), [(0.15, 600), (0.3, 600), (0.5, 600), (1.0, 600), (0.5, 5), (0.7, 5), (1.0, 5)]
)
def test_an_error_burst_is_found_within_five_seconds_and_its_end_told(share: float, known_seconds: int) -> None:
    analyzer, burst = RealTimeAnalyzer(), START + known_seconds * 1000
    before = run(analyzer, steady(START, known_seconds))
    found = run(analyzer, steady(burst, 30, errors=0.1 + share), steady(burst + 30_000, 180))
    assert before == []
    first = of_kind(found, "high_error_rate")[0]
    assert first.at_ms - burst <= 5000
    assert first.service == "orders" and first.evidence and first.value and first.value > (first.threshold or 1)
    opened = {finding.key for finding in found if not finding.resolved}
    assert {finding.key for finding in found if finding.resolved} == opened
    assert analyzer.open == {}


@pytest.mark.parametrize(("step_ms", "kind"), [(200, "latency_step"), (2500, "slow_response")])
def test_a_latency_step_is_found_within_five_seconds(step_ms: float, kind: str) -> None:
    analyzer, step = RealTimeAnalyzer(), START + 10 * MINUTE
    assert run(analyzer, steady(START, 600)) == []
    found = run(analyzer, steady(step, 20, ms=step_ms))
    first = of_kind(found, kind)[0]
    assert first.at_ms - step <= 5000
    assert first.evidence[0] >= f"trace-{step}"


def test_a_finding_lasts_as_long_as_its_cause_and_does_not_become_usual() -> None:
    analyzer = RealTimeAnalyzer()
    found = run(analyzer, steady(START, 600), steady(START + 600_000, 1200, ms=200), steady(START + 1_800_000, 120))
    steps = [finding for finding in found if finding.kind == "latency_step" and finding.operation]
    assert [finding.resolved for finding in steps].count(True) == 1
    assert steps[-1].resolved and steps[-1].at_ms >= START + 1_800_000


def test_few_errors_are_no_burst() -> None:
    rare = (event(START + number * 20_000, error=number % 3 == 0) for number in range(180))
    assert run(RealTimeAnalyzer(), rare) == []


def test_a_steady_service_that_falls_silent_is_told_and_heard_again() -> None:
    analyzer = RealTimeAnalyzer()
    both = sorted(
        [*steady(START, 900, rate=1, service="feed"), *steady(START, 1500, rate=1)], key=lambda e: e["@timestamp"]
    )
    (quiet,) = {finding.key: finding for finding in run(analyzer, both)}.values()
    assert (quiet.kind, quiet.service, quiet.severity) == ("silence", "feed", "error")
    again = run(analyzer, steady(START + 1_500_000, 60, rate=1, service="feed"))
    assert [finding.resolved for finding in again if finding.kind == "silence"] == [True]


def test_silence_of_all_shows_when_time_passes_and_a_job_now_and_then_is_never_silent() -> None:
    analyzer = RealTimeAnalyzer()
    job = [event(START + hour * 300_000 + n * 10, service="cron") for hour in range(4) for n in range(200)]
    everything = sorted([*steady(START, 900, rate=2), *job], key=lambda e: e["@timestamp"])
    assert run(analyzer, everything) == []
    analyzer.tick(START + 900_000 + 5 * MINUTE)
    analyzer.complete = False
    assert analyzer.judge() == []
    analyzer.complete = True
    assert [(finding.kind, finding.service) for finding in analyzer.judge()] == [("silence", "orders")]


def test_burn_rates_need_both_windows(tmp_path: Path) -> None:
    mine = tmp_path / "analysis.yml"
    mine.write_text("slos: [{name: orders succeed, service: orders, objective: 0.99}]")
    analyzer = RealTimeAnalyzer(load_thresholds(mine))
    quiet = run(analyzer, steady(START, 3600, rate=2, errors=0.002))
    blip = run(analyzer, steady(START + HOUR, 60, rate=2, errors=0.5), steady(START + HOUR + MINUTE, 540, rate=2))
    burning = run(analyzer, steady(START + HOUR + 10 * MINUTE, 1800, rate=2, errors=0.6))
    over = run(analyzer, steady(START + HOUR + 40 * MINUTE, 1200, rate=2, errors=0))
    assert of_kind(quiet, "burn_rate") == of_kind(blip, "burn_rate") == []
    first = of_kind(burning, "burn_rate")[0]
    assert (first.labels, first.severity) == ({"slo": "orders succeed", "window": "1h"}, "critical")
    assert (first.value or 0) >= (first.threshold or 0) > 1 and first.evidence
    assert of_kind(over, "burn_rate", resolved=True)[0].labels["window"] == "1h"


def failing(at_ms: int, kind: str) -> Event:
    stack = f'Traceback (most recent call last):\n  File "/srv/a.py", line {at_ms % 7}, in {kind}\n    go()\n{kind}: x'
    return event(at_ms, error=True, ms=None, error_=None) | {"error": {"type": kind, "stack_trace": stack}}


def test_a_new_error_is_told_once_it_is_frequent_a_known_one_never() -> None:
    analyzer = RealTimeAnalyzer()
    known = [failing(START + number * 60_000, "KeyError") for number in range(30)]
    new = [failing(START + HOUR // 3 + number * 1000, "ZeroDivisionError") for number in range(4)]
    later = [event(START + HOUR // 2 + number * 10_000) for number in range(120)]
    found = run(analyzer, sorted([*known, *new, *later], key=lambda e: e["@timestamp"]))
    kinds = [(finding.kind, finding.resolved) for finding in found]
    assert ("new_error", True) in kinds and all(kind == "new_error" for kind, _ in kinds)
    assert {"ZeroDivisionError" in finding.message for finding in found} == {True}
    assert len({finding.labels["fingerprint"] for finding in found}) == 1


def test_what_is_late_ahead_old_or_unreadable_is_counted_and_left_out() -> None:
    analyzer = RealTimeAnalyzer(now_ms=lambda: START)
    for made in (
        event(START),
        event(START - 29_000),
        event(START - 31_000),
        event(START + HOUR),
        event(START - HOUR),
        {"@timestamp": "yesterday", "service": {"name": "orders"}},
        {"@timestamp": iso(START)},
        {"@timestamp": 7, "service": "orders", "log": []},
    ):
        analyzer.add(made)
    status = analyzer.status()
    counts = [status[f"{name}_total"] for name in ("events", "late", "ahead", "old", "unreadable")]
    assert counts == [8, 1, 1, 1, 3]
    assert analyzer.figures()[0]["rate"] == round(2 / 60, 3)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=200), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_within_lateness_does_not_matter(offsets: list[int], chance: random.Random) -> None:
    events = [event(START + offset, error=offset % 3 == 0, ms=1 + offset % 50) for offset in offsets]
    shuffled = events[:]
    chance.shuffle(shuffled)
    ordered, mixed = RealTimeAnalyzer(), RealTimeAnalyzer()
    run(ordered, sorted(events, key=lambda e: e["@timestamp"]))
    run(mixed, shuffled)
    for analyzer in (ordered, mixed):
        analyzer.tick(START + 20_000)
        analyzer.judge()
    assert ordered.figures() == mixed.figures()
    assert mixed.status()["late_total"] == 0


@given(st.lists(st.tuples(st.integers(0, 300_000), st.booleans(), st.integers(1, 10**12)), max_size=150))
@settings(max_examples=80, deadline=None)
def test_a_window_holds_what_a_recount_finds(rows: list[tuple[int, bool, int]]) -> None:
    window = Window(60, 30)
    for at, error, nanoseconds in sorted(rows):
        window.add(START + at, error, bucket_of(nanoseconds))
    window.advance(START + 300_000)
    first = ((START + 300_000) // 2000 - 29) * 2000
    kept = [row for row in rows if START + row[0] >= first]
    assert (window.total, window.errors) == (len(kept), sum(row[1] for row in kept))
    durations = sorted(row[2] for row in kept)
    for share in (0.5, 0.95, 0.99) if kept else ():
        exact = durations[int(share * (len(durations) - 1))]
        assert quantile(window.buckets, share) == pytest.approx(exact, rel=0.0101)
    assert sum(window.buckets.values()) == len(kept)


def test_what_is_remembered_is_bounded_and_the_rest_counted() -> None:
    analyzer = RealTimeAnalyzer()
    for number in range(6000):
        made = event(START + number, service=f"service-{number % 300}")
        analyzer.add(made | {"christmas": {"operation": f"GET /{number}"}})
        analyzer.newcomers.add("orders", START + number, {"type": f"Kind{number}"}, None)
    analyzer.judge()
    status = analyzer.status()
    assert (status["services"], status["operations"]) == (200, 1000)
    assert status["beyond_series_total"] == 6000 * 100 // 300 + 5000
    assert 4000 < status["fingerprints"] <= 5000
    assert ("orders", fingerprint("Kind5999", None, None)) in analyzer.newcomers.seen
    assert len(orjson.dumps(analyzer.snapshot(), option=orjson.OPT_NON_STR_KEYS)) < 5_000_000


@given(
    st.lists(
        st.tuples(
            st.integers(-50_000, 3_600_000), st.integers(0, 8), st.integers(0, 40), st.booleans(), st.floats(0, 1e19)
        ),
        max_size=300,
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_comes_the_bounds_hold_and_every_event_is_counted(
    rows: list[tuple[int, int, int, bool, float]],
) -> None:
    numbers = load_thresholds().numbers | {
        "limits": {"most_services": 3, "most_operations": 5, "most_fingerprints": 7, "idle_seconds": 600}
    }
    analyzer = RealTimeAnalyzer(replace(load_thresholds(), numbers=numbers))
    for offset, service, kind, failed, took in rows:
        made = event(START + offset, error=failed, service=f"service-{service}")
        made["event"]["duration"], made["christmas"]["operation"] = took, f"GET /{kind}"
        analyzer.add(made | ({"error": {"type": f"Kind{kind}"}} if failed else {}))
        if analyzer.due:
            analyzer.judge()
        status = analyzer.status()
        assert status["services"] <= 3 and status["operations"] <= 5 and status["fingerprints"] <= 7
        for window in (each for series in analyzer.series() for each in (series.fast, series.slow, series.usual)):
            assert len(window.slices) <= window.count
            assert window.total == sum(part[0] for part in window.slices.values())
    assert analyzer.status()["events_total"] == len(rows)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    clock = [START]
    analyzer = RealTimeAnalyzer(now_ms=lambda: clock[0])
    for second in range(20):
        clock[0] = START + second * 1000
        analyzer.add(event(clock[0]))
    clock[0] = START - HOUR
    run(analyzer, [event(clock[0])])
    assert analyzer.figures()[0]["rate"] == round(1 / 60, 3)
    assert analyzer.status()["late_total"] == 0


@pytest.mark.parametrize(("away_ms", "known"), [(10 * MINUTE, True), (HOUR, False)])
def test_a_stop_is_no_silence_and_after_a_long_one_the_usual_is_learned_anew(away_ms: int, known: bool) -> None:
    clock = [START]
    first = RealTimeAnalyzer(now_ms=lambda: clock[0])
    for each in steady(START, 600):
        clock[0] = at_of(each) or 0
        run(first, [each])
    clock[0] += away_ms
    second = RealTimeAnalyzer(now_ms=lambda: clock[0])
    second.restore(first.snapshot())
    second.tick(clock[0])
    assert second.judge() == []
    assert bool(second.status()["services"]) is known
    second.tick(clock[0] + 2 * MINUTE)
    assert [finding.kind for finding in second.judge()] == (["silence"] if known else [])


def test_an_idle_operation_is_forgotten() -> None:
    analyzer = RealTimeAnalyzer()
    run(analyzer, steady(START, 5), steady(START + 2 * HOUR, 5, service="feed"))
    assert {(row["service"], row["operation"]) for row in analyzer.figures()} == {
        ("orders", None),
        ("feed", None),
        ("feed", "POST /orders"),
    }


@pytest.mark.parametrize("cut", [300, 605, 640])
def test_a_restart_changes_nothing(tmp_path: Path, cut: int) -> None:
    def stream() -> Iterator[Event]:
        yield from steady(START, 600)
        yield from steady(START + 600_000, 30, errors=0.7)
        yield from steady(START + 630_000, 120)

    whole, events = run(RealTimeAnalyzer(), stream()), list(stream())
    first = RealTimeAnalyzer()
    found = run(first, events[: cut * 20])
    path = tmp_path / "analysis" / "state.json"
    write(encoded(first), path)
    found += run(load(RealTimeAnalyzer(), path), events[cut * 20 :])
    assert [(f.key, f.resolved, f.at_ms) for f in found] == [(f.key, f.resolved, f.at_ms) for f in whole]
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 99}', b'{"version":1,"clock_ms":"x"}']
)
def test_a_damaged_state_is_moved_aside(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(damage)
    fresh = RealTimeAnalyzer()
    assert load(fresh, path) is fresh
    assert (tmp_path / "state.damaged").read_bytes() == damage and not path.exists()
    assert "moved to state.damaged" in caplog.text


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("- 1", "the file: expected a mapping"),
        ("high_error_rates: {}", "high_error_rates: expected one of high_error_rate"),
        ("high_error_rate: {ratio: 5}", "high_error_rate.ratio: expected a share"),
        ("high_error_rate: 5", "high_error_rate: expected a mapping"),
        ("silence: {after_seconds: true}", "silence.after_seconds: expected a number above 0, got 'True'"),
        ("slos: {}", "slos: expected a list"),
        ("slos: [{name: a, objective: 0.9}]", "slos[0].service: expected a text"),
        ("slos: [{name: a, service: b, objective: 1}]", "slos[0].objective: expected a share below 1"),
        ("slos: [7]", "slos[0]: expected a mapping"),
        ("burn_rates: [{long_seconds: 1, short_seconds: 1, times: 1, severity: bad}]", "burn_rates[0].severity"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"^[^\n]*$") as told:
        load_thresholds(path)
    assert str(told.value).startswith(f"{path}: ") and where in str(told.value)


def test_a_file_overrides_single_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("slow_response: {p95_ms: 250}")
    mine, shipped = load_thresholds(path), load_thresholds()
    assert mine["slow_response"] == shipped["slow_response"] | {"p95_ms": 250.0}
    assert mine["silence"] == shipped["silence"]


def test_a_share_is_told_only_where_chance_does_not_explain_it() -> None:
    assert at_least(5, 5) < 0.25 < 0.85 < at_least(100, 100)
    assert at_least(0, 10) == pytest.approx(0, abs=1e-12)


def test_the_page_says_what_the_code_does(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "realtime.md").read_text()
    (sample,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    mine = tmp_path / "analysis.yml"
    mine.write_text(sample)
    thresholds, shipped = load_thresholds(mine), load_thresholds()
    assert [slo.latency_ms for slo in thresholds.slos] == [None, 100]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == {
        *(check.__name__ for check in CHECKS),
        "silence",
        "burn_rate",
        "new_error",
    }
    times = [f"{rate.times:g}" for rate in shipped.burn_rates]
    assert times == ["14.4", "6", "1"] and "14.4 times over 1 h and 5 min, 6 over 6 h" in page
    assert f"{shipped['limits']['most_operations']:,.0f} operations" in page
