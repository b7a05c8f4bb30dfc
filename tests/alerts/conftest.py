"""Alerts with rules of a test's own, on a folder of its own; a webhook and a mail server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_shipper.alerts import Alerts
from python_shipper.settings import Settings
from tests.alerts.receiver import MailServer, Receiver, mail_server, receiving

Opened = Callable[[str], Alerts]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as found:
        yield found


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens alerts by the text of a rules file; the same text again is the process's next start."""
    alerts: list[Alerts] = []

    def open_(rules: str) -> Alerts:
        for each in alerts:
            each.stop()
        path = tmp_path / "rules.yml"
        path.write_text(rules)
        alerts.append(Alerts.open(Settings(data_dir=tmp_path / "data", alerts_file=path)))
        return alerts[-1]

    yield open_
    for each in alerts:
        each.stop()
