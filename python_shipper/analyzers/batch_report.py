"""The report for people: the same sections as text for a terminal and as one HTML file, and the results as JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from python_shipper.analyzers.batch_html import page
from python_shipper.analyzers.batch_sections import Section, headline, sections
from python_shipper.analyzers.batch_words import words

WIDEST = 60  # columns of one cell in text


def text_report(results: Mapping[str, Any], language: str) -> str:
    """The report as plain text."""
    said = words(language)
    title, figures = headline(results, said)
    lines = [said["title"], title, ""]
    lines += grid([(figure.name, figure.value, figure.help) for figure in figures], (False, True))
    for section in sections(results, said):
        lines += ["", section.title, *text_section(section)]
    return "\n".join(lines) + "\n"


def text_section(section: Section) -> Iterable[str]:
    """A section's table and notes, below its title."""
    yield "-" * width(section.title)
    if section.rows:
        yield from grid([section.headings, *section.rows], section.numeric)
    yield from section.notes


def grid(rows: Sequence[Sequence[str]], numeric: Sequence[bool] = ()) -> list[str]:
    """Rows as aligned columns; Korean letters take two."""
    cells = [[shortened(cell) for cell in row] for row in rows]
    widths = [max(width(row[n]) for row in cells) for n in range(len(cells[0]))]
    right = [*numeric, *[False] * (len(widths) - len(numeric))]
    return ["  ".join(padded(cell, widths[n], right[n]) for n, cell in enumerate(row)).rstrip() for row in cells]


def shortened(cell: str) -> str:
    """A cell on one line, without what a terminal would obey, and not too wide."""
    cell = "".join(c if c.isprintable() else " " for c in cell)
    return cell if len(cell) <= WIDEST else cell[: WIDEST - 1] + "…"


def padded(cell: str, columns: int, right: bool) -> str:
    """A cell as wide as its column."""
    space = " " * (columns - width(cell))
    return space + cell if right else cell + space


def width(text: str) -> int:
    """The columns that a text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def json_report(results: Mapping[str, Any], language: str) -> str:
    """The results as indented JSON; keys are the same in every language."""
    words(language)
    return orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def html_report(results: Mapping[str, Any], language: str) -> str:
    """The report as one HTML file that needs nothing else."""
    said = words(language)
    return page(results, said, language)


REPORTS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "text": text_report,
    "json": json_report,
    "html": html_report,
}
