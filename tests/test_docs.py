"""The READMEs are held to the code: settings, commands, make targets, links and sample code, in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import orjson
import pytest

from python_shipper.settings import Settings

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
both = pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)


def make_targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def commands() -> list[str]:
    import click
    import typer.main

    from python_shipper.cli import app

    def walk(command: click.Command, name: str) -> list[str]:
        children = getattr(command, "commands", None)
        if not children:
            return [name]
        return [found for child in children.values() for found in walk(child, f"{name} {child.name}")]

    return walk(typer.main.get_command(app), "shipper")


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def without_comments(code: str) -> str:
    return re.sub(r"\s+#.*$", "", code, flags=re.MULTILINE)


def default_cell(default: object) -> str:
    return "–" if default in (None, "") else f"`{str(default).lower() if isinstance(default, bool) else default}`"


@both
def test_every_setting_is_in_the_table_with_its_default(readme: Path) -> None:
    rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", readme.read_text(), re.MULTILINE))
    assert rows == {f.name.upper(): default_cell(f.default) for f in fields(Settings)}


def test_the_table_says_what_the_code_says() -> None:
    text = READMES[0].read_text()
    assert [f.name for f in fields(Settings) if f.metadata["doc"] not in text] == []


@both
def test_every_command_and_make_target_is_named(readme: Path) -> None:
    text = readme.read_text()
    named = [*commands(), *(f"make {target}" for target in make_targets())]
    assert [name for name in named if f"`{name}" not in text] == []


@both
def test_no_command_or_make_target_is_invented(readme: Path) -> None:
    text = readme.read_text()
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) - set(make_targets()) == set()
    known = {command.split()[1] for command in commands()}
    assert set(re.findall(r"`shipper ([a-z-]+)", text)) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_korean_page_follows_the_english_one() -> None:
    english, korean = (page.read_text() for page in READMES)
    assert [h.count("#") for h in re.findall(r"^#+ ", korean, re.MULTILINE)] == [
        h.count("#") for h in re.findall(r"^#+ ", english, re.MULTILINE)
    ]
    for language in ("sh", "python"):
        blocks = [[without_comments(code) for code in code_blocks(page, language)] for page in READMES]
        assert blocks[0] == blocks[1]


def test_the_drop_in_code_runs_and_writes_what_it_says(tmp_path: Path) -> None:
    (sample,) = [code for code in code_blocks(READMES[0], "python") if "configure(" in code and "bound(" in code]
    subprocess.run([sys.executable, "-c", sample], check=True, cwd=tmp_path, timeout=60)
    lines = [orjson.loads(line) for line in (tmp_path / "logs" / "orders.ecs.log").read_bytes().splitlines()]
    executed = next(line for line in lines if line["message"] == "order executed")
    failed = next(line for line in lines if line["log.level"] == "error")
    assert executed["trace"]["id"] == failed["trace"]["id"] == "abc123"
    assert executed["christmas"]["order"]["id"] == "o1"
    assert executed["event"]["duration"] == 12_000_000
    assert failed["error"]["type"] == "ZeroDivisionError"
