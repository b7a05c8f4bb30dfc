"""The usual use of every class runs as it stands, and each of its lines passes the specification and the mapping."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from python_shipper.agent.pipeline import Pipeline
from python_shipper.core.clock import now_ms
from tests.ads.conftest import FILE
from tests.spec.validator import checked

PROGRAM = Path(__file__).with_name("usual.py")


def test_the_usual_use_runs(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line for file in tmp_path.glob("logs/*.ecs.log") for line in file.read_bytes().splitlines(keepends=True)]
    actions = set()
    for line in lines:
        event, routed = checked(line), Pipeline().process(line, FILE, now_ms())
        stored = json.loads(json.dumps(routed.document))
        del stored["log"]["file"], stored["log"]["offset"]
        if not stored["log"]:  # a segment's header has nothing else there
            del stored["log"]
        assert routed.index.startswith("christmas-logs-ad_system-") and stored == event
        actions.add(event["event"].get("action"))
    assert {"ad_request", "conversion", "bid_request", "measured", "campaign_created", "metric"} <= actions
