"""verify and dead-letters account for what was written, and say by their exit code whether something is amiss."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from python_shipper import cli
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from python_shipper.stack.ports import listen
from tests.cli.conftest import Said

WRITE = """
import python_shipper
python_shipper.configure(service="orders", profile="production")
for number in range(30):
    python_shipper.get_logger("test").info("line %d" % number)
"""
Shipper = Callable[..., Said]


@pytest.fixture
def shipper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shipper:
    """The command line on folders of its own, on which nothing runs."""
    for name, text in (("DATA_DIR", tmp_path / "data"), ("LOG_DIR", tmp_path / "logs"), ("STACK", "embedded")):
        monkeypatch.setenv(name, str(text))
    monkeypatch.delenv("SHIPPER_NOW", raising=False)

    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        return Said(code, *capfd.readouterr())

    return run


def test_verify_names_what_is_missing_and_exits_1(shipper: Shipper) -> None:
    subprocess.run([sys.executable, "-c", WRITE], check=True)
    said = shipper("verify", "--patience", "0")
    assert said.code == 1
    assert said.out.splitlines()[1].split() == ["orders", "31", "0", "0", "0", "0", "0", "31"]
    assert said.out.count("orders: missing event.id 01") == 20
    assert "orders: and 11 more; --json names all" in said.out
    (row,) = json.loads(shipper("verify", "--patience", "0", "--json").out)
    assert (row["service"], row["difference"], len(row["missing"])) == ("orders", 31, 31)


def test_nothing_written_is_no_difference(shipper: Shipper) -> None:
    assert shipper("verify").code == 0
    assert json.loads(shipper("verify", "--json").out) == []


def test_no_dead_letters(shipper: Shipper) -> None:
    assert shipper("dead-letters", "list", "--json") == Said(0, "", "")
    assert shipper("dead-letters", "replay") == Said(0, "0 replayed, 0 still cannot be stored\n", "")


@pytest.mark.slow
def test_dead_letters_are_listed_with_their_reason_and_counted_when_replayed(
    shipper: Shipper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_here(monkeypatch)
    (tmp_path / "logs").mkdir()
    bad = (
        "this is not JSON \x1b[31m, and long enough for a fingerprint of one hundred and twenty-eight bytes " + "x" * 60
    )
    (tmp_path / "logs" / "orders.ecs.log").write_text(bad + "\n")
    try:
        assert shipper("up", "--quiet") == Said(0, "", "")
        assert embedded.wait_for(lambda: shipper("dead-letters", "list", "--json").out, 20)
        (letter,) = map(json.loads, shipper("dead-letters", "list", "--json").out.splitlines())
        assert (letter["reason"], letter["service"], letter["offset"]) == ("not_json", "orders", 0)
        shown = shipper("dead-letters", "list").out
        assert "not_json" in shown
        assert "\x1b" not in shown
        assert shipper("dead-letters", "replay") == Said(1, "0 replayed, 1 still cannot be stored\n", "")
        said = shipper("verify")
        assert said.code == 0
        assert ["orders", "1", "0", "1", "0", "0", "0", "0"] in [row.split() for row in said.out.splitlines()]
        assert json.loads(shipper("status", "--json").out)["agent"]["dead_letters_total"] == 1
    finally:
        embedded.down(settings, lambda _: None)


def settings_here(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the environment, with a port that is free."""
    with listen("127.0.0.1", 0) as free:
        monkeypatch.setenv("API_PORT", str(free.getsockname()[1]))
    return Settings.from_environment()
