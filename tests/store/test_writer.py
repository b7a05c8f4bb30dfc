"""The writer stores each id once, whatever is added again, and tells how far each segment came."""

from pathlib import Path

import pytest

from python_shipper.errors import StoreError
from python_shipper.store.days import DAY_MS
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
