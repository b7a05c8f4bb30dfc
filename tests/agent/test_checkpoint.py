"""Positions and counts survive, together; damage is found, moved aside and said."""

import sqlite3
import stat

import pytest

from python_shipper.agent.checkpoint import NAME, Checkpoint, read_ledger
from python_shipper.agent.segment import Counts, Segment
from python_shipper.core.segments import Header
from python_shipper.errors import StoreError


def segment(number: int, **fields: object) -> Segment:
    made = Segment(number, f"{number:064x}", 128, f"/logs/orders.ecs.log.{number:06d}", 1, number)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_everything_comes_back(tmp_path):
    first = segment(2**60 - 1, offset=77, seam="ab", header=Header(3, 4000), counts=Counts(9, 6, 1, 2, 1), gone=True)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save([first, segment(2)], {"i": 5}, 0)
    checkpoint.save([segment(2, offset=9)], {"i": 2, "j": 1}, 0)
    checkpoint.close()
    again = Checkpoint(tmp_path)
    found = {loaded.number: loaded for loaded in again.load()}
    assert (found[first.number].offset, found[first.number].seam, found[2].offset) == (77, "ab", 9)
    assert (found[first.number].header, found[first.number].counts) == (Header(3, 4000), Counts(9, 6, 1, 2, 1))
    assert found[first.number].gone and not found[2].gone
    assert again.indices() == {"i": (7, False), "j": (1, False)}
    again.close()


def test_only_the_owner_reads_it(tmp_path):
    Checkpoint(tmp_path / "data").close()
    assert stat.S_IMODE((tmp_path / "data" / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"not a database at all" * 300, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_damaged_file_is_moved_aside_and_said_once(tmp_path, damage, caplog):
    (tmp_path / NAME).write_bytes(damage)
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.rebuilt and checkpoint.load() == []
    checkpoint.close()
    assert (tmp_path / f"{NAME}.damaged-1").read_bytes() == damage
    assert len(caplog.records) == 1 and "damaged" in caplog.text


def test_damage_in_the_middle_is_found(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save([segment(number) for number in range(2000)], {}, 0)
    checkpoint.close()
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\x00\xff" * 8192)
    assert Checkpoint(tmp_path).rebuilt


def test_another_schema_is_treated_as_damage(tmp_path):
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("CREATE TABLE segments (other INTEGER)")
    connection.close()
    assert Checkpoint(tmp_path).rebuilt


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match="data"):
        Checkpoint(tmp_path / "data")


def test_segments_long_gone_are_added_up(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save([segment(n, gone=True, counts=Counts(10, 8, 1, 1, 0)) for n in range(1, 4)], {}, 1000)
    checkpoint.save([segment(9, gone=False, counts=Counts(5, 5))], {}, 1000)
    checkpoint.forget(1000)
    assert len(checkpoint.load()) == 4
    checkpoint.forget(1001)
    assert [left.number for left in checkpoint.load()] == [9]
    ledger = read_ledger(tmp_path)
    assert ledger is not None and ledger.slots == {"orders": Counts(30, 24, 3, 3, 0)}
    checkpoint.close()


def test_the_ledger_of_a_folder_without_agent(tmp_path):
    assert read_ledger(tmp_path) is None
    (tmp_path / NAME).write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError, match="repairs"):
        read_ledger(tmp_path)


def test_rewinding_forgets_positions_but_not_segments(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save([segment(1, offset=500, seam="ab", counts=Counts(9, 9))], {"i": 9}, 0)
    checkpoint.rewind()
    (loaded,) = checkpoint.load()
    assert (loaded.offset, loaded.seam, loaded.counts) == (0, "", Counts())
    checkpoint.close()
