"""The spool keeps what was appended, whatever kills its process or cuts its file, and gives it in order, bounded."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_shipper.errors import StoreError, StoreLockedError
from python_shipper.exporters import spool as module
from python_shipper.exporters.spool import HEAD, Spool, SpoolFullError

Make = Callable[..., Spool]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened = []

    def spool(**options: int) -> Spool:
        opened.append(Spool(tmp_path / "spool", **options))
        return opened[-1]

    yield spool
    for each in opened:
        each.close()


def everything(spool: Spool, items: int = 100) -> list[bytes]:
    found = []
    while (taken := spool.take(items, 1_000_000))[0]:
        found += taken[0]
        spool.settle(taken[1])
    return found


def test_records_come_back_in_order_over_restarts(make: Make) -> None:
    spool = make()
    for number in range(10):
        spool.append(b"record %d" % number)
    records, position = spool.take(4, 1_000_000)
    assert records == [b"record %d" % number for number in range(4)]
    spool.settle(position)
    spool.take(3, 1_000_000)  # taken, but never settled: comes again
    spool.close()
    assert everything(make()) == [b"record %d" % number for number in range(4, 10)]


def test_what_is_not_settled_is_taken_again(make: Make) -> None:
    spool = make()
    spool.append(b"a")
    assert spool.take(1, 100)[0] == [b"a"]
    assert spool.take(1, 100)[0] == []
    spool.back()
    assert spool.take(1, 100)[0] == [b"a"]


def test_batches_are_bounded_in_bytes_but_never_empty(make: Make) -> None:
    spool = make()
    for record in (b"x" * 50, b"y" * 60, b"z" * 200):
        spool.append(record)
    sizes = [[len(record) for record in spool.take(10, 100)[0]] for _ in range(3)]
    assert sizes == [[50], [60], [200]]


def test_files_that_are_settled_are_deleted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 100)
    spool = make()
    records = [b"%03d" % number * 10 for number in range(20)]
    for record in records:
        spool.append(record)
    assert len(spool.numbers()) == 10
    assert everything(spool, items=3) == records
    assert spool.numbers() == [10]
    assert spool.waiting == 0
    spool.append(b"more")
    spool.close()
    assert everything(make()) == [b"more"]


def test_full_refuses_and_takes_again_once_there_is_room(make: Make) -> None:
    spool = make(most_bytes=100)
    spool.append(b"x" * 80)
    with pytest.raises(SpoolFullError, match="88 of 100 bytes wait"):
        spool.append(b"y" * 10)
    assert everything(spool) == [b"x" * 80]
    spool.append(b"y" * 10)
    assert everything(spool) == [b"y" * 10]


def test_the_bound_holds_over_restarts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 100)
    spool = make()
    for _ in range(10):
        spool.append(b"x" * 40)
    spool.settle(spool.take(3, 1000)[1])
    waiting = spool.waiting
    spool.close()
    assert make().waiting == waiting == sum(48 for _ in range(8))


def test_an_empty_record_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="no empty record"):
        make().append(b"")


@settings(max_examples=60, deadline=None)
@given(records=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), share=st.floats(0, 1))
def test_a_torn_tail_costs_the_torn_record_only(tmp_path_factory, records: list[bytes], share: float) -> None:
    folder = tmp_path_factory.mktemp("torn")
    spool = Spool(folder)
    for record in records:
        spool.append(record)
    path = spool.path(1)
    spool.close()
    cut = round(share * path.stat().st_size)
    os.truncate(path, cut)
    whole, end = [], 0
    for record in records:
        end += HEAD.size + len(record)
        whole += [record] if end <= cut else []
    torn = Spool(folder)
    assert everything(torn) == whole
    torn.append(b"after")
    assert everything(torn) == [b"after"]
    torn.close()


def test_blank_disk_at_the_end_is_no_record(make: Make) -> None:
    spool = make()
    spool.append(b"kept")
    path = spool.path(1)
    spool.close()
    os.truncate(path, 1000)  # what a power failure may leave: zeros
    assert everything(make()) == [b"kept"]


def test_damage_within_costs_the_rest_of_its_file(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 100)
    spool = make()
    for letter in b"abcd":
        spool.append(bytes([letter]) * 30)
    with spool.path(1).open("r+b") as file:
        file.seek(HEAD.size + 5)
        file.write(b"!")
    assert everything(spool) == [b"c" * 30, b"d" * 30]
    assert spool.lost_bytes == 76


def test_a_lost_note_delivers_again(make: Make) -> None:
    spool = make()
    for letter in (b"a", b"b"):
        spool.append(letter)
    spool.settle(spool.take(1, 100)[1])
    spool.close()
    (spool.folder / "position").write_text("")
    assert everything(make()) == [b"a", b"b"]


def test_a_note_ahead_of_the_disk_loses_nothing_that_comes(make: Make) -> None:
    spool = make()
    spool.append(b"a" * 50)
    spool.settle(spool.take(1, 100)[1])
    path = spool.path(1)
    spool.close()
    os.truncate(path, 0)
    again = make()
    assert again.waiting == 0
    again.append(b"b")
    assert everything(again) == [b"b"]


def test_a_full_disk_leaves_no_half_record(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = make()
    spool.append(b"before")
    real = os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        real(fd, data[:3], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        spool.append(b"torn")
    monkeypatch.undo()
    spool.append(b"after")
    assert everything(spool) == [b"before", b"after"]


def test_a_closed_spool_takes_nothing_and_touches_no_file_that_has_its_number_by_now(
    make: Make, tmp_path: Path
) -> None:
    spool = make()
    spool.close()
    with (tmp_path / "another").open("w+") as another:
        spool.fd = another.fileno()  # as the system gives the lowest free number
        with pytest.raises(OSError, match="the spool is closed"):
            spool.append(b"late")
        assert another.read() == ""


def test_one_process_at_a_time(make: Make, tmp_path: Path) -> None:
    make()
    with pytest.raises(StoreLockedError, match="another process uses it"):
        Spool(tmp_path / "spool")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Spool(tmp_path / "file" / "below")


def test_slots_are_taken_over_with_what_they_hold(tmp_path: Path) -> None:
    first, second = Spool.slot(tmp_path), Spool.slot(tmp_path)
    assert [first.folder.name, second.folder.name] == ["0", "1"]
    first.append(b"left by a dead process")
    first.close()
    heir = Spool.slot(tmp_path)
    assert everything(heir) == [b"left by a dead process"]
    for each in (heir, second):
        each.close()


WRITER = r"""
import sys
from pathlib import Path
from python_shipper.exporters.spool import Spool
spool = Spool(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    spool.append(b"%d %b" % (number, b"x" * (number % 3000)))
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()
    number += 1
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    number = 0
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "spool"), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                number = int(line)
                if number % 400 == 399:
                    process.send_signal(signal.SIGKILL)
                    break
            rest = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        number = (rest or [number])[-1] + 1
    spool = Spool(tmp_path / "spool")
    found = [int(record.split()[0]) for record in everything(spool)]
    spool.close()
    # The last record of each round may be there without having been acknowledged, and is then written again.
    assert sorted(set(found)) == list(range(max(found) + 1))
    assert max(found) >= number - 1
