"""Every line once, in order, whatever happens to the files: real files, and a clock moved by hand."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from python_shipper.agent.tail import CHUNK, LONGEST_LINE, Tail

HEAD_LINES = 10


def lines(start: int, stop: int, mark: str = "line") -> str:
    return "".join(f"{f'{mark} {number} ':-<39}\n" for number in range(start, stop))


def numbers(texts: list[str]) -> list[int]:
    return [int(text.split()[1]) for text in texts]


def test_appended_lines_come_once_with_their_offsets(folder):
    folder.write("a.ecs.log", lines(0, 10))
    first = folder.look()
    folder.write("a.ecs.log", lines(10, 12))
    second = folder.look()
    assert numbers([line.raw.decode() for line in first + second]) == list(range(12))
    assert [line.offset for line in first + second] == [40 * n for n in range(12)]
    assert second[-1].end == 480
    assert folder.look() == []


def test_only_names_of_shipped_files(folder):
    for name in ("a.ecs.log", "a.1.ecs.log", "a.ecs.log.000001", "a.error.log", "a.daily.2026-01-01.log", "a.ecs.logs"):
        folder.write(name, lines(0, 5, name))
    assert {text.split()[0] for text in folder.texts()} == {"a.ecs.log", "a.1.ecs.log", "a.ecs.log.000001"}


def test_a_folder_that_does_not_exist_yet(folder, tmp_path):
    folder.tail.folders = [tmp_path / "later"]
    assert folder.look() == []


def test_partial_line_waits_for_its_end_even_inside_a_character(folder):
    text = lines(0, 4) + "가나다 1 끝"
    data = text.encode()
    folder.write("a.ecs.log", data[:-2])
    assert numbers(folder.texts()) == [0, 1, 2, 3]
    assert folder.texts(60) == []
    folder.write("a.ecs.log", data[-2:] + b"\nnext 2\n")
    assert folder.texts() == ["가나다 1 끝", "next 2"]


def test_crlf_and_empty_lines(folder):
    folder.write("a.ecs.log", lines(0, 4).replace("\n", "\r\n") + "\r\n\n\nlast\r\n")
    found = folder.look()
    assert [line.raw for line in found][-1] == b"last"
    assert not any(line.raw.endswith(b"\r") for line in found)
    assert len(found) == 5


def test_rename_rotation_several_times_between_looks(folder):
    folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    path = folder.path / "a.ecs.log"
    for rotation in range(1, 4):
        folder.write("a.ecs.log", lines(rotation * 10, rotation * 10 + 5, f"r{rotation}"))
        path.rename(folder.path / f"a.ecs.log.{rotation:06d}")
    folder.write("a.ecs.log", lines(40, 45, "new"))
    assert sorted(numbers(folder.texts())) == [*range(10, 15), *range(20, 25), *range(30, 35), *range(40, 45)]
    assert folder.texts() == []


def test_rotation_across_a_restart(folder):
    folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    folder.write("a.ecs.log", lines(5, 8))
    (folder.path / "a.ecs.log").rename(folder.path / "a.ecs.log.000001")
    folder.write("a.ecs.log", lines(100, 104, "new"))
    folder.restart()
    assert sorted(numbers(folder.texts())) == [5, 6, 7, 100, 101, 102, 103]


def test_unterminated_last_line_counts_once_the_file_is_closed(folder):
    folder.write("a.ecs.log", lines(0, 4) + "last 4")
    assert numbers(folder.texts()) == [0, 1, 2, 3]
    assert folder.texts(100) == []
    folder.write("a.ecs.log", "!")
    (folder.path / "a.ecs.log").rename(folder.path / "a.ecs.log.000001")
    assert folder.texts(1) == []
    assert folder.texts(10) == ["last 4!"]
    assert folder.texts(10) == []


def test_deleted_while_open_is_read_to_its_end(folder):
    folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    folder.write("a.ecs.log", lines(5, 9) + "tail 9")
    (folder.path / "a.ecs.log").unlink()
    assert numbers(folder.texts()) == [5, 6, 7, 8]
    assert folder.texts(6) == ["tail 9"]
    assert folder.tail.lost_bytes == 0
    folder.look(60)
    assert not folder.tail.attached and not folder.tail.open


def test_deleted_unread_is_counted(folder):
    folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    folder.look(100)  # idle: closed
    assert not folder.tail.open
    folder.tail.most_open = 0
    folder.write("a.ecs.log", lines(5, 9))
    folder.tail.scan()
    folder.tail.close()
    (folder.path / "a.ecs.log").unlink()
    assert folder.look() == []
    assert folder.tail.lost_bytes == 160


def test_delete_and_create_with_the_same_inode(folder, caplog):
    path = folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    folder.tail.close()
    inode = path.stat().st_ino
    data = lines(50, 60, "other").encode()
    with path.open("r+b") as file:  # what a new file on a reused inode looks like from outside
        file.truncate(0)
        file.write(data)
    assert path.stat().st_ino == inode
    assert numbers(folder.texts()) == list(range(50, 60))
    assert folder.texts() == []


def test_inode_of_a_deleted_rotated_segment_given_to_the_new_one_is_no_alarm(folder, caplog):
    folder.write("a.ecs.log.000001", lines(0, 5))
    folder.look()
    folder.look(100)
    path = folder.path / "a.ecs.log.000001"
    path.rename(folder.path / "a.ecs.log")
    with (folder.path / "a.ecs.log").open("r+b") as file:
        file.truncate(0)
        file.write(lines(5, 10, "new").encode())
    assert numbers(folder.texts()) == list(range(5, 10))
    assert caplog.records == []


def test_truncation_and_regrowth_beyond_the_old_position(folder, caplog):
    path = folder.write("a.ecs.log", lines(0, 5))
    folder.look()
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(lines(20, 40, "again").encode())
    assert numbers(folder.texts()) == list(range(20, 40))
    assert "truncated" in caplog.text


def test_truncation_with_the_same_first_bytes(folder):
    path = folder.write("a.ecs.log", lines(0, 20))
    folder.look()
    with path.open("r+b") as file:
        file.truncate(0)
        file.write((lines(0, 5) + lines(60, 90)).encode())
    assert numbers(folder.texts()) == [*range(5), *range(60, 90)]


def test_copytruncate_ships_nothing_twice_and_reads_the_rest_from_the_copy(folder, caplog):
    path = folder.write("a.ecs.log", lines(0, 6))
    folder.look()
    folder.write("a.ecs.log", lines(6, 9))
    shutil.copy(path, folder.path / "a.ecs.log.1")
    os.truncate(path, 0)
    folder.write("a.ecs.log", lines(30, 34, "fresh"))
    found = numbers(folder.texts()) + numbers(folder.texts())
    assert sorted(found) == [6, 7, 8, 30, 31, 32, 33]
    assert "copytruncate" in caplog.text


def test_a_copy_seen_before_the_truncation(folder):
    path = folder.write("a.ecs.log", lines(0, 6))
    folder.look()
    shutil.copy(path, folder.path / "a.ecs.log.1")
    assert folder.texts() == []
    folder.write("a.ecs.log", lines(6, 8))
    assert numbers(folder.texts()) == [6, 7]
    os.truncate(path, 0)
    assert folder.texts() == []
    folder.write("a.ecs.log", lines(30, 34, "fresh"))
    assert numbers(folder.texts()) == [30, 31, 32, 33]


def test_copy_in_progress(folder):
    path = folder.write("a.ecs.log", lines(0, 10))
    folder.look()
    data = path.read_bytes()
    folder.write("a.ecs.log.1", data[:200])
    assert folder.texts() == []
    folder.write("a.ecs.log.1", data[200:])
    assert folder.texts() == []


def test_two_files_that_begin_alike_are_two(folder):
    folder.write("a.ecs.log", lines(0, 4) + lines(10, 15))
    folder.write("b.ecs.log", lines(0, 4) + lines(20, 25))
    found = numbers(folder.texts()) + numbers(folder.texts())
    assert sorted(found) == sorted([*range(4), *range(4), *range(10, 15), *range(20, 25)])


def test_a_shorter_file_that_begins_alike_is_no_copy_of_one_not_read_yet(folder):
    head = lines(0, 4)
    folder.write("a.ecs.log", head + lines(10, 20))
    folder.write("b.ecs.log", head + lines(20, 29))
    folder.write("c.ecs.log", head + lines(30, 38))
    found = numbers([text for _ in range(3) for text in folder.texts()])
    assert sorted(found) == sorted([*range(4)] * 3 + [*range(10, 29), *range(30, 38)])


def test_packed_old_segment_is_not_shipped_again_and_finished(folder):
    folder.write("a.ecs.log.000001", lines(0, 6))
    folder.look()
    path = folder.write("a.ecs.log.000001", lines(6, 9) + "last 9")
    packed = folder.path / "a.ecs.log.000001.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    folder.tail.close()
    path.unlink()
    assert numbers(folder.texts()) == [6, 7, 8, 9]
    assert folder.texts() == []
    folder.restart()
    assert folder.texts() == []


def test_packed_segment_never_seen_before(folder):
    folder.path.joinpath("a.ecs.log.000001.gz").write_bytes(gzip.compress(lines(0, 60_000).encode()))
    assert numbers(folder.texts()) == list(range(60_000))


def test_half_written_gzip_waits(folder, caplog):
    data = gzip.compress(lines(0, 50).encode())
    folder.write("a.ecs.log.000001.gz", data[:60])
    assert folder.texts() == []
    assert "cannot be read" in caplog.text
    folder.write("a.ecs.log.000001.gz", data[60:])
    assert numbers(folder.texts()) == list(range(50))


def test_short_file_is_taken_when_it_stops_growing(folder):
    folder.write("a.ecs.log", "short 1\n")
    folder.write("b.ecs.log", "short 1\n")
    assert folder.texts() == []
    assert folder.texts(6) == ["short 1", "short 1"]
    folder.write("a.ecs.log", lines(2, 20))
    assert numbers(folder.texts()) == list(range(2, 20))
    folder.restart()
    assert folder.texts(6) == []


def test_line_longer_than_allowed_is_cut_and_counted(folder):
    folder.write("a.ecs.log", lines(0, 5) + "x" * (2 * LONGEST_LINE) + "\n" + lines(5, 8))
    found = folder.look()
    assert [len(line.raw) for line in found] == [39] * 5 + [LONGEST_LINE] + [39] * 3
    assert found[5].end - found[5].offset == 2 * LONGEST_LINE + 1
    (segment,) = folder.tail.segments.values()
    assert segment.counts.cut == 1


def test_long_line_that_grows_is_read_when_it_ends(folder):
    folder.write("a.ecs.log", lines(0, 4) + "y" * (CHUNK * 2))
    assert len(folder.look()) == 4
    folder.write("a.ecs.log", "y" * CHUNK)
    assert folder.look() == []
    folder.write("a.ecs.log", "\nnext\n")
    assert [len(line.raw) for line in folder.look()] == [CHUNK * 3, 4]


def test_lines_around_chunk_borders(folder):
    data = "".join(f"n {number} {'z' * (number % 997)}\n" for number in range(5000))
    folder.write("a.ecs.log", data)
    assert numbers(folder.texts()) == list(range(5000))


def test_thousands_of_files_within_a_small_limit_of_open_ones(folder):
    folder.tail.most_open = 16
    for number in range(3000):
        folder.write(f"s{number}.ecs.log", lines(number, number + 4))
    assert len(folder.look()) == 12_000
    assert len(folder.tail.open) <= 16
    folder.write("s7.ecs.log", lines(1, 2))
    folder.write("s2999.ecs.log", lines(1, 2))
    assert len(folder.look()) == 2


def test_unreadable_file_is_named_once_and_read_when_it_can_be(folder, caplog):
    folder.write("a.ecs.log", lines(0, 5))
    (folder.path / "b.ecs.log").symlink_to(folder.path / "nowhere")
    (folder.path / "c.ecs.log").mkdir()
    assert numbers(folder.texts()) == list(range(5))
    folder.look()
    assert caplog.text.count("c.ecs.log cannot be read") == 1
    (folder.path / "c.ecs.log").rmdir()
    folder.write("c.ecs.log", lines(5, 9))
    assert numbers(folder.texts()) == list(range(5, 9))


def test_memory_stays_with_a_chunk(folder):
    folder.write("a.ecs.log", lines(0, 100_000))
    folder.tail.scan()
    (segment,) = folder.tail.ready()
    assert sum(line.end - line.offset for line in folder.tail.read(segment)) <= CHUNK


def test_lag_is_what_is_unread(folder):
    folder.write("a.ecs.log", lines(0, 10))
    folder.tail.scan()
    folder.seconds += 3
    assert folder.tail.lag() == (400, 3.0)
    folder.look()
    assert folder.tail.lag() == (0, 0.0)


@pytest.mark.parametrize("device", [0, 77])
def test_another_device_number_after_a_reboot(folder, device):
    folder.write("a.ecs.log", lines(0, 10))
    folder.look()
    for segment in folder.tail.segments.values():
        segment.device = device
    folder.restart()
    folder.write("a.ecs.log", lines(10, 12))
    assert numbers(folder.texts()) == [10, 11]


def test_tails_of_several_folders(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.ecs.log").write_text(lines(0, 5, name))
    tail = Tail([tmp_path / "one", tmp_path / "two"])
    tail.scan()
    assert sum(len(tail.read(segment)) for segment in tail.ready()) == 10
    tail.close()
