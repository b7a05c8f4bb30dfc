"""The report as one HTML file: no script, nothing loaded from anywhere, and everything that logs say is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import python_shipper
from python_shipper.analyzers.batch_sections import Section, headline, sections, when
from python_shipper.units import number

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f9; --panel: #fff; --edge: #dde1e7; --text: #1c2430; --soft: #5c6675;
  --accent: #0b6e69; --bar: #cfe3e1; --error: #c1272d; --warning: #a86200; --zebra: #f9fafb; }
@media (prefers-color-scheme: dark) { :root { --ground: #11151b; --panel: #181d25; --edge: #2b323d; --text: #e3e8ef;
  --soft: #97a3b4; --accent: #4fc4bb; --bar: #1f4b49; --error: #ff7b78; --warning: #f0b04c; --zebra: #1c222b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Noto Sans", "Noto Sans KR", "Noto Sans CJK KR",
  "Apple SD Gothic Neo", "Malgun Gothic", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 17px; margin: 32px 0 10px; }
.period, .note, footer, .help { color: var(--soft); } .note, .help, footer { font-size: 13px; }
.period { margin: 2px 0 18px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 0; }
.figures div { background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; padding: 12px 16px; }
dt { color: var(--soft); font-size: 13px; } dd { margin: 0; }
.value { font-size: 26px; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.bad { color: var(--error); }
.panel { background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 7px 12px; vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 84px; } td.number { overflow-wrap: normal; }
td:first-child { min-width: 110px; max-width: 340px; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; font-size: 13px; border-bottom: 1px solid var(--edge); white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--zebra); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; min-width: 0; }
.share { display: block; height: 4px; width: 100%; margin-top: 3px; fill: var(--accent); }
code { font: 12.5px ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK KR", monospace; }
.severity { font-weight: 600; } .critical, .error { color: var(--error); } .warning { color: var(--warning); }
.chart { padding: 14px 16px 8px; } .chart svg { display: block; width: 100%; height: 190px; }
.records { fill: var(--bar); } .errors { fill: var(--error); } .axis { display: flex; justify-content: space-between; }
.funnel { padding: 12px 16px; display: grid; grid-template-columns: max-content 1fr max-content;
  gap: 6px 14px; align-items: center; }
.funnel svg { display: block; width: 100%; height: 18px; fill: var(--accent); }
.funnel span { font-variant-numeric: tabular-nums; }
@media (max-width: 600px) { main { padding: 16px 12px 32px; } .value { font-size: 22px; }
  .figures { grid-template-columns: repeat(2, 1fr); gap: 8px; } .figures div { padding: 10px 12px; } }
@media print { .panel { overflow: visible; } }
"""
CODE = {"trace", "fingerprint", "message", "text", "file", "evidence"}  # columns in a fixed-width letter
FUNNEL = ("bids", "wins", "impressions", "clicks", "conversions")
STEPS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
SVG = '<svg viewBox="0 0 100 {height}" preserveAspectRatio="none" {more}>{inside}</svg>'
Words = Mapping[str, str]


def page(results: Mapping[str, Any], said: Words, language: str) -> str:
    """The whole document."""
    return "".join(
        (
            f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{text(said['title'])}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
            *body(results, said),
            f"<footer>{text(said['footer'].format(version=python_shipper.__version__))}</footer>\n",
            "</main>\n</body>\n</html>\n",
        )
    )


def body(results: Mapping[str, Any], said: Words) -> Iterator[str]:
    """Head, figures, charts and tables."""
    title, figures = headline(results, said)
    yield f'<h1>{text(said["title"])}</h1>\n<p class="period">{text(title)}</p>\n<dl class="figures">\n'
    bad = any(row["type"] == "high_error_rate" for row in results["anomalies"])
    for figure in figures:
        shown = "value bad" if bad and figure.name == said["error_rate"] else "value"
        yield f'<div><dt>{text(figure.name)}</dt><dd class="{shown}">{text(figure.value)}</dd>'
        yield f'<dd class="help">{text(figure.help)}</dd></div>\n'
    yield "</dl>\n"
    for section in sections(results, said):
        yield from shown_section(section, results, said)
        if section.key == "anomalies" and results["summary"]["total_records"]:
            yield from timeline(results["timeline"], said)
        if section.key == "campaigns":
            yield from funnel(results["campaigns"], said)


