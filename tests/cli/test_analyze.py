"""`shipper analyze`: files or the store, three forms, and wrong input in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analyzers.test_batch_files import day
from tests.cli.conftest import Shipper


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_bytes(b"\n".join(day(200)))
    return path


def test_a_text_report_of_files(shipper: Shipper, log: Path) -> None:
    said = shipper("analyze", str(log))
    assert (said.code, said.err) == (0, "")
    assert "Log analysis" in said.out and "E0" in said.out


def test_the_store(shipper: Shipper) -> None:
    said = shipper("analyze", "--store", "--from", "1h", "--format", "json")
    found = json.loads(said.out)
    assert (said.code, found["input"]["source"], found["summary"]["total_errors"]) == (0, "store", 3)


def test_into_a_file_by_its_name(shipper: Shipper, log: Path, tmp_path: Path) -> None:
    said = shipper("analyze", str(log), "-o", str(tmp_path / "r.html"), "--lang", "ko")
    assert (said.code, said.out) == (0, "")
    assert (tmp_path / "r.html").read_text().startswith('<!DOCTYPE html>\n<html lang="ko">')


def test_check_is_for_scripts(shipper: Shipper, log: Path) -> None:
    assert shipper("analyze", str(log), "--check").code == 1
    assert shipper("analyze", str(log), "--check", "--max-error-rate", "1").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name log files or folders, or --store"),
        (("LOG", "--store"), "name log files or folders, or --store"),
        (("none.log",), "none.log: no such file or folder"),
        (("LOG", "--format", "pdf"), "--format: expected text, json, html, got 'pdf'"),
        (("LOG", "--lang", "fr"), "fr"),
        (("LOG", "--from", "soon"), "--from: expected a span such as 15m"),
        (("LOG", "--from", "1h", "--to", "2h"), "is not before its end"),
        (("LOG", "--timezone", "Moon"), "timezone: expected a name"),
        (("LOG", "--memory", "x"), "memory: expected a size"),
        (("LOG", "-o", "none/r.html"), "does not exist; make it"),
    ],
)
def test_wrong_input_is_one_line(shipper: Shipper, log: Path, arguments: tuple[str, ...], words: str) -> None:
    said = shipper("analyze", *(str(log) if each == "LOG" else each for each in arguments))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.err
    assert words in said.err
