"""The files of a service: names, headers, rotation, restarts, torn lines, days, permissions, a full disk."""

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from python_shipper.core import counts, handlers
from python_shipper.core.files import DailyFile, RotatingFile
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.segments import SegmentFile
from python_shipper.settings import Settings
from tests.spec.validator import checked

DAY = 86_400


def segments(folder: Path, stem: str = "orders") -> list[list[bytes]]:
    """The lines of every segment, oldest first."""
    closed = sorted(folder.glob(f"{stem}.ecs.log.*"))
    return [path.read_bytes().splitlines(keepends=True) for path in [*closed, folder / f"{stem}.ecs.log"]]


def opened(folder: Path, size: int = 600, keep: int = 100) -> SegmentFile:
    return SegmentFile(folder / "orders.ecs.log", 0o600, size, keep, "Orders")


def test_a_segment_opens_with_a_header_that_no_other_shares(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for number in range(200):
        file.write(b'{"n":%d}\n' % number)
    file.close()
    heads = [checked(lines[0]) for lines in segments(tmp_path)]
    assert len(heads) > 3
    for number, head in enumerate(heads, start=1):
        identity = head["event"]["id"]
        assert head["message"] == f"segment {number} {identity}"
        assert head["event"]["action"] == "segment-opened"
        assert head["service"]["name"] == "Orders"
        assert head["christmas"]["segment"]["number"] == number
    beginnings = {lines[0][:128] for lines in segments(tmp_path)}
    assert len(beginnings) == len(heads)


def test_headers_count_the_lines_written_before(tmp_path: Path) -> None:
    for number in range(3):  # three lives of one process
        file = opened(tmp_path)
        for line in range(40):
            file.write(b'{"n":%d}\n' % (number * 40 + line))
        file.close()
    before = 0
    for lines in segments(tmp_path):
        assert json.loads(lines[0])["christmas"]["segment"]["lines"] == before
        before += len(lines)
    assert [json.loads(line)["n"] for lines in segments(tmp_path) for line in lines[1:]] == list(range(120))


def test_counts_go_on_when_old_segments_are_deleted(tmp_path: Path) -> None:
    file = opened(tmp_path, keep=2)
    for number in range(200):
        file.write(b'{"n":%d}\n' % number)
    file.close()
    found = segments(tmp_path)
    assert len(found) == 3
    last = json.loads(found[-1][0])["christmas"]["segment"]
    assert last["lines"] + len(found[-1]) == 200 + last["number"]  # the records, and a header a segment


def test_an_open_segment_that_vanished_leaves_the_counts(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for number in range(60):
        file.write(b'{"n":%d}\n' % number)
    file.close()
    closed = sum(map(len, segments(tmp_path)[:-1]))
    (tmp_path / "orders.ecs.log").unlink()
    opened(tmp_path).close()
    assert json.loads(segments(tmp_path)[-1][0])["christmas"]["segment"]["lines"] == closed


def test_a_torn_line_is_ended_and_counted(tmp_path: Path) -> None:
    file = opened(tmp_path, 10_000)
    file.write(b'{"n":1}\n')
    os.write(file.file.fd, b'{"n":2')
    file.close()
    file = opened(tmp_path, 10_000)
    file.write(b'{"n":3}\n')
    file.rotate()
    file.close()
    first, second = segments(tmp_path)
    assert first[1:] == [b'{"n":1}\n', b'{"n":2\n', b'{"n":3}\n']
    assert json.loads(second[0])["christmas"]["segment"]["lines"] == 4


@pytest.mark.parametrize("content", [b"something else\n", b"{}\n", b'{"@timestamp":"torn', b"\xff\n" * 10])
def test_a_foreign_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "orders.ecs.log").write_bytes(content)
    file = opened(tmp_path)
    file.write(b'{"n":1}\n')
    file.close()
    assert (tmp_path / "orders.ecs.log.000001").read_bytes() == content
    header = json.loads(segments(tmp_path)[-1][0])["christmas"]["segment"]
    assert header == {"number": 2, "lines": content.count(b"\n")}


def test_a_line_longer_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    file = opened(tmp_path, 1_000)
    for _ in range(3):
        file.write(b"x" * 5_000 + b"\n")
    file.close()
    assert [len(lines) for lines in segments(tmp_path)] == [2, 2, 2]


def test_a_plain_rotating_file_keeps_its_number_of_closed_ones(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "a.error.log", 0o600, 100, 2)
    for number in range(50):
        file.write(b"%040d\n" % number)
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.error.log", "a.error.log.000023", "a.error.log.000024",
    ]  # fmt: skip


def test_the_daily_file_changes_at_midnight_and_old_ones_go(tmp_path: Path) -> None:
    (tmp_path / "orders.daily.notes.log").touch()
    start = 20_000 * DAY + 5.0
    daily = DailyFile(tmp_path, "orders", 0o600, 3, start)
    for day in range(6):
        daily.check(start + day * DAY)
        daily.write(b"day %d\n" % day)
        daily.check((20_000 + day + 1) * DAY - 0.001)
        daily.write(b"late %d\n" % day)
    daily.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"orders.daily.2024-10-0{d}.log" for d in (7, 8, 9)] + ["orders.daily.notes.log"]
    assert (tmp_path / names[0]).read_bytes() == b"day 3\nlate 3\n"


def test_a_record_is_in_every_file_it_is_for_with_the_same_bytes(
    files: FilesHandler, logger: logging.Logger, written: Callable[[], list[bytes]]
) -> None:
    logger.info("one")
    logger.error("two")
    lines = written()
    (daily,) = files.directory.glob("orders.daily.*.log")
    assert daily.read_bytes() == b"".join(lines)
    assert (files.directory / "orders.error.log").read_bytes() == lines[1]


