"""One attempt by each type of route against real far sides: what goes out, and what each answer means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from python_shipper.alerts import http, routes
from python_shipper.alerts.notice import Notification, item_of
from python_shipper.alerts.rules import Route, Rule
from python_shipper.analyzers import Finding
from tests.alerts.receiver import MailServer, Receiver, mail_server

TRACE = "ab" * 16
FINDING = Finding(
    kind="high_error_rate",
    severity="error",
    message="12 % fail <!channel> & more",
    at_ms=1_800_000_000_000,
    service="orders",
    value=0.12,
    threshold=0.05,
    evidence=(TRACE,),
    labels={"exchange": "krx"},
)
ITEM = item_of(Rule(name="a"), FINDING, first_ms=1_799_999_990_000, count=3, held=1)
NOTIFICATION = Notification(id="01ABC", rule="a", items=[ITEM], traces={TRACE: f"https://logs.example.com/{TRACE}"})


def sent(kind: str, **options: Any) -> routes.Answer:
    return routes.send(Route(name="r", type=kind, options={"timeout": 60.0, "ca": None, **options}), NOTIFICATION)


def test_a_webhook_gets_everything_as_json(receiver: Receiver) -> None:
    answer = sent("webhook", url=receiver.url + "?team=a", headers={"Authorization": "Bearer x"})
    assert (answer.taken, answer.said) == (True, "200 OK: taken")
    (post,) = receiver.got(1)
    assert post.path == "/hook?team=a"
    assert (post.headers["Authorization"], post.headers["Idempotency-Key"]) == ("Bearer x", "01ABC")
    assert (post.body["id"], post.body["status"], post.body["severity"]) == ("01ABC", "open", "error")
    (alert,) = post.body["alerts"]
    assert alert["traces"] == [{"id": TRACE, "url": f"https://logs.example.com/{TRACE}"}]
    assert (alert["count"], alert["held"], alert["labels"], alert["value"]) == (3, 1, {"exchange": "krx"}, 0.12)


def test_slack_gets_a_colour_fields_and_nothing_that_mentions(receiver: Receiver) -> None:
    assert sent("slack", url=receiver.url).taken
    (post,) = receiver.got(1)
    assert post.body["text"] == "[ERROR] high_error_rate orders: 12 % fail &lt;!channel&gt; &amp; more"
    (attachment,) = post.body["attachments"]
    fields = {field["title"]: field["value"] for field in attachment["fields"]}
    assert attachment["color"] == "#d1242f"
    assert fields["trace"] == f"<https://logs.example.com/{TRACE}|{TRACE}>"
    assert (fields["service"], fields["exchange"], fields["findings"]) == ("orders", "krx", "3")


@pytest.mark.parametrize(
    ("answer", "said", "refused"),
    [
        (400, "400 Bad Request: not now", True),
        (302, "302 Found: not now", True),
        (404, "404 Not Found: not now", True),
        (408, "408 Request Timeout: not now", False),
        (429, "429 Too Many Requests: not now", False),
        (500, "500 Internal Server Error: not now", False),
        ("hang", "timed out after 0.5 s", False),
        ("drop", "RemoteDisconnected: Remote end closed connection without response", False),
    ],
)
def test_what_an_answer_means(receiver: Receiver, answer: int | str, said: str, refused: bool) -> None:
    receiver.answers = [answer]
    found = sent("webhook", url=receiver.url, headers={}, timeout=0.5 if answer == "hang" else 60.0)
    assert (found.taken, found.said, found.refused) == (False, said, refused)
    assert found.retry_after_seconds == (1.0 if answer == 429 else None)


def test_nobody_listens() -> None:
    found = sent("webhook", url="http://127.0.0.1:9/", headers={})
    assert not found.taken and not found.refused and "Connection refused" in found.said


@pytest.mark.parametrize(("path", "header"), [("/sec ret", "x"), ("/x", "sec\nret"), ("/sec-é", "x")])
def test_what_http_cannot_hold_is_refused_and_not_shown(path: str, header: str) -> None:
    found = http.post(f"http://127.0.0.1:9{path}", {}, headers={"X-Token": header}, timeout=60.0)
    assert found.refused and found.said == "the address or a header holds what HTTP cannot"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("999999", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert http.retry_after(text) == seconds


def mailbox(mail: MailServer, **options: Any) -> dict[str, Any]:
    given = {"host": "localhost", "port": mail.port, "tls": "starttls", "user": "shipper", "password": "secret"}
    return {
        **given,
        "ca": mail.ca,
        "from": "shipper@example.com",
        "to": ("ops@example.com",),
        "timeout": 60.0,
    } | options


def test_mail_goes_by_starttls_and_login(mail: MailServer) -> None:
    answer = sent("email", **mailbox(mail))
    assert (answer.taken, answer.said) == (True, "250 accepted")
    ((login, envelope),) = mail.got(1)
    assert (login, envelope.mail_from, envelope.rcpt_tos) == ("shipper", "shipper@example.com", ["ops@example.com"])
    text = str(envelope.content.decode() if isinstance(envelope.content, bytes) else envelope.content)
    assert "Message-ID: <01ABC@example.com>" in text and "Subject: [ERROR] high_error_rate orders" in text
    assert f"trace {TRACE}" in text.replace("=\r\n", "") and "findings: 3" in text


@pytest.mark.parametrize(
    ("options", "words", "refused"),
    [
        ({"password": "wrong"}, "535", True),
        ({"user": None, "password": None}, "530", True),
        ({"ca": None}, "CERTIFICATE_VERIFY_FAILED", False),
        ({"to": ("nobody@example.com",)}, "550 5.1.1 no such user", True),
        ({"tls": "implicit"}, "SSL", False),
    ],
)
def test_mail_that_is_not_taken(mail: MailServer, options: dict[str, Any], words: str, refused: bool) -> None:
    answer = sent("email", **mailbox(mail, **options))
    assert (answer.taken, answer.refused) == (False, refused)
    assert words in answer.said and mail.mails == []


def test_mail_of_which_one_recipient_is_unknown_counts_as_taken(mail: MailServer) -> None:
    answer = sent("email", **mailbox(mail, to=("ops@example.com", "nobody@example.com")))
    assert (answer.taken, answer.said) == (True, "250, but 1 recipient(s) refused")


def test_mail_that_the_server_does_not_want_now(mail: MailServer) -> None:
    mail.busy = 1
    answer = sent("email", **mailbox(mail))
    assert (answer.taken, answer.refused, answer.said) == (False, False, "451 4.3.0 later")


def test_mail_to_a_server_without_tls(tmp_path: Path) -> None:
    with mail_server(tmp_path, login=False) as plain:
        clear = mailbox(plain, tls="none", user=None, password=None)
        assert not sent("email", **(clear | {"tls": "starttls"})).taken
        assert sent("email", **clear).taken
        assert plain.got(1)[0][0] == "in clear: None"
