"""No room, no right to write, no file descriptors: the agent says so, waits, and goes on where it was."""

import contextlib
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_shipper.agent import Agent
from python_shipper.errors import StoreError
from tests.faults.conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("root"), pytest.mark.timeout(600)]


@contextlib.contextmanager
def mounted(path: Path, size: str) -> Iterator[Path]:
    """A small file system at ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True)
    if made.returncode:
        pytest.skip(f"root: mounting is not allowed here ({made.stderr.decode().strip()})")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(folder: Path) -> Path:
    """Use up all the room."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def filled_until(true: Callable[[], bool], folder: Path) -> Path:
    """Use up all the room, again and again, for the engine deletes what it has merged, and so finds room."""

    def filled() -> bool:
        fill(folder)
        return true()

    until(filled, 60)
    return folder / "filler"


@pytest.mark.parametrize("place", ["store", "spool", "."], ids=["store", "dead letters", "checkpoint"])
def test_disk_full(ground, traffic, place):
    data = ground.settings.data_dir
    with contextlib.ExitStack() as mounts:
        mounts.enter_context(mounted(data, "60m"))
        if place == ".":  # the checkpoint alone is short of room
            mounts.enter_context(mounted(data / "store", "60m"))
            mounts.enter_context(mounted(data / "spool", "60m"))
        else:
            mounts.enter_context(mounted(data / place, "30m"))
        ground.start()
        traffic.start(300)
        ground.stores()
        filler = filled_until(lambda: ground.says("the agent keeps trying"), data / place)
        time.sleep(3)
        assert ground.alive(), ground.errors.read_text()
        traffic.stop()
        filler.unlink()
        ground.assert_all_is_well()
        assert not list(data.rglob("*.damaged-*")), "no room is no damage"
        ground.end(signal.SIGTERM)


def test_read_only(ground, traffic):
    data = ground.settings.data_dir
    with mounted(data, "60m"):
        ground.start()
        traffic.start(300)
        ground.stores()
        ground.end()
        subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
        with pytest.raises(StoreError, match="writ"):
            Agent(ground.settings).start()
        time.sleep(1)
        traffic.stop()
        subprocess.run(["mount", "-o", "remount,rw", str(data)], check=True)
        ground.start()
        ground.assert_all_is_well()
        ground.end(signal.SIGTERM)


def test_read_only_while_it_waits_for_room(ground, traffic):
    data = ground.settings.data_dir
    with mounted(data, "60m"):
        ground.start()
        traffic.start(300)
        ground.stores()
        filler = filled_until(lambda: ground.says("the agent keeps trying"), data)
        until_remounted(data)
        traffic.stop()
        time.sleep(3)
        assert ground.alive(), ground.errors.read_text()
        subprocess.run(["mount", "-o", "remount,rw", str(data)], check=True)
        filler.unlink()
        ground.assert_all_is_well()
        ground.end(signal.SIGTERM)


def until_remounted(path: Path) -> None:
    """Remount read-only as soon as nobody has a file open for writing, which is while the agent waits to try again."""
    remount = ["mount", "-o", "remount,ro", str(path)]
    filled_until(lambda: not subprocess.run(remount, capture_output=True).returncode, path)


def test_out_of_file_descriptors(ground, traffic):
    pid = ground.start()
    traffic.start(300)
    ground.stores()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    until(lambda: ground.says("the agent keeps trying"))
    time.sleep(2)
    assert ground.alive(), ground.errors.read_text()
    traffic.stop()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    ground.assert_all_is_well()
    assert not list(ground.settings.data_dir.rglob("*.damaged-*")), "no descriptors is no damage"
