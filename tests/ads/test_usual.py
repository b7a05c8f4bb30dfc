"""The usual use of every class runs as it stands, and each of its lines passes the specification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.spec.validator import checked

PROGRAM = Path(__file__).with_name("usual.py")


def test_the_usual_use_runs(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line for file in tmp_path.glob("logs/*.ecs.log") for line in file.read_bytes().splitlines(keepends=True)]
    actions = {checked(line)["event"].get("action") for line in lines}
    assert {"ad_request", "conversion", "bid_request", "measured", "campaign_created", "metric"} <= actions
