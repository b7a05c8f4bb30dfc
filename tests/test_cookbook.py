"""Every block of the cookbook runs as it stands, in five lines, and writes lines that pass the specification."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import python_shipper
from tests.spec.validator import checked

PAGE = Path(__file__).parent.parent / "docs" / "cookbook.md"
SECTIONS = {
    name: re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, text in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
}
LINES = 5
# Set-up that a service has anyway, and an event that something else would bring.
NOT_COUNTED = re.compile(
    r"^(?:from |import |#|AdSystemLogger\.setup_logging\(|python_shipper\.configure\(|system = |system\.put_event\(|$)"
)
blocks = [pytest.param(code, id=f"{name}-{n}") for name, codes in SECTIONS.items() for n, code in enumerate(codes)]


def test_every_public_class_has_a_section_with_code() -> None:
    classes = [name for name in python_shipper.__all__ if name[0].isupper()]
    assert [name for name in classes if not SECTIONS.get(name)] == []


@pytest.mark.parametrize("code", blocks)
def test_a_block_has_five_lines_at_the_most(code: str) -> None:
    assert len([line for line in code.splitlines() if not NOT_COUNTED.match(line)]) <= LINES


@pytest.mark.parametrize("code", blocks)
def test_a_block_runs_and_its_lines_are_whole(code: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line for file in tmp_path.glob("logs/*.ecs.log") for line in file.read_bytes().splitlines(keepends=True)]
    assert len([checked(line) for line in lines]) > 1
