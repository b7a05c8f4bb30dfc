"""What a disk can do to files at rest: found at the next start, said, and made good from the log files."""

import random
import signal

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["checkpoint.sqlite3", "spool/dead_letters.sqlite3"])
def test_a_damaged_database(ground, traffic, rounds, name):
    traffic.start(300)
    path = ground.settings.data_dir / name
    for turn in range(rounds(2, 20)):
        ground.start()
        ground.stores()
        ground.end(signal.SIGTERM)
        with path.open("r+b") as file:
            file.seek(random.Random(turn).randrange(max(1, path.stat().st_size - 4096)) if turn % 2 else 0)
            file.write(random.Random(turn).randbytes(8192))
    traffic.stop()
    ground.start()
    ground.assert_all_is_well()
    assert list(path.parent.glob(path.name + ".damaged-*"))
    assert "is damaged" in ground.errors.read_text()


@pytest.mark.parametrize("part", ["meta.json", "*.store", "*.term", "*.fast"])
def test_a_torn_index(ground, traffic, part):
    traffic.start(300)
    ground.start()
    ground.stores(500)
    ground.end(signal.SIGTERM)
    traffic.stop()
    files = (ground.settings.data_dir / "store" / "logs").rglob(part)
    largest = max(files, key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size // 2)
    ground.start()
    ground.assert_all_is_well()
