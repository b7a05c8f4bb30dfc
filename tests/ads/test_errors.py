"""AdSystemErrorTracker: counted, grouped, written, and told to Slack and by e-mail, all of it real."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper import AdSystemErrorTracker
from python_shipper.ads import courier, errors
from python_shipper.errors import ConfigurationError
from tests.ads.test_system import logs, messages  # noqa: F401  the fixture
from tests.alerts.conftest import mail, receiver  # noqa: F401  the fixtures
from tests.alerts.receiver import MailServer, Receiver
from tests.spec.validator import checked


class Clock:
    ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture(autouse=True)
def clock(logs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:  # noqa: F811
    found = Clock()
    monkeypatch.setattr(errors, "now_ms", found)
    monkeypatch.setattr(courier, "CLOSE_SECONDS", 60.0)
    yield found
    for handler in logging.getLogger("ad_system.errors").handlers[:]:
        logging.getLogger("ad_system.errors").removeHandler(handler)
        handler.close()


def lines(logs: Path) -> list[dict[str, Any]]:  # noqa: F811
    events = [checked(line) for line in (logs / "ad_system.error.log").read_bytes().splitlines(keepends=True)]
    return [event for event in events if event["event"].get("action") != "segment-opened"]


def failed(where: int) -> Exception:
    try:
        raise TimeoutError(f"exchange {where} after 30 s")
    except TimeoutError as error:
        return error


def failed_elsewhere() -> Exception:
    try:
        raise TimeoutError("exchange 1 after 30 s")
    except TimeoutError as error:
        return error


def test_an_error_is_a_line_with_its_context(logs: Path) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker()
    group = tracker.track_error("bid_timeout", "no answer", {"campaign_id": "winter", "trace_id": "ab" * 16}, failed(1))
    (event,) = lines(logs)
    assert (event["message"], event["log.level"], event["log"]["logger"]) == ("no answer", "error", "ad_system.errors")
    assert event["error"]["type"] == "TimeoutError" and "exchange 1 after" in event["error"]["stack_trace"]
    assert event["trace"]["id"] == "ab" * 16
    assert group in str(event)


def test_ten_of_a_type_within_five_minutes_are_critical_once(logs: Path, clock: Clock) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker()
    for n in range(25):
        tracker.track_error("bid_timeout", f"no answer {n}")
        tracker.track_error("other", "x") if n < 9 else None
        clock.ms += 1_000
    found = [event for event in lines(logs) if event["log.level"] == "critical"]
    assert [event["message"] for event in found] == [
        "high error rate: 10 errors of type bid_timeout within 5 minutes"
    ] * 2  # at the 10th and the 20th: it begins anew


def test_the_window_slides(logs: Path, clock: Clock) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker()
    for _ in range(30):
        tracker.track_error("slow", "x")
        clock.ms += 34_000  # ten take 5 minutes and 6 seconds
    assert [event["log.level"] for event in lines(logs)] == ["error"] * 30
    clock.ms += 300_000
    for _ in range(10):
        tracker.track_error("slow", "x")
        clock.ms += 33_000  # and these 4 minutes and 57
    assert [event["log.level"] for event in lines(logs)].count("critical") == 1


def test_statistics_by_type_and_fingerprint(clock: Clock) -> None:
    tracker = AdSystemErrorTracker()
    tracker.track_error("bid_timeout", "no answer", exception=failed(1))
    clock.ms += 60_000
    one = tracker.track_error("bid_timeout", "no answer", exception=failed(2))
    other = tracker.track_error("bid_timeout", "still none", exception=failed_elsewhere())
    found = tracker.get_error_statistics()["bid_timeout"]
    assert (found["count"], found["message"]) == (3, "still none")
    assert (found["first_seen"], found["last_seen"]) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:01:00.000Z")
    assert {group: seen["count"] for group, seen in found["groups"].items()} == {one: 2, other: 1}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = AdSystemErrorTracker()
    monkeypatch.setattr(logging.getLogger("ad_system.errors"), "disabled", True)
    for n in range(errors.MOST_TYPES + 50):
        tracker.track_error(f"type {n}", "x")
    found = tracker.get_error_statistics()
    assert len(found) == errors.MOST_TYPES + 1 and found["(others)"]["count"] == 50


def test_32_threads_lose_no_count(logs: Path) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker()
    threads = [threading.Thread(target=lambda: [tracker.track_error("t", "x") for _ in range(50)]) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.get_error_statistics()["t"]["count"] == 1_600
    assert messages(logs, "ad_system.error.log").count("x") == 1_600


def config(mail: MailServer, receiver: Receiver) -> dict[str, Any]:  # noqa: F811
    return {
        "email_alerts": True,
        "smtp_host": f"localhost:{mail.port}",
        "smtp_tls": "starttls",
        "smtp_user": "shipper",
        "smtp_password": "secret",
        "smtp_ca": mail.ca,
        "from_email": "ads@example.com",
        "alert_emails": ["ops@example.com", "lead@example.com"],
        "slack_webhook": receiver.url,
    }


def test_errors_to_slack_and_critical_ones_by_mail(mail: MailServer, receiver: Receiver) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker(config(mail, receiver))
    for _ in range(10):
        tracker.track_error("bid_timeout", "no answer for kim@example.com")
    ((login, envelope),) = mail.got(1)
    text = envelope.content.decode() if isinstance(envelope.content, bytes) else str(envelope.content)
    assert (login, envelope.rcpt_tos) == ("shipper", ["ops@example.com", "lead@example.com"])
    assert "Subject: [CRITICAL] ad_system: high error rate" in text and "high error rate" in text and "kim@" not in text
    tracker.close()
    told = [each["title"] for post in receiver.got(1) for each in post.body["attachments"]]
    assert told == ["[ERROR] ad_system.errors", "[CRITICAL] ad_system.errors"]  # repeats are held back


def test_cases_of_one_error_are_repeats_on_slack(receiver: Receiver) -> None:  # noqa: F811
    tracker = AdSystemErrorTracker({"slack_webhook": receiver.url})
    for n in range(5):
        tracker.track_error("bid_timeout", f"no answer to bid {n}", exception=failed(n))
        tracker.track_error("bid_refused", f"bid {n} refused")
    tracker.close()
    told = [each for post in receiver.got(1) for each in post.body["attachments"]]
    assert [each["text"].splitlines()[0] for each in told] == ["no answer to bid 0", "bid 0 refused"]
    assert [each["value"] for each in told[0]["fields"] if each["title"] == "Service"] == ["ad_system"]


def test_a_second_tracker_takes_the_place_of_the_first(mail: MailServer, receiver: Receiver) -> None:  # noqa: F811
    AdSystemErrorTracker(config(mail, receiver))
    tracker = AdSystemErrorTracker(config(mail, receiver))
    tracker.track_error("t", "once")
    tracker.close()
    assert len(receiver.got(1)) == 1 and len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"slack": "x"}, "unknown key 'slack'; it takes email_alerts"),
        ({"email_alerts": "yes"}, "email_alerts: str is not what it takes"),
        ({"email_alerts": True}, "email_alerts needs smtp_host"),
        ({"email_alerts": True, "smtp_host": "h"}, "email_alerts needs from_email"),
        ({"email_alerts": True, "smtp_host": "h", "from_email": "a@b.kr"}, "email_alerts needs alert_emails"),
        ({"slack_webhook": "nowhere"}, "webhook_url: expected an https address"),
    ],
)
def test_a_wrong_config(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        AdSystemErrorTracker(config)


def test_recipients_are_a_list_or_a_text_with_commas() -> None:
    given = {"smtp_host": "h", "from_email": "a@b.kr", "alert_emails": "c@d.kr, e@f.kr"}
    assert errors.mailbox(given).to == errors.mailbox(given | {"alert_emails": ("c@d.kr", "e@f.kr")}).to


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smtp_host": ("h", "x")}, "smtp_host: expected a name"),
        ({"smtp_tls": "ssl"}, "smtp_tls: expected one of starttls, implicit, none"),
        ({"smtp_user": "u"}, "smtp_user and smtp_password: set both or neither"),
        ({"alert_emails": ", ,"}, "alert_emails: expected e-mail addresses"),
        ({"alert_emails": ["c@d.kr", "nobody"]}, "alert_emails: expected e-mail addresses"),
        ({"alert_emails": "c@d.kr\nBcc: x@y.kr"}, "alert_emails: expected e-mail addresses"),
        ({"from_email": "somebody"}, "from_email: expected an e-mail address"),
        ({"smtp_host": "h:0"}, "smtp_port: expected a port"),
        ({"smtp_ca": "/none.pem"}, "smtp_ca: expected the path of a PEM file"),
    ],
)
def test_a_wrong_mail_server(changes: dict[str, Any], words: str) -> None:
    whole = {"email_alerts": True, "smtp_host": "h", "from_email": "a@b.kr", "alert_emails": "c@d.kr"}
    with pytest.raises(ConfigurationError, match=words):
        AdSystemErrorTracker(whole | changes)
