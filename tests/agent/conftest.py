"""A folder of log files, and a tail over it whose clock is moved by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from python_shipper.agent.segment import Line
from python_shipper.agent.tail import Tail


class Folder:
    """Writes log files, and collects what the tail makes of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self.tail = Tail([path], monotonic=lambda: self.seconds)

    def write(self, name: str, data: bytes | str) -> Path:
        """Append to a file."""
        path = self.path / name
        with path.open("ab") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        return path

    def look(self, seconds: float = 1.0) -> list[Line]:
        """Let time pass, scan, and read all there is."""
        self.seconds += seconds
        lines: list[Line] = []
        for _ in range(3):  # a file that was replaced is taken anew by the next scan
            self.tail.scan()
            self.tail.poll()
            lines += self.drain()
            if not self.tail.rescan:
                break
        return lines

    def drain(self) -> list[Line]:
        """Read until nothing is ready."""
        lines: list[Line] = []
        while ready := self.tail.ready():
            for segment in ready:
                lines += self.tail.read(segment)
        return lines

    def texts(self, seconds: float = 1.0) -> list[str]:
        """What `look` finds, as text."""
        return [line.raw.decode() for line in self.look(seconds)]

    def restart(self) -> None:
        """A new tail that knows what the old one's checkpoint would hold."""
        from python_shipper.agent.checkpoint import Checkpoint

        checkpoint = Checkpoint(self.path.parent / "data")
        checkpoint.save(self.tail.segments.values(), {}, 0)
        self.tail.close()
        self.tail = Tail([self.path], checkpoint.load(), lambda: self.seconds)
        checkpoint.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty log folder with its tail."""
    path = tmp_path / "logs"
    path.mkdir()
    folder = Folder(path)
    yield folder
    folder.tail.close()
