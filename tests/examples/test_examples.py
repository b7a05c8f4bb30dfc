"""The three example services as real processes, driven by real traffic, read back from their files."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from examples.run import SERVICES, NotStartedError, running
from examples.traffic import Traffic, requests
from tests.spec import validator

ROOT = Path(__file__).parent.parent.parent
Line = dict[str, Any]
pytestmark = pytest.mark.slow


class Run(NamedTuple):
    urls: dict[str, str]
    summary: dict[str, Any]
    lines: list[Line]
    text: str
    sent: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three seconds of traffic."""
    folder = tmp_path_factory.mktemp("logs")
    with running(environ={"LOG_DIR": str(folder), "EXAMPLE_SEED": "1", "APP_ENV": "production"}) as urls:
        httpx.post(f"{urls['gateway']}/orders", json={"symbol": "NEWCO"}, headers={"X-Trace-ID": "abc123"})
        summary = asyncio.run(Traffic(urls["gateway"], rate=30, seconds=3, seed=1).run())
    files = sorted(folder.glob("*.ecs.log"))
    assert [file.name for file in files] == [f"{name}.ecs.log" for name in sorted(SERVICES)]
    text = "".join(file.read_text() for file in files)
    lines = sorted(map(json.loads, text.splitlines()), key=lambda line: line["event"]["id"])
    wanted = requests(random.Random(1))
    return Run(urls, summary, lines, text, [next(wanted) for _ in range(90)])


def of_trace(lines: list[Line], trace_id: str) -> list[Line]:
    return [line for line in lines if line.get("trace", {}).get("id") == trace_id]


def spans(lines: list[Line]) -> dict[str, tuple[str, str | None]]:
    """Service → its span in a trace and the span that called it."""
    return {
        line["service"]["name"]: (line["span"]["id"], line.get("labels", {}).get("parent_span_id")) for line in lines
    }


def test_the_summary_counts_every_request(run: Run) -> None:
    summary = run.summary
    assert summary["requests"] == 90 == summary["orders"] + summary["ads"]
    assert summary["orders"] == summary["executed"] + summary["failed"]
    assert summary["unanswered"] == 0 and summary["ads"] > 0
    assert len(summary["failed_trace_ids"]) == summary["failed"] >= 1


def test_a_failed_order_has_lines_of_all_three_services_and_the_stack_trace(run: Run) -> None:
    for trace_id in run.summary["failed_trace_ids"]:
        assert {line["service"]["name"] for line in of_trace(run.lines, trace_id)} == set(SERVICES)
    lines = of_trace(run.lines, run.summary["failed_trace_ids"][0])
    (failed,) = [line for line in lines if line["message"] == "MACD computation failed"]
    assert failed["log.level"] == "error" and failed["service"]["name"] == "analysis_engine"
    assert failed["error"]["type"] == "IndexError" and "in macd" in failed["error"]["stack_trace"]


def test_each_service_names_the_span_that_called_it(run: Run) -> None:
    called = spans(of_trace(run.lines, run.summary["failed_trace_ids"][0]))
    assert called["gateway"][1] is None
    assert called["orders"][1] == called["gateway"][0]


def test_a_clients_own_id_goes_through_all_services(run: Run) -> None:
    assert {line["service"]["name"] for line in of_trace(run.lines, "abc123")} >= {"gateway", "orders"}


def test_every_service_answers_with_access_lines_that_have_a_duration(run: Run) -> None:
    lines = [line for line in run.lines if line.get("log", {}).get("logger") == "python_shipper.access"]
    assert {line["service"]["name"] for line in lines} == set(SERVICES)
    assert all(line["event"]["duration"] > 0 for line in lines)


def test_every_line_passes_the_ecs_logging_spec(run: Run) -> None:
    assert {line["message"]: found for line in run.lines if (found := validator.problems(line))} == {}


def test_retries_are_warnings_and_ads_are_a_stream_of_typed_events(run: Run) -> None:
    messages = {(line["log.level"], line["message"]) for line in run.lines}
    assert ("warning", "analysis engine busy, retrying") in messages
    actions = [line["event"].get("action") for line in run.lines]
    assert all(actions.count(name) for name in ("bid", "impression", "click"))
    assert actions.count("bid") == run.summary["ads"] >= actions.count("impression") >= actions.count("click")
    bid = next(line for line in run.lines if line["event"].get("action") == "bid")
    assert isinstance(bid["christmas"]["bid"]["price"], float) and bid["christmas"]["ad"]["id"].startswith("ad-")


def test_personal_data_was_sent_and_none_is_in_the_files(run: Run) -> None:
    orders = [body for path, body in run.sent if path == "/orders"]
    assert orders and all(body["account_number"] not in run.text and body["email"] not in run.text for body in orders)
    masked = [line for line in run.lines if line["message"].startswith("order received, account ***")]
    assert masked and masked[0]["christmas"]["extra"]["account_number"].startswith("***")


def test_all_is_gone_afterwards(run: Run) -> None:
    assert not any(open_port(url) for url in run.urls.values())


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    why = "(?s)analysis_engine did not start: .*LOG_LEVEL"
    environ = {"LOG_DIR": str(tmp_path), "LOG_LEVEL": "LOUD"}
    with pytest.raises(NotStartedError, match=why), running(environ=environ):
        pass


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "examples.run", "--analysis-engine-port", port]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("examples: ") and "in use" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.fixture
def command(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """``python -m examples.run``, and the addresses it printed."""
    environ = {**os.environ, "LOG_DIR": str(tmp_path)}
    arguments = [sys.executable, "-m", "examples.run"]
    with subprocess.Popen(arguments, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_services_end_with_the_command_however_it_ends(command: Any, number: signal.Signals) -> None:
    process, urls = command
    assert set(urls) == set(SERVICES)
    process.send_signal(number)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 0)
    until = time.monotonic() + 30
    while time.monotonic() < until and any(open_port(url) for url in urls.values()):
        time.sleep(0.05)
    assert not any(open_port(url) for url in urls.values())


def test_traffic_that_is_interrupted_still_says_what_it_sent(command: Any, tmp_path: Path) -> None:
    _, urls = command
    options = ["--gateway", urls["gateway"], "--rate", "20", "--seconds", "600"]
    arguments = [sys.executable, "-m", "examples.traffic", *options]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as traffic:
        until = time.monotonic() + 30
        while "bid placed" not in (tmp_path / "gateway.ecs.log").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        traffic.send_signal(signal.SIGINT)
        summary = json.loads(traffic.communicate(timeout=60)[0])
    assert traffic.returncode == 0
    assert 0 < summary["requests"] == summary["orders"] + summary["ads"] and summary["unanswered"] == 0


def open_port(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) == 0
