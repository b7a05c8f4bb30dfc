"""The report in its three forms and two languages; what logs say stays text."""

from __future__ import annotations

import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from python_shipper import AdLogAnalyzer
from python_shipper.analyzers.batch_report import REPORTS, width
from python_shipper.analyzers.batch_words import words
from python_shipper.errors import ConfigurationError
from tests.analyzers.test_batch_files import day

HOSTILE = "</code><script>alert(1)</script>\\u001b[31m\\u202eevil\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def results(tmp_path: Path) -> dict[str, Any]:
    hostile = '{"@timestamp":"2026-11-22T12:00:00Z","log.level":"error","service":{"name":"%s"},"error":{"type":"%s",'
    hostile += '"message":"%s"},"event":{"action":"%s","duration":9000000000},"trace":{"id":"%s"}}'
    name = HOSTILE.replace('"', '\\"')
    lines = [*day(200), (hostile % ((name,) * 5)).encode(), f"bad {HOSTILE}".encode()]
    (tmp_path / "app.log").write_bytes(b"\n".join(lines))
    return AdLogAnalyzer(tmp_path / "app.log").analyze_logs("2026-11-01T00:00:00Z")


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_is_one_file_in_which_logs_are_only_text(results: dict[str, Any], language: str) -> None:
    page = AdLogAnalyzer("x").generate_report(results, "html", language)  # type: ignore[arg-type]
    found = Tags(page)
    assert found.open == []
    assert found.tags.isdisjoint({"script", "img", "link", "iframe", "object", "base", "form", "a"})
    assert not [name for name in found.attributes if name.startswith("on") or name in ("src", "href", "srcset")]
    assert "alert(1)" in page and "\u202e" not in page and "\x1b" not in page
    assert "http-equiv" in page and "default-src 'none'" in page and f'<html lang="{language}">' in page
    assert words(language)["title"] in page


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_text_has_what_the_page_has_and_nothing_for_a_terminal_to_obey(
    results: dict[str, Any], language: str
) -> None:
    text = AdLogAnalyzer("x").generate_report(results, "text", language)  # type: ignore[arg-type]
    assert all(character.isprintable() or character == "\n" for character in text)
    page = REPORTS["html"](results, language)
    for title in re.findall("<h2>([^<]*)</h2>", page):
        if title not in (words(language)["timeline"], words(language)["funnel"]):
            assert title in text, title
    assert "E0" in text and "op4" in text and "c2" in text


def test_json_is_the_results(results: dict[str, Any]) -> None:
    assert json.loads(AdLogAnalyzer("x").generate_report(results, "json")) == json.loads(json.dumps(results))


def test_both_languages_have_the_same_words() -> None:
    english, korean = words("en"), words("ko")
    assert set(english) == set(korean)
    holes = {key: {name for _, name, _, _ in string.Formatter().parse(english[key]) if name} for key in english}
    assert holes == {key: {name for _, name, _, _ in string.Formatter().parse(korean[key]) if name} for key in korean}


def test_columns_stand_below_each_other_in_korean_too(results: dict[str, Any]) -> None:
    text = REPORTS["text"](results, "ko")
    title = words("ko")["levels"]
    table = text[text.index(f"\n{title}\n") + 1 :].split("\n\n")[0].splitlines()[2:]
    numbers = [width(line[: line.rindex(line.split()[1]) + len(line.split()[1])]) for line in table[1:]]
    assert len(set(numbers)) == 1


@pytest.mark.parametrize(("form", "language"), [("pdf", "en"), ("html", "fr")])
def test_a_form_or_language_that_there_is_not(results: dict[str, Any], form: Any, language: Any) -> None:
    with pytest.raises(ConfigurationError):
        AdLogAnalyzer("x").generate_report(results, form, language)


def test_nothing_to_tell(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("\n")
    results = AdLogAnalyzer(tmp_path).analyze_logs()
    for form in REPORTS:
        for language in ("en", "ko"):
            assert REPORTS[form](results, language)
    assert words("en")["no_lines"] in REPORTS["text"](results, "en")
