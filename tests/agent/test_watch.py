"""New and renamed files wake the agent; without inotify it still starts."""

import pytest

from python_shipper.agent import watch as watching
from python_shipper.agent.watch import Watch


def test_coming_and_going_wakes_and_writing_does_not(tmp_path):
    watch = Watch([tmp_path / "made"])
    path = tmp_path / "made" / "a.ecs.log"
    path.write_text("one\n")
    assert watch.changed.wait(10)
    watch.changed.clear()
    with path.open("a") as file:
        for _ in range(100):
            file.write("more\n")
            file.flush()
    assert not watch.changed.wait(0.3)
    path.rename(tmp_path / "made" / "a.ecs.log.000001")
    assert watch.changed.wait(10)
    watch.close()


def test_without_inotify_it_says_so_and_goes_on(tmp_path, monkeypatch, caplog):
    def refuse(self):
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(watching.Observer, "start", refuse)
    watch = Watch([tmp_path])
    assert "instance limit" in caplog.text and not watch.watching
    watch.close()


@pytest.mark.parametrize("folders", [0, 3])
def test_it_ends(tmp_path, folders):
    watch = Watch([tmp_path / str(number) for number in range(folders)])
    watch.close()
    assert not watch.observer.is_alive()