def shown_section(section: Section, results: Mapping[str, Any], said: Words) -> Iterator[str]:
    """A section with its table and notes."""
    yield f'<section id="{section.key}">\n<h2>{text(section.title)}</h2>\n'
    if section.rows:
        yield '<div class="panel" tabindex="0"><table>\n<thead><tr>'
        for heading, numeric in zip(section.headings, section.numeric, strict=True):
            yield f'<th scope="col"{" class=number" if numeric else ""}>{text(heading)}</th>'
        yield "</tr></thead>\n<tbody>\n"
        code = {said[key] for key in CODE}
        for place, row in enumerate(section.rows):
            yield "<tr>" + "".join(cells(section, place, row, code, results)) + "</tr>\n"
        yield "</tbody>\n</table></div>\n"
    for note in section.notes:
        yield f'<p class="note">{text(note)}</p>\n'
    yield "</section>\n"


def cells(
    section: Section, place: int, row: Sequence[str], code: set[str], results: Mapping[str, Any]
) -> Iterator[str]:
    """A row's cells; its bar is drawn below the first."""
    for column, cell in enumerate(row):
        inside = f"<code>{text(cell)}</code>" if section.headings[column] in code else text(cell)
        if column == 0 and section.key == "anomalies":
            inside = f'<span class="severity {results["anomalies"][place]["severity"]}">{inside}</span>'
        if column == 0 and section.bars:
            inside += share(section.bars[place], "share")
        yield f"<td{' class=number' if section.numeric[column] else ''}>{inside}</td>"


def share(part: float, kind: str) -> str:
    """A bar as long as a share of its place."""
    bar = f'<rect width="{max(part * 100, 0.5 if part else 0):.2f}" height="4" rx="0.6"/>'
    return SVG.format(height=4, more=f'class="{kind}" aria-hidden="true"', inside=bar)


def timeline(found: Mapping[str, Any], said: Words) -> Iterator[str]:
    """Records and errors over time."""
    bars, step = found["bars"], found["step_seconds"]
    most, wide = max(bar["records"] for bar in bars) or 1, 100 / len(bars)
    drawn = []
    for place, bar in enumerate(bars):
        told = (
            f"{when(bar['at'])} · {said['records']} {number(bar['records'])} · {said['errors']} {number(bar['errors'])}"
        )
        drawn.append(f"<g><title>{text(told)}</title>")
        for name in ("records", "errors"):
            high = bar[name] / most * 100
            box = f'x="{place * wide:.3f}" y="{100 - high:.2f}" width="{wide * 0.86:.3f}" height="{high:.2f}"'
            drawn.append(f'<rect class="{name}" {box}/>' if high else "")
        drawn.append("</g>")
    label = text(said["timeline"])
    yield f'<section id="timeline">\n<h2>{label}</h2>\n<div class="panel chart">'
    yield SVG.format(height=100, more=f'role="img" aria-label="{label}"', inside="".join(drawn))
    begin, end = (text(when(bars[place]["at"])) for place in (0, -1))
    yield f'<div class="axis help"><span>{begin}</span><span>{end}</span></div></div>\n'
    note = text(said["timeline_help"].format(step=spoken(step, said), most=number(most)))
    yield f'<p class="note">{note}</p>\n</section>\n'


def spoken(seconds: float, said: Words) -> str:
    """A step of time in words."""
    unit, name = next((unit, name) for unit, name in STEPS if seconds % unit == 0)
    return said[name].format(count=f"{seconds / unit:.0f}")


def funnel(campaigns: Sequence[Mapping[str, Any]], said: Words) -> Iterator[str]:
    """All campaigns' steps, one bar each."""
    totals = {name: sum(row[name] for row in campaigns) for name in FUNNEL}
    most = max(totals.values()) or 1
    yield f'<section id="funnel">\n<h2>{text(said["funnel"])}</h2>\n<div class="panel funnel">'
    for name, count in totals.items():
        yield f"<span>{text(said[name])}</span>{share(count / most, 'step')}<span>{number(count)}</span>"
    yield "</div>\n</section>\n"


def text(content: str) -> str:
    """Text for HTML: escaped, and without the characters that turn what follows around or that HTML forbids."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in content))
