"""Days past retention go, their lines stay accounted for, and a late line never brings one back."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from python_shipper.agent import dead_letters
from python_shipper.agent.ingest import Ingest
from python_shipper.agent.verify import verify
from python_shipper.core.clock import now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.settings import Settings
from python_shipper.store.tantivy import TantivyStore

NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "logs").mkdir()
    return dataclasses.replace(Settings(), log_dir=tmp_path / "logs", data_dir=tmp_path / "data")


def write(settings: Settings, *ages_days: int) -> None:
    with (settings.log_dir / "orders.ecs.log").open("a") as file:
        for age in ages_days:
            moment = (NOW - timedelta(days=age)).isoformat(timespec="milliseconds")
            event = {"@timestamp": moment, "message": f"{age} days ago", "service": {"name": "orders"}}
            file.write(json.dumps(event | {"event": {"id": new_ulid()}, "log.level": "info"}) + "\n")


def run(settings: Settings) -> None:
    """One start: recover, keep house, read everything, stop."""
    ingest = Ingest(settings)
    ingest.keep_house(now_ms())
    while ingest.turn() or ingest.tail.changed:
        pass
    ingest.close()


def indices(settings: Settings) -> set[str]:
    store = TantivyStore.open(settings.data_dir)
    try:
        return {index.name for index in store.indices("christmas-logs-*")}
    finally:
        store.close()


def test_a_day_past_retention_is_dropped_accounted_for_and_never_comes_back(settings, monkeypatch):
    write(settings, 0, 0, 10, 10, 10)
    run(settings)
    assert len(indices(settings)) == 2
    monkeypatch.setenv("SHIPPER_NOW", (NOW + timedelta(days=21)).isoformat())
    run(settings)
    (left,) = indices(settings)
    assert left == f"christmas-logs-orders-{NOW:%Y.%m.%d}"
    write(settings, 10)
    run(settings)
    assert indices(settings) == {left}
    store = TantivyStore.open(settings.data_dir)
    assert [letter.reason for letter in dead_letters.list_(settings, store)] == ["expired"]
    (row,) = verify(settings, store, patience_seconds=0)
    assert (row.written, row.stored, row.expired, row.difference, row.missing) == (6, 2, 4, 0, ())


def test_expired_lines_of_segments_that_are_gone_are_accounted_for(settings, monkeypatch):
    write(settings, 10, 10, 10)
    run(settings)
    monkeypatch.setenv("SHIPPER_NOW", (NOW + timedelta(days=21)).isoformat())
    (settings.log_dir / "orders.ecs.log").unlink()
    write(settings, 0)
    run(settings)
    (row,) = verify(settings, TantivyStore.open(settings.data_dir), patience_seconds=0)
    assert (row.written, row.stored, row.expired, row.difference) == (4, 1, 3, 0)


def test_what_is_known_of_files_long_gone_is_added_up(settings, monkeypatch):
    write(settings, 0, 0, 0)
    run(settings)
    (settings.log_dir / "orders.ecs.log").unlink()
    run(settings)
    monkeypatch.setenv("SHIPPER_NOW", (NOW + timedelta(days=40)).isoformat())
    ingest = Ingest(settings)
    ingest.keep_house(now_ms())
    assert ingest.tail.segments == {}
    assert ingest.status()["lines_total"] == 3
    ingest.close()
    (row,) = verify(settings, TantivyStore.open(settings.data_dir), patience_seconds=0)
    assert (row.written, row.expired, row.difference) == (3, 3, 0)
