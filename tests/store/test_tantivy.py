"""The reader sees each commit at once, follows days that come and go, and opens only those that a request can mean."""

from pathlib import Path

import pytest

from python_shipper.errors import StoreError
from python_shipper.store.days import DAY_MS
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.store.documents import NOON, row

ALL = "christmas-*"


def total(store: TantivyStore, index: str = ALL, **body: object) -> int:
    return int(store.search(index, {"size": 0, **body})["hits"]["total"]["value"])


def test_a_commit_is_seen_by_the_next_request(tmp_path: Path) -> None:
    writer, store = Writer(tmp_path), TantivyStore.open(tmp_path)
    assert total(store) == 0
    for number in range(1, 6):
        writer.add([row(NOON + number)])
        assert total(store) == number - 1
        writer.commit()
        assert total(store) == number
    writer.close()


def test_days_outside_the_time_asked_for_stay_closed(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([row(NOON - days * DAY_MS) for days in range(4)])
    writer.close()
    store = TantivyStore.open(tmp_path)
    within = {"bool": {"filter": {"range": {"@timestamp": {"gte": "2026-01-01", "lt": "2026-01-02"}}}}}
    assert total(store, query=within) == 1
    assert total(store, "christmas-logs-*-2025.12.31") == 1
    assert [day.date.isoformat() for day in store.days] == ["2026-01-01", "2025-12-31"]


def test_a_deleted_day_is_let_go(tmp_path: Path) -> None:
    writer, store = Writer(tmp_path), TantivyStore.open(tmp_path)
    writer.add([row(NOON - 40 * DAY_MS), row(NOON)])
    writer.commit()
    assert total(store) == 2
    writer.drop_expired(NOON)
    assert total(store) == 1
    assert len(store.days) == 1
    writer.close()


def test_a_damaged_day_is_named(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.add([row()])
    writer.close()
    (tmp_path / "store/logs/2026-01-02/meta.json").write_text("{torn")
    with pytest.raises(StoreError, match="logs/2026-01-02: cannot read this day"):
        total(TantivyStore.open(tmp_path))


def test_ids_of_one_millisecond_keep_their_order_across_pages(tmp_path: Path) -> None:
    writer, rows = Writer(tmp_path), [row(NOON + number // 60) for number in range(240)]
    writer.add(rows)
    writer.close()
    store, seen, after = TantivyStore.open(tmp_path), [], {}
    while page := store.search(ALL, {"size": 7, "sort": [{"event.id": "desc"}], **after})["hits"]["hits"]:
        seen += [hit["_id"] for hit in page]
        after = {"search_after": page[-1]["sort"]}
    assert seen == sorted((identity for _, identity, *_ in rows), reverse=True)
