"""The writer stores each id once, whatever is added again, and tells how far each segment came."""

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from python_shipper.errors import StoreError
from python_shipper.store.days import DAY_MS, FAMILIES, tree_size
from python_shipper.store.retention import policy
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Added, Writer
from tests.store.documents import NOON, row


def test_a_second_document_of_an_id_is_known_before_and_after_the_commit(tmp_path: Path) -> None:
    writer, rows = Writer(tmp_path), [row(), row()]
    other = row(id=rows[0][1], message="something else")
    assert writer.add(rows) == Added(stored=2)
    assert writer.add([rows[0], other]) == Added(known=2, differing=1)
    writer.commit()
    assert writer.add([rows[1], other]) == Added(known=2, differing=1)
    writer.close()
    assert {hit["_source"]["message"] for hit in search(tmp_path)} == {"order executed"}


def test_the_same_line_under_the_name_of_a_rotated_file_does_not_differ(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    first = row(log={"file": {"path": "/logs/orders.ecs.log"}, "offset": 0})
    writer.add([first])
    again = row(id=first[1], log={"file": {"path": "/logs/orders.ecs.log.000001"}, "offset": 0})
    assert writer.add([again]) == Added(known=1)
    writer.close()


def test_each_id_is_stored_once_in_whatever_order_they_come(tmp_path: Path) -> None:
    """Ids above all that an index holds are not looked up, so the order matters, and what was open before."""
    chance, given, stored = random.Random(6), [], 0
    pool = [row(NOON + number // 3, service=service) for number in range(45) for service in ("orders", "gateway")]
    for _ in range(4):
        writer = Writer(tmp_path)
        for _ in range(6):
            given += (some := chance.sample(pool, 9))
            stored += writer.add(some).stored
            if chance.random() < 0.5:
                writer.commit()
        writer.close()
    distinct = {(index, identity) for index, identity, *_ in given}
    assert stored == len(distinct) < len(given)
    assert len(search(tmp_path)) == len(distinct)


def test_an_id_counts_in_each_index_as_in_elasticsearch(tmp_path: Path) -> None:
    writer, orders = Writer(tmp_path), row()
    assert writer.add([orders, row(id=orders[1], service="gateway")]) == Added(stored=2)
    writer.commit()
    assert writer.add([orders, row(id=orders[1], service="gateway")]) == Added(known=2)
    writer.close()


def test_watermarks_are_the_highest_committed_offsets(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([(*row()[:3], 1, 400), (*row()[:3], 1, 900), (*row(NOON - DAY_MS)[:3], 1, 700), (*row()[:3], 2, 50)])
    assert writer.watermarks() == {}
    writer.commit()
    assert writer.watermarks() == {1: 900, 2: 50}
    writer.close()


def test_more_days_than_stay_open_keep_everything(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for days in range(7):
        writer.add([row(NOON - days * DAY_MS)])
    assert len(writer.days) == 4
    writer.close()
    assert len(search(tmp_path)) == 7


def test_a_second_writer_is_kept_out(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    with pytest.raises(StoreError, match="another process writes this store"):
        Writer(tmp_path)
    writer.close()
    Writer(tmp_path).close()


def test_an_index_name_of_another_project_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    with pytest.raises(StoreError, match="not an index name"):
        writer.add([("logs-2026.01.02", *row()[1:])])
    writer.close()


def test_a_day_past_its_age_is_deleted(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([row(NOON - 30 * DAY_MS), row(NOON - 29 * DAY_MS)])
    assert [day.date.isoformat() for day in writer.drop_expired(NOON)] == ["2025-12-03"]
    writer.close()
    assert [hit["_index"] for hit in search(tmp_path)] == ["christmas-logs-orders-2025.12.04"]


def test_a_reader_that_makes_its_lock_file_meanwhile_does_not_stop_a_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, remove, folder = Writer(tmp_path), os.rmdir, tmp_path / "store/logs/2025-12-03"
    writer.add([row(NOON - 30 * DAY_MS)])
    writer.commit()

    def remove_late(*place: Any, **options: Any) -> None:
        with suppress(FileNotFoundError):
            (folder / ".tantivy-meta.lock").touch()  # as the thread does that watches an open index
        remove(*place, **options)

    monkeypatch.setattr(os, "rmdir", remove_late)
    assert [day.date.isoformat() for day in writer.drop_expired(NOON)] == ["2025-12-03"]
    assert list(folder.parent.iterdir()) == []
    writer.close()


def test_what_a_killed_deletion_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    writer, left = Writer(tmp_path), tmp_path / "store/logs/2025-12-02.dropped"
    left.mkdir(parents=True)
    (left / "meta.json").touch()
    assert writer.kept() == writer.drop_expired(NOON) == []
    assert not left.exists()
    writer.close()


def test_a_day_on_hold_outlives_its_age_and_the_budget(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([row(NOON - 31 * DAY_MS)])
    writer.commit()
    (tmp_path / "store/logs/2025-12-02/.hold").touch()
    assert writer.drop_expired(NOON) == []
    assert writer.drop_beyond(1, NOON) == []
    writer.close()


def test_a_full_store_drops_what_is_damaged_then_its_oldest_logs_but_never_today(tmp_path: Path) -> None:
    writer, letter = Writer(tmp_path), row(NOON - 3 * DAY_MS)
    writer.add([row(NOON - days * DAY_MS) for days in range(3)])
    writer.add([("christmas-dead-letters-2025.12.30", *letter[1:])])
    writer.commit()
    aside = tmp_path / "store/logs/2025-12-31.damaged-1"
    aside.mkdir()
    (aside / "torn").write_bytes(bytes(1000))
    assert writer.drop_beyond(0, NOON) == []
    assert writer.drop_beyond(tree_size(tmp_path) - 500, NOON) == []
    assert not aside.exists()
    dropped = writer.drop_beyond(tree_size(tmp_path) - 500, NOON)
    assert [day.date.isoformat() for day in dropped] == ["2025-12-31"]
    assert [day.date.isoformat() for day in writer.drop_beyond(1, NOON)] == ["2026-01-01"]
    assert [(day.family, day.date.isoformat()) for day in writer.kept()] == [
        ("dead-letters", "2025-12-30"),
        ("logs", "2026-01-02"),
    ]
    writer.close()


def test_each_family_follows_the_policy_of_its_template() -> None:
    assert {family: policy(family) for family in FAMILIES} == {
        "logs": "christmas-logs-30d",
        "dead-letters": "christmas-logs-30d",
        "audit": None,
        "restored": None,
    }


def test_a_document_that_no_column_takes_is_named_and_the_others_are_stored(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    added = writer.add([row(), row(event={"duration": "long"}), row()])
    assert (added.stored, [position for position, _ in added.refused]) == (2, [1])
    writer.close()
    assert len(search(tmp_path)) == 2


def test_a_damaged_day_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([row()])
    writer.close()
    (tmp_path / "store/logs/2026-01-02/meta.json").write_text("{torn")
    writer = Writer(tmp_path)
    assert writer.add([row()]) == Added(stored=1)
    assert [path.name for path in writer.set_aside] == ["2026-01-02.damaged-1"]
    writer.close()
    assert len(search(tmp_path)) == 1


def test_a_day_whose_damage_shows_late_is_set_aside(tmp_path: Path) -> None:
    writer, rows = Writer(tmp_path), [row() for _ in range(50)]
    writer.add(rows)
    writer.close()
    (stored,) = (tmp_path / "store/logs/2026-01-02").glob("*.store")
    content = bytearray(stored.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)  # its footer stays whole, so opening it succeeds
    stored.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot read the store|damaged"):
        search(tmp_path)
    writer = Writer(tmp_path)
    with pytest.raises(StoreError, match="this day was set aside"):
        writer.add(rows[:1])
    assert writer.add(rows) == Added(stored=50)
    assert [path.name for path in writer.set_aside] == ["2026-01-02.damaged-1"]
    writer.close()
    assert len(search(tmp_path)) == 50


def search(data_dir: Path) -> list[dict]:
    return TantivyStore.open(data_dir).search("christmas-*", {"size": 100})["hits"]["hits"]
