"""Every item is settled whatever the destination answers, in bounded batches, after pauses that grow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_shipper.agent.pipeline import Source
from python_shipper.exporters import Answer, ExportError, Line, UnavailableError
from python_shipper.exporters.delivery import Deliverer, Delivery, Limits, Pauses, StoppedError, batches
from python_shipper.exporters.spool import Spool, SpoolFullError
from tests.exporters.far import Far, Parcel

QUICK = Limits(items=10, bytes=1_000, first_pause_seconds=0.001, most_pause_seconds=0.01)


def parcels(count: int, size: int = 10) -> list[Parcel]:
    return [Parcel(str(number), size) for number in range(count)]


@given(st.lists(st.integers(1, 2_000), max_size=50))
def test_batches_keep_order_and_bounds(sizes: list[int]) -> None:
    items = [Parcel(str(place), size) for place, size in enumerate(sizes)]
    made = list(batches(items, QUICK))
    assert [item for batch in made for item in batch] == items
    for batch in made:
        assert 0 < len(batch) <= QUICK.items
        assert len(batch) == 1 or sum(item.size for item in batch) <= QUICK.bytes


def test_pauses_double_up_to_a_bound_and_differ() -> None:
    limits = Limits(first_pause_seconds=1.0, most_pause_seconds=8.0)
    rows = [[pauses.next() for _ in range(6)] for pauses in (Pauses(limits) for _ in range(50))]
    for number, longest in enumerate((1, 2, 4, 8, 8, 8)):
        column = [row[number] for row in rows]
        assert all(longest / 2 <= pause <= longest for pause in column)
        assert len(set(column)) > 1
    assert Pauses(limits).next(60.0) == 60.0
    assert Pauses(limits).next(1e9) == 300.0


def test_partial_failures_are_repeated_item_by_item() -> None:
    far = Far(again_once={"3", "7"}, refuse={"5"}, holds={"1"})
    deliverer = Deliverer(far, QUICK)
    deliverer.deliver(parcels(10))
    assert far.ids == {str(number) for number in range(10)} - {"5"} | {"letter of 5"}
    assert far.requests == [[str(n) for n in range(10)], ["3", "7", "letter of 5"]]
    assert deliverer.counts == {"stored": 9, "known": 1, "refused": 1, "retries": 1}


def test_an_outage_is_waited_for_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    far = Far(down_for=4)
    deliverer = Deliverer(far, QUICK)
    deliverer.deliver(parcels(25))
    assert len(far.ids) == 25
    assert deliverer.counts == {"stored": 25, "known": 0, "refused": 0, "retries": 4}
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the far side is down; it is tried again until it succeeds"]


def test_patience_ends() -> None:
    with pytest.raises(UnavailableError, match="the far side is down"):
        Deliverer(Far(down_for=10**9), QUICK, patience_seconds=0.02).deliver(parcels(1))


def test_stopping_leaves_the_rest() -> None:
    far = Far(down_for=10**9)
    asked: list[float] = []
    with pytest.raises(StoppedError):
        Deliverer(far, QUICK, wait=lambda seconds: asked.append(seconds) or True).deliver(parcels(1))
    assert len(asked) == 1


def test_an_exporter_that_forgets_an_item_is_an_error() -> None:
    class Forgetful(Far):
        def export(self, items: Sequence[Parcel]) -> Answer[Parcel]:
            return Answer(stored=items[1:])

    with pytest.raises(ExportError, match="did not account for every item"):
        Deliverer(Forgetful(), QUICK).deliver(parcels(2))


def line(number: int, text: bytes = b"x") -> Line:
    return Line(b"%d %b" % (number, text), Source("p", "f" * 64, number), 1)


def test_a_line_is_packed_whole() -> None:
    odd = Line(b'{"a":"\n\xff\x00"}', Source('/ü"\n', "", 7), 1_795_348_800_000)
    assert Line.unpacked(odd.packed()) == odd


def test_lines_are_delivered_in_the_background(tmp_path: Path) -> None:
    far = Far()
    delivery = Delivery(far, Spool(tmp_path), QUICK)
    delivery.start()
    threads = [threading.Thread(target=put, args=(delivery, range(n, 400, 8))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    delivery.close()
    assert far.closed
    assert far.ids == {str(number) for number in range(400)}
    assert delivery.status()["stored_total"] == 400
    assert delivery.status()["waiting_bytes"] == 0


def put(delivery: Delivery[Any], numbers: range) -> None:
    for number in numbers:
        delivery.put(line(number))


@pytest.mark.parametrize(
    "error", [UnavailableError("away"), ExportError("no right to"), RuntimeError("a bug")], ids=repr
)
def test_what_cannot_be_delivered_waits_for_the_next_start(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Far):
        def export(self, items: Sequence[Parcel]) -> Answer[Parcel]:
            raise error

    delivery = Delivery(Broken(), Spool(tmp_path), QUICK)
    delivery.start()
    put(delivery, range(30))
    until(lambda: delivery.deliverer.fault is not None)
    delivery.close(patience_seconds=0.05)
    assert len(caplog.records) == 1
    far = Far()
    second = Delivery(far, Spool(tmp_path), QUICK)
    second.start()
    second.close()
    assert far.ids == {str(number) for number in range(30)}


def test_a_full_spool_says_so_and_recovers(tmp_path: Path) -> None:
    far = Far()
    delivery = Delivery(far, Spool(tmp_path, most_bytes=2_000), QUICK)
    with pytest.raises(SpoolFullError):
        put(delivery, range(1000))
    held = len(delivery.spool.take(1000, 10_000)[0])
    delivery.spool.back()
    delivery.start()
    until(lambda: delivery.spool.waiting == 0)
    delivery.put(line(5000))
    delivery.close()
    assert far.ids == {*map(str, range(held)), "5000"}


def until(true: Callable[[], bool]) -> None:
    stop = threading.Event()
    for _ in range(2_000):
        if true():
            return
        stop.wait(0.005)
    raise AssertionError("did not happen in time")
