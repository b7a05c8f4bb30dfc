"""Our ILM policies by the parser and validation of Elasticsearch itself; no test distribution has the ILM module."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stack import obtain

ROOT = Path(__file__).parent.parent.parent
POLICIES = sorted((ROOT / "ilm_policies").glob("*.json"))
PROGRAM = Path(__file__).parent / "java" / "IlmCheck.java"
pytestmark = [pytest.mark.slow, pytest.mark.needs("maven")]


def verdicts(files: list[Path]) -> list[str]:
    """One verdict a file."""
    java = obtain.part("elasticsearch", obtain.java) / "bin" / "java"
    obtain.part("elasticsearch", lambda: obtain.maven(obtain.ELASTICSEARCH))
    classpath = ":".join(map(str, obtain.elasticsearch_jars()))
    done = subprocess.run(
        [java, "-cp", classpath, PROGRAM, *files], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_elasticsearch_reads_our_policies() -> None:
    assert POLICIES
    assert verdicts(POLICIES) == ["ok"] * len(POLICIES)


def test_what_elasticsearch_would_refuse_is_found(tmp_path: Path) -> None:
    def changed(name: str, **phases: Any) -> Path:
        policy = json.loads(POLICIES[0].read_text())
        policy["policy"]["phases"] |= phases
        (tmp_path / name).write_text(json.dumps(policy))
        return tmp_path / name

    found = verdicts(
        [
            changed("unknown-action.json", delete={"min_age": "30d", "actions": {"remove": {}}}),
            changed("unknown-phase.json", gone={"min_age": "30d", "actions": {}}),
            changed(
                "action-of-another-phase.json", delete={"min_age": "30d", "actions": {"set_priority": {"priority": 1}}}
            ),
            changed("bad-age.json", delete={"min_age": "thirty", "actions": {"delete": {}}}),
        ]
    )
    assert ["remove" in found[0], "gone" in found[1], "set_priority" in found[2], "thirty" in found[3]] == [True] * 4
