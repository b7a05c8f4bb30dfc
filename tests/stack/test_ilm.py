"""Our ILM policies by the parser and validation of Elasticsearch itself; no test distribution has the ILM module."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
