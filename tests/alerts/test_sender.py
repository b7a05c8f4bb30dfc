"""From a finding to a far side that answers 429 and 500, hangs, drops or is away, through threads and kill -9."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from python_shipper.alerts import Alerts, sender
from python_shipper.alerts.answer import Answer
from python_shipper.alerts.outbox import SENT
from python_shipper.core.clock import now_ms
from tests.alerts.conftest import Opened
from tests.alerts.receiver import MailServer, Receiver
from tests.alerts.test_desk import F

ROUTE = '{{type: webhook, url: "{url}", timeout: 60s}}'


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(sender, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("TEST_MAIL_PASSWORD", "secret")


def rules(**urls: str) -> str:
    routes = "".join(f"  {name}: {ROUTE.format(url=url)}\n" for name, url in urls.items())
    return f"routes:\n{routes}rules: [{{name: a, routes: [{', '.join(urls)}]}}]\n"


def settled(alerts: Alerts, seconds: float = 60.0) -> dict[str, object]:
    """The status once nothing waits."""
    deadline = time.monotonic() + seconds
    while (status := alerts.status())["waiting"] and time.monotonic() < deadline:
        time.sleep(0.01)
    return status


def test_it_is_sent_until_it_is_taken(opened: Opened, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    receiver.answers, receiver.retry_after = [500, "drop", 400], "0"
    alerts = opened(rules(ops=receiver.url))
    alerts.start()
    alerts.handle(F)
    receiver.got(1)
    status = settled(alerts)
    assert (status["sent_total"], status["routes"]) == (1, {"ops": "fine"})
    posts = receiver.asked(4)
    assert len({post.headers["Idempotency-Key"] for post in posts}) == 1
    assert "500 Internal Server Error" in caplog.text and "takes notifications again" in caplog.text


def test_what_the_far_side_asks_for_is_kept(opened: Opened, receiver: Receiver) -> None:
    receiver.answers, receiver.retry_after = [429], "2"
    alerts = opened(rules(ops=receiver.url))
    alerts.start()
    began = now_ms()
    alerts.handle(F)
    receiver.asked(1)
    while not alerts.senders[0].paused_until_ms:
        time.sleep(0.005)
    assert alerts.senders[0].paused_until_ms - began >= 2_000
    alerts.handle(replace(F, service="another"))  # waits, too: the route is paused
    (first, second) = receiver.got(2)
    assert [post.body["alerts"][0]["service"] for post in (first, second)] == ["orders", "another"]


def test_a_route_that_hangs_holds_up_no_other(opened: Opened, receiver: Receiver, mail: MailServer) -> None:
    receiver.answers = ["hang"] * 500
    alerts = opened(
        rules(slow=receiver.url)
        .replace("routes:", f"routes:\n  mail: {mail_route(mail)}", 1)
        .replace("[slow]", "[slow, mail]")
        .replace("60s", "1s")
    )
    alerts.start()
    alerts.handle(F)
    mail.got(1)
    posts = receiver.asked(3)  # it is tried again when its time is over
    assert receiver.taken == [] and len({post.headers["Idempotency-Key"] for post in posts}) == 1


def mail_route(mail: MailServer) -> str:
    login = "user: shipper, password: '${TEST_MAIL_PASSWORD}'"
    return f"{{type: email, host: localhost, port: {mail.port}, ca: {mail.ca}, from: a@b.kr, to: c@d.kr, {login}}}"


def test_what_is_refused_stands_in_nobodys_way(opened: Opened, receiver: Receiver) -> None:
    receiver.answers = [400] * 3
    alerts = opened(rules(ops=receiver.url))
    alerts.start()
    alerts.handle(F)
    alerts.handle(replace(F, service="another"))
    assert {post.body["alerts"][0]["service"] for post in receiver.got(2)} == {"orders", "another"}


def test_a_day_later_it_is_given_up(opened: Opened, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "GIVE_UP_SECONDS", 0.2)
    receiver.answers = [500] * 500
    alerts = opened(rules(ops=receiver.url))
    alerts.start()
    alerts.handle(F)
    status = settled(alerts)
    assert (status["failed_total"], status["sent_total"]) == (1, 0)


def test_pauses_double_and_are_never_shorter_than_asked() -> None:
    no = Answer(taken=False, said="")
    pauses = [sender.back_off(attempts, no) for attempts in range(1, 8)]
    assert all(0.01 * 2**n / 2 <= pause <= 0.01 * 2**n for n, pause in enumerate(pauses, 1))
    assert sender.back_off(1, replace(no, retry_after_seconds=60.0)) == 60.0
    assert sender.back_off(10_000, no) <= sender.MOST_SECONDS


def test_of_two_processes_one_sends(opened: Opened, receiver: Receiver, tmp_path: Path) -> None:
    text = rules(ops=receiver.url)
    alerts = opened(text)
    alerts.start()
    other = Alerts.open(alerts.settings)
    try:
        other.start()
        for n in range(20):
            (alerts, other)[n % 2].handle(replace(F, service=f"s{n}"))
        receiver.got(20)
        settled(alerts)
        assert Counter(post.headers["Idempotency-Key"] for post in receiver.posts).most_common(1)[0][1] == 1
    finally:
        other.stop()


def test_stopping_ends_within_its_time_and_what_waits_goes_out_next_time(opened: Opened, receiver: Receiver) -> None:
    receiver.answers = [500] * 10_000
    text = rules(ops=receiver.url)
    alerts = opened(text)
    alerts.start()
    alerts.handle(F)
    receiver.asked(2)
    alerts.stop()
    receiver.answers = []
    opened(text).start()
    receiver.got(1)


KILLED = """
import sys, time
from python_shipper.alerts import Alerts, sender
from python_shipper.analyzers import Finding
sender.FIRST_SECONDS, sender.POLL_SECONDS = 0.01, 0.02
alerts = Alerts.open()
alerts.start()
first, number = int(sys.argv[1]), int(sys.argv[2])
for n in range(first, first + number):
    kept = alerts.handle(Finding(kind="k", severity="error", message=f"m{n}", at_ms=n, service=f"s{n}"))
    print(n if kept else "lost", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_kill_9_in_mid_sending_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers = [500, 200, "drop", 200, 200] * 20
    (tmp_path / "rules.yml").write_text(rules(ops=receiver.url))
    environ = os.environ | {"ALERTS_FILE": str(tmp_path / "rules.yml"), "DATA_DIR": str(tmp_path / "data")}
    kept: set[int] = set()
    for start in range(0, 300, 30):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(start), "30"]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            kept |= {int(process.stdout.readline()) for _ in range(20 + start % 7)}  # somewhere in the middle
            process.send_signal(signal.SIGKILL)
            kept |= {int(line) for line in process.stdout if line.endswith("\n")}
    command = [sys.executable, "-c", textwrap.dedent(KILLED), "1000", "1"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        wanted = {f"m{n}" for n in kept}
        for number in range(len(kept), 10 * len(kept)):  # some come twice
            if wanted <= {post.body["alerts"][0]["message"] for post in receiver.got(number, 60)}:
                break
        process.send_signal(signal.SIGKILL)
    told = Counter(post.body["alerts"][0]["message"] for post in receiver.taken)
    assert len(kept) >= 200
    assert wanted <= set(told)
    keys = {(post.body["alerts"][0]["message"], post.headers["Idempotency-Key"]) for post in receiver.taken}
    assert len(keys) == len(told)  # what came twice came with the same key


def test_the_list_of_what_was_sent(opened: Opened, receiver: Receiver) -> None:
    alerts = opened(rules(ops=receiver.url))
    alerts.start()
    alerts.handle(F)
    settled(alerts)
    ((delivery,),) = [alerts.outbox.deliveries_where("state = ?", SENT)]
    assert (delivery.attempts, delivery.said) == (1, "200 OK: taken")
