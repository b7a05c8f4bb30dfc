"""The embedded process under kill -9 while it is scraped: no sample steps back, and the end is what the store holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.store import LOGS, open_store
from tests.stack.test_embedded import free_port

pytestmark = pytest.mark.slow
KILLS = 10 if os.environ.get("FAULTS") == "long" else 4
WRITE = """
import time
import python_shipper
python_shipper.configure(service="orders", profile="production")
log = python_shipper.get_logger("test")
number = 0
while True:
    with python_shipper.bound(trace_id="t%d" % number):
        log.log(20 if number % 10 else 40, "line", duration=number % 100 / 1000, event_type="click", operation="bid")
    number += 1
    time.sleep(0.0005)
"""
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
GROWING = ("shipper_log_lines_total", "shipper_log_events_total", "shipper_log_label_overflow_total")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    port, textfile = free_port(), tmp_path / "shipper.prom"
    found = Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", api_port=port, prometheus_textfile=textfile)
    yield replace(found, stack="embedded")
    embedded.down(found, lambda _: None)


def scraped(settings: Settings) -> Samples:
    """The log counters and histograms of one scrape, by OpenMetrics' own parser."""
    url = f"http://127.0.0.1:{settings.api_port}/metrics"
    request = urllib.request.Request(url, headers={"Accept": OPENMETRICS})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return growing(openmetrics, answer.read().decode())


def growing(parse: object, text: str) -> Samples:
    families = parse.text_string_to_metric_families(text)  # type: ignore[attr-defined]
    found = ((s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples)
    return {
        (name, labels): number
        for name, labels, number in found
        if name in GROWING or name.startswith("shipper_log_duration_seconds")
    }


def lines(found: Samples) -> float:
    return sum(number for (name, _), number in found.items() if name == "shipper_log_lines_total")


def documents(settings: Settings) -> int:
    with closing(open_store(settings)) as store:
        return sum(index.documents for index in store.indices(LOGS))


def test_no_sample_steps_back_over_kills_and_all_is_counted_once(settings: Settings) -> None:
    embedded.up(settings, lambda _: None)
    stop, before, back, scrapes = threading.Event(), Samples(), [], [0]

    def scrape() -> None:
        while not stop.wait(0.02):
            with suppress(OSError, urllib.error.URLError):
                now = scraped(settings)
                back.extend((key, number, now.get(key)) for key, number in before.items() if now.get(key, -1) < number)
                before.update(now)
                scrapes[0] += 1

    scraper = threading.Thread(target=scrape)
    scraper.start()
    with subprocess.Popen([sys.executable, "-c", WRITE], env=embedded.environment(settings)) as writer:
        for _ in range(KILLS):
            seen = lines(before)
            assert embedded.wait_for(lambda seen=seen: lines(before) > seen, 60)  # type: ignore[misc]
            os.kill(embedded.status(settings)["pid"], signal.SIGKILL)
            assert embedded.wait_for(lambda: not embedded.running(settings), 60)
            embedded.up(settings, lambda _: None)
        writer.kill()
    for _ in range(2):  # the second time nothing is written any more but the process's own lines
        assert embedded.wait_for(lambda: lines(scraped(settings)) == documents(settings), 60)
    stop.set()
    scraper.join()
    assert back == []
    assert scrapes[0] > KILLS
    end = scraped(settings)
    count = end["shipper_log_duration_seconds_count", frozenset({("service", "orders"), ("operation", "bid")})]
    clicks = end["shipper_log_events_total", frozenset({("service", "orders"), ("action", "click")})]
    assert (
        count
        == clicks
        == sum(
            number for (name, labels), number in end.items() if name == GROWING[0] and ("service", "orders") in labels
        )
        - headers(settings)
    )
    embedded.down(settings, lambda _: None)
    assert settings.prometheus_textfile is not None
    assert lines(growing(parser, settings.prometheus_textfile.read_text())) == documents(settings)


def headers(settings: Settings) -> int:
    """The segments' first lines of the service, which are logs too."""
    query = {"bool": {"filter": [{"term": {"service.name": "orders"}}, {"term": {"event.action": "segment-opened"}}]}}
    with closing(open_store(settings)) as store:
        return int(store.search(LOGS, {"query": query, "size": 0, "track_total_hits": True})["hits"]["total"]["value"])


def test_a_wrong_textfile_is_refused_in_one_line_and_nothing_runs(settings: Settings) -> None:
    with pytest.raises(StackError, match=r"PROMETHEUS_TEXTFILE: .*\*\.prom"):
        embedded.up(replace(settings, prometheus_textfile=Path("/tmp/metrics.txt")), lambda _: None)
    assert not embedded.running(settings)
