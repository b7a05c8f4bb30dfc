"""Following shows the newest lines of any age once, then each later one once, also those that come late."""

from contextlib import closing
from pathlib import Path

from python_shipper.store.logs import Follower, Hit
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.store.documents import NOON, row

HOUR = 3_600_000


def told(hits: list[Hit]) -> list[str]:
    return [hit["_source"]["message"] for hit in hits]


def test_each_line_is_shown_once(tmp_path: Path) -> None:
    with closing(Writer(tmp_path)) as writer, closing(TantivyStore.open(tmp_path)) as store:

        def arrive(*lines: tuple[int, str]) -> None:
            writer.add([row(ms=NOON + ms, message=message) for ms, message in lines])
            writer.commit()

        arrive((-HOUR, "an old one"), (-3000, "a"), (-2000, "b"), (-1000, "c"))
        follower = Follower(store, "")
        assert told(follower.newest(NOON, 2)) == ["b", "c"]
        assert list(follower.fresh(NOON + 500)) == []
        arrive((400, "d"), (-2500, "a late one"))
        assert told(list(follower.fresh(NOON + 500))) == ["a late one", "d"]
        assert list(follower.fresh(NOON + 1000)) == []


def test_the_newest_may_be_of_any_age_and_none(tmp_path: Path) -> None:
    with closing(Writer(tmp_path)) as writer, closing(TantivyStore.open(tmp_path)) as store:
        writer.add([row(ms=NOON - HOUR, message="an old one")])
        writer.commit()
        assert told(Follower(store, "").newest(NOON, 5)) == ["an old one"]
        assert Follower(store, "").newest(NOON, 0) == []
        assert Follower(store, "nothing").newest(NOON, 5) == []