def test_files_are_private_unless_the_setting_says_otherwise(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for mode in ("0600", "0640"):
            folder = tmp_path / mode
            handler = FilesHandler("orders", folder, settings=Settings(log_file_mode=mode))
            handler.write(b"{}\n", logging.ERROR)
            handler.close()
            found = {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
            assert found == {int(mode, 8)}
    finally:
        os.umask(before)


@pytest.mark.parametrize("service", ["../../etc/cron", "Ünïcode Größe", "", "-_.", "a" * 300, "주문"])
def test_no_service_name_leaves_the_folder(tmp_path: Path, service: str) -> None:
    handler = FilesHandler(service, tmp_path / "logs", settings=Settings())
    handler.write(b"{}\n", 20)
    handler.close()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert len(list((tmp_path / "logs").glob("*.ecs.log"))) == 1


def test_files_deleted_or_moved_from_outside_are_made_again(
    files: FilesHandler, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHECK_SECONDS", 0.0)
    logger.error("one")
    for path in [*files.directory.glob("*.log")]:
        path.rename(path.with_suffix(".moved"))
    logger.error("two")
    assert len(list(files.directory.glob("*.log"))) == 3
    (ecs,) = files.directory.glob("*.ecs.log")
    header, line = ecs.read_bytes().splitlines(keepends=True)
    assert checked(header)["christmas"]["segment"] == {"number": 2, "lines": 2}
    assert checked(line)["message"] == "two"


def test_a_folder_that_cannot_be_written_loses_counted_records_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    handler = FilesHandler("orders", tmp_path / "logs")
    before = counts.current()["lost"]
    for _ in range(3):
        handler.write(b"{}\n", 20)
    assert counts.current()["lost"] - before == 3
    (tmp_path / "logs").unlink()
    handler.write(b"{}\n", 20)
    assert (tmp_path / "logs" / "orders.ecs.log").read_bytes().endswith(b"}\n{}\n")
    handler.close()
    assert counts.current()["lost"] - before == 3


def test_a_file_for_people_that_cannot_be_opened_is_missed_and_the_shipped_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "orders.error.log").mkdir()
    handler = FilesHandler("orders", tmp_path)
    before = counts.current()
    for _ in range(3):
        handler.write(b"{}\n", logging.ERROR)
    after = counts.current()
    assert (after["missed"] - before["missed"], after["lost"] - before["lost"]) == (3, 0)
    assert (tmp_path / "orders.ecs.log").read_bytes().count(b"\n{}") == 3
    (daily,) = tmp_path.glob("orders.daily.*")
    assert daily.read_bytes() == b"{}\n" * 3
    handler.close()


def test_a_shipped_file_that_cannot_be_opened_takes_one_slot_only(tmp_path: Path) -> None:
    (tmp_path / "orders.ecs.log").mkdir()
    handler = FilesHandler("orders", tmp_path)
    before = counts.current()["lost"]
    for _ in range(3):
        handler.write(b"{}\n", 20)
    assert counts.current()["lost"] - before == 3
    assert [path.name for path in (tmp_path / ".slots").iterdir()] == ["orders.lock"]


def test_a_service_name_that_is_no_text_still_gives_lines(tmp_path: Path) -> None:
    handler = FilesHandler("or\udcffders", tmp_path)
    logger = logging.Logger("x")
    logger.addHandler(handler)
    logger.warning("hello")
    handler.close()
    (path,) = tmp_path.glob("*.ecs.log")
    header, line = path.read_bytes().splitlines(keepends=True)
    assert checked(header)["service"]["name"] == checked(line)["service"]["name"] == "or\ufffdders"


FULL = """
    import logging, resource, sys
    from pathlib import Path
    from python_shipper.core import counts
    from python_shipper.core.handlers import FilesHandler
    from python_shipper.settings import Settings

    handler = FilesHandler("orders", Path(sys.argv[1]), daily=False, error=False, settings=Settings())
    logger = logging.getLogger("full")
    logger.addHandler(handler)
    logger.warning("before")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The file may grow by 100 bytes: the disk takes a part of the next record, and nothing of those after it.
    size = Path(sys.argv[1], "orders.ecs.log").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, unlimited[1]))
    for number in range(5):
        logger.warning("during %d", number)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    logger.warning("after")
    print(counts.current()["lost"])
"""


def test_a_full_disk_counts_and_the_torn_line_is_ended(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5\n"
    assert done.stderr.count("python_shipper: 1 log record(s) lost so far") == 1
    assert "File too large" in done.stderr
    header, before, torn, after = (tmp_path / "orders.ecs.log").read_bytes().splitlines(keepends=True)
    assert [checked(line)["message"] for line in (before, after)] == ["before", "after"]
    assert len(torn) == 101
    assert checked(header)["christmas"]["segment"]["lines"] == 0


def test_a_disk_too_full_to_rotate_keeps_the_open_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(tmp_path, 1_000)
    while file.file.size < 900:
        file.write(b"x" * 99 + b"\n")

    def refuse(*_: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentFile, "_begun", refuse)
        with pytest.raises(OSError, match="No space"):
            file.write(b"y" * 199 + b"\n")
    assert [path.name for path in tmp_path.iterdir()] == ["orders.ecs.log"]
    file.write(b"z" * 199 + b"\n")
    file.close()
    first, second = segments(tmp_path)
    assert json.loads(second[0])["christmas"]["segment"] == {"number": 2, "lines": len(first)}
    assert second[1].startswith(b"zzz")
