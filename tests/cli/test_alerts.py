"""`shipper alerts`: what is open, who has seen it, what is to be quiet, and whether a route works."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from python_shipper import cli
from python_shipper.alerts import Alerts
from python_shipper.core.clock import now_ms
from python_shipper.settings import Settings
from tests.alerts.conftest import receiver  # noqa: F401  the fixture
from tests.alerts.receiver import Receiver
from tests.alerts.test_desk import F
from tests.cli.conftest import Said

RULES = """
routes: {{ops: {{type: webhook, url: "{url}", timeout: 60s}}, other: {{type: slack, url: "${{TEST_HOOK}}"}}}}
rules: [{{name: errors, routes: [ops]}}]
"""
Shipper = Callable[..., Said]


@pytest.fixture
def shipper(
    tmp_path: Path,
    receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Shipper:
    (tmp_path / "rules.yml").write_text(RULES.format(url=receiver.url))
    monkeypatch.setenv("ALERTS_FILE", str(tmp_path / "rules.yml"))
    monkeypatch.setenv("TEST_HOOK", receiver.url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str) -> Said:
        code = cli.run(("alerts", *arguments))
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def open_alert(shipper: Shipper) -> str:
    alerts = Alerts.open(Settings.from_environment())
    alerts.handle(replace(F, at_ms=now_ms()))
    (alert,) = alerts.outbox.alerts_where("1")
    alerts.stop()
    return alert.id


def listed(shipper: Shipper, *arguments: str) -> dict[str, list[dict[str, object]]]:
    said = shipper("list", "--json", *arguments)
    assert said.code == 0, said.err
    found: dict[str, list[dict[str, object]]] = json.loads(said.out)
    return found


def test_nothing_is_open(shipper: Shipper) -> None:
    said = shipper("list")
    assert (said.code, said.out, said.err) == (0, "no open alerts\n", "")
    assert listed(shipper)["alerts"] == []


def test_an_open_alert_and_its_notification(shipper: Shipper, open_alert: str) -> None:
    said = shipper("list")
    assert open_alert in said.out and "high_error_rate|orders|" in said.out and "waiting" in said.out
    assert F.message in said.out and listed(shipper)["alerts"][0]["message"] == F.message
    (alert,), (delivery,) = listed(shipper)["alerts"], listed(shipper)["deliveries"]
    assert (alert["id"], alert["rule"], alert["severity"], alert["count"]) == (open_alert, "errors", "error", 1)
    assert (delivery["route"], delivery["state"], delivery["attempts"]) == ("ops", "waiting", 0)


def test_acknowledge(shipper: Shipper, open_alert: str) -> None:
    said = shipper("ack", open_alert, "--note", "looking")
    assert (said.code, said.out) == (0, f"acknowledged: {open_alert}\n")
    assert "acknowledged" in shipper("list").out
    shipper("ack", open_alert)
    assert listed(shipper)["alerts"][0]["note"] == "looking"  # which a second look does not take away


def test_acknowledge_what_is_not_open(shipper: Shipper, open_alert: str) -> None:
    said = shipper("ack", open_alert, "0123")
    assert (said.code, said.out) == (2, "")
    assert said.err == "shipper: alert 0123: not open; shipper alerts list shows those that are\n"
    assert listed(shipper)["alerts"][0]["acked_ms"] is None  # all or none


def test_silence_and_its_end(shipper: Shipper, open_alert: str) -> None:
    assert shipper("silence", "high_*", "--for", "2h", "--note", "release").code == 0
    said = shipper("list").out
    assert "silenced" in said and "release" in said
    assert shipper("silence", "high_*", "--end").out == "no longer silenced: high_*\n"
    assert listed(shipper)["silences"] == []
    assert shipper("silence", "high_*", "--end").code == 2


def test_one_alert_is_silenced_by_its_id(shipper: Shipper, open_alert: str) -> None:
    assert shipper("silence", open_alert).code == 0
    assert "silenced" in shipper("list").out
    assert shipper("silence", open_alert, "--end").out == "no longer silenced: high_error_rate|orders|\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", "--for", "1h"), "silence: expected an alert's id or a pattern of keys"),
        (("x", "--for", "soon"), "--for: expected a span such as 30m, 2h or 1d, got 'soon'"),
        (("x", "--for", "0h"), "a silence must end in the future"),
        (("x", "--until", "2020-01-01"), "a silence must end in the future"),
        (("x", "--until", "later"), "--until: "),
        (("x", "--for", "1h", "--until", "2030-01-01"), "--for and --until: give one of them"),
    ],
)
def test_a_silence_that_cannot_be(shipper: Shipper, arguments: tuple[str, ...], words: str) -> None:
    said = shipper("silence", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert words in said.err


def test_routes_are_tried_here_and_now(shipper: Shipper, receiver: Receiver) -> None:  # noqa: F811
    said = shipper("test")
    assert said.code == 0 and said.out.count("taken") >= 2
    assert sorted("attachments" in post.body for post in receiver.got(2)) == [False, True]
    receiver.answers = [500]
    said = shipper("test", "ops", "--json")
    assert said.code == 1
    (answer,) = json.loads(said.out)
    assert (answer["route"], answer["taken"], answer["said"]) == ("ops", False, "500 Internal Server Error: not now")


def test_a_route_that_is_not_there(shipper: Shipper, monkeypatch: pytest.MonkeyPatch) -> None:
    said = shipper("test", "pager")
    assert said.code == 2 and "route pager: not in" in said.err and "it has ops, other" in said.err
    monkeypatch.delenv("ALERTS_FILE")
    said = shipper("test")
    assert said.code == 2 and "has no routes; name a file that has some in ALERTS_FILE" in said.err


def test_a_wrong_rules_file_is_one_line(shipper: Shipper, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("rules: [{name: a, routes: [x]}]")
    said = shipper("test")
    assert said.code == 2 and said.err.count("\n") == 1
    assert "rules[0].routes[0]" in said.err
