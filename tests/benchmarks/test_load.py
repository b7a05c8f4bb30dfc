"""The load benchmark's short form: every contender carries a little load, and the table says so."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import load

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WARM_UP_SECONDS", 0.5)


@pytest.mark.parametrize("way", [load.under_requests, load.emitting])
def test_every_contender_is_measured(way: Any, tmp_path: Path) -> None:
    results = []
    for name in load.ORDER:
        folder = tmp_path / name
        folder.mkdir()
        results.append(way(name, 50, 2, folder))
    assert all(result.requests >= 40 for result in results)
    assert [row.split(" | ")[0] for row in load.table(results).splitlines()[2:]] == [f"| {name}" for name in load.ORDER]
    off, peer, ours = results
    assert load.written(off) < load.written(peer)
    assert load.written(off) < load.written(ours)
    assert not list((tmp_path / "off").glob("*.log"))
    lines = {name: (tmp_path / name / "orders.ecs.log").read_bytes().count(b"\n") for name in load.ORDER[1:]}
    assert min(lines.values()) >= 5 * 40
