"""Too many services are said once, and counted by their indices: not by days, nor by other families."""

import logging
from pathlib import Path

import pytest

from python_shipper.agent.ingest import Ingest
from python_shipper.agent.services import Services
from python_shipper.contract import contract
from python_shipper.core.clock import now_ms
from python_shipper.core.names import log_index
from python_shipper.settings import Settings
from tests.agent.test_agent import event

MOST = contract().limits.service_names


def indices(count: int, ms: int = 0) -> list[str]:
    return [log_index(f"pod-{number}", ms) for number in range(count)]


def test_the_limit_is_no_error_and_one_more_is_one(caplog: pytest.LogCaptureFixture) -> None:
    services = Services([*indices(MOST), *indices(MOST, now_ms()), "christmas-dead-letters-1970.01.01"])
    assert (len(services.names), caplog.records) == (MOST, [])
    services.add(indices(MOST + 1))
    services.add(indices(MOST + 2))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"{MOST + 1} services have log indices, above {MOST}; ")
    assert "LOG_SERVICES" in record.getMessage()


def test_the_agent_counts_what_it_stores_and_finds_it_again(tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path / "logs", data_dir=tmp_path / "data")
    settings.log_dir.mkdir()
    lines = [event(service=service) for service in ("orders", "ads", "Orders")]
    (settings.log_dir / "all.ecs.log").write_text("".join(line + "\n" for line in [*lines, "not json"]))
    for _ in range(2):
        ingest = Ingest(settings)
        while ingest.turn():
            pass
        ingest.commit()
        assert ingest.status()["services"] == 2
        ingest.close()


def test_retention_takes_services_off_the_count(tmp_path: Path) -> None:
    settings = Settings(log_dir=tmp_path / "logs", data_dir=tmp_path / "data")
    settings.log_dir.mkdir()
    (settings.log_dir / "orders.ecs.log").write_text(event() + "\n")
    ingest = Ingest(settings)
    while ingest.turn():
        pass
    ingest.commit()
    ingest.keep_house(now_ms() + 40 * 86_400_000)
    assert ingest.status()["services"] == 0
    ingest.close()
