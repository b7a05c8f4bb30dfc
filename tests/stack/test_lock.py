"""One process a data folder: the lock goes with its holder, and leaves no file behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from python_shipper.stack.lock import ProcessLock

HOLD = """
import sys
from pathlib import Path
from python_shipper.stack.lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
lock.describe({"pid": 1})
print("described", flush=True)
sys.stdin.read()
"""


def test_a_second_taker_is_refused_and_release_leaves_no_file(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path), ProcessLock(tmp_path)
    assert first.take()
    first.describe({"pid": 7})
    assert not second.take()
    assert second.held()
    assert second.described() == {"pid": 7}
    first.release()
    assert not second.held()
    assert list(tmp_path.iterdir()) == []


def test_the_note_is_readable_by_this_user_only(tmp_path: Path) -> None:
    with ProcessLock(tmp_path) as lock:
        assert lock.take()
        lock.describe({"pid": 7})
        assert lock.note.stat().st_mode & 0o777 == 0o600
        assert json.loads(lock.note.read_text()) == {"pid": 7}


def test_a_killed_holder_leaves_a_note_that_nobody_believes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert [holder.stdout.readline(), holder.stdout.readline()] == ["True\n", "described\n"]
        lock = ProcessLock(tmp_path)
        assert lock.held()
        holder.kill()
        holder.wait()
        assert lock.note.exists()
        assert not lock.held()
        assert lock.take()
        lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_a_damaged_note_counts_as_none(tmp_path: Path, content: str) -> None:
    lock = ProcessLock(tmp_path)
    lock.note.write_text(content)
    assert lock.described() is None
