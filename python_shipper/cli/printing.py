"""How answers look in a terminal; what log lines hold is shown as text, never as colours or terminal commands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from python_shipper.agent.verify import ServiceCounts
from python_shipper.store import IndexInfo
from python_shipper.store.logs import Found, Hit, value
from python_shipper.store.traces import Span, Trace, duration_ms, is_failure, time_ms
from python_shipper.units import milliseconds, size

STYLES = {"critical": "bold white on red", "error": "bold red", "warning": "yellow", "info": "cyan", "debug": "dim"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
BAR = 40
PIPED_WIDTH = 160
MISSING_SHOWN = 20


class Output(Console):
    """Standard output; its reader may leave early."""

    def on_broken_pipe(self) -> None:
        """Let the command line end the process its own way."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough to keep tables whole in a file."""
    return Output(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def visible(content: Any, *, lines: bool = False) -> str:
    """``content`` as text whose control characters are spelled out; line breaks and tabs stay where ``lines``."""
    text = str(content) if lines else str(content).replace("\n", "⏎").replace("\t", " ")
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def json(content: Any) -> None:
    """One JSON value on one line."""
    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")


def hits(found: Sequence[Hit], as_json: bool) -> None:
    """One line a hit: the stored document, or its time, level, service, message and what identifies it."""
    if as_json:
        for hit in found:
            json({"_index": hit["_index"], "_id": hit["_id"], **hit["_source"]})
        return
    out = console()
    for hit in found:
        out.print(line(hit), soft_wrap=True)


def line(hit: Hit) -> Text:
    """A hit on one line."""
    text = Text().append(when(time_ms(hit)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3], style="dim")
    text.append(" ").append(level(hit)).append(" ")
    text.append(visible(service(hit)).ljust(16), style="green").append(" ").append(message(hit))
    return text.append(trailer(hit), style="dim")


def level(hit: Hit) -> Text:
    """A line's level, coloured, in a column."""
    name = str(value(hit["_source"], "log.level") or "")
    return Text(visible(name).upper().ljust(8)[:8], style=STYLES.get(name, ""))


def service(hit: Hit) -> str:
    """A line's service."""
    return str(value(hit["_source"], "service.name") or "unknown")


def message(hit: Hit) -> Text:
    """A line's message, with the error's type and words where it has any."""
    event = hit["_source"]
    text = Text().append(visible(event.get("message") or ""), style="bold" if is_failure(hit) else "")
    if kind := value(event, "error.type"):
        text.append(f"  {visible(kind)}: {visible(value(event, 'error.message') or '')}", style="red")
    return text


def trailer(hit: Hit) -> str:
    """Duration, order and trace id of a line, where it has them."""
    named = (("order", "christmas.order.id"), ("trace", "trace.id"))
    parts = [milliseconds(duration_ms(hit))]
    parts += [f"{name}={visible(found)}" for name, path in named if (found := value(hit["_source"], path))]
    return "".join(f"  {part}" for part in parts if part)


def summary(found: Found, limit: int) -> None:
    """How many lines match, on standard error so that a pipe holds lines only."""
    shown = f", the newest {limit:,} shown; --limit shows more" if found.total > len(found.hits) else ""
    sys.stderr.write(f"{found.total:,} {'line' if found.total == 1 else 'lines'} in {found.took_ms} ms{shown}\n")


def trace(found: Trace) -> None:
    """A whole transaction: a bar a span, then every line indented by its caller, errors in full."""
    out = console()
    errors = len(found.failures)
    counted = f"{len(found.services)} services, {found.total:,} lines, {errors} error{'' if errors == 1 else 's'}"
    began = when(found.start_ms).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    out.print(Text.assemble("Trace ", (visible(found.id), "bold"), f"  {counted}, {milliseconds(found.duration_ms)}"))
    out.print(Text(f"began {began} UTC", style="dim"))
    out.print()
    out.print(timeline(found))
    out.print()
    for span, hit in found.lines:
        out.print(trace_line(found, span, hit), soft_wrap=True)
        if stack := value(hit["_source"], "error.stack_trace"):
            out.print(Text(indented(visible(stack, lines=True), 27 + 2 * span.depth), style="red"), soft_wrap=True)
    if found.total > len(found.lines):
        out.print(f"only the first {len(found.lines):,} lines are shown")


def timeline(found: Trace) -> Table:
    """The spans on the trace's time axis."""
    table = Table.grid(padding=(0, 2))
    for span in found.spans:
        name = Text("  " * span.depth + visible(span.service), style="green")
        style = "red" if span.failed else "cyan"
        table.add_row(name, Text(bar(found, span), style=style), milliseconds(span.duration_ms))
    return table


def bar(found: Trace, span: Span) -> str:
    """A span's bar; at least one block wide."""
    scale = BAR / (found.duration_ms or 1)
    start = min(BAR - 1, int((span.start_ms - found.start_ms) * scale))
    width = max(1, min(BAR - start, round(span.duration_ms * scale)))
    return (" " * start + "█" * width).ljust(BAR)


def trace_line(found: Trace, span: Span, hit: Hit) -> Text:
    """A line within its trace: offset from the start, level, service by depth, message, duration."""
    offset = f"+{milliseconds(time_ms(hit) - found.start_ms) or '0 ms'}".rjust(10)
    text = Text().append(offset, style="dim").append("  ").append(level(hit)).append(" " + "  " * span.depth)
    text.append(visible(span.service), style="green").append("  ").append(message(hit))
    return text.append(f"  {milliseconds(duration_ms(hit))}".rstrip(), style="dim")


def indented(text: str, columns: int) -> str:
    """Every line of ``text`` moved to the right."""
    return "\n".join(" " * columns + each for each in text.rstrip("\n").split("\n"))


def indices(found: Iterable[IndexInfo]) -> None:
    """A table of indices."""
    table(
        "Index", "Documents", "Size", rows=[(each.name, f"{each.documents:,}", size(each.size_bytes)) for each in found]
    )


NARROW = 100  # columns; below it a table's own gaps shrink first
VERIFIED = ("Service", "Written", "Stored", "Dead letters", "Expired", "Repeated", "Rotated away unread", "Difference")


def verified(rows: Iterable[ServiceCounts]) -> None:
    """The account of every line, a service a row, and the ids of those that are missing."""
    rows = list(rows)
    counts = [(r.written, r.stored, r.dead_lettered, r.expired, r.repeated, r.unread, r.difference) for r in rows]
    table(
        *VERIFIED, rows=[(row.service, *(f"{n:,}" for n in numbers)) for row, numbers in zip(rows, counts, strict=True)]
    )
    for row in rows:
        for missing in row.missing[:MISSING_SHOWN]:
            console().print(Text(f"{visible(row.service)}: missing event.id {visible(missing)}", style="red"))
        if len(row.missing) > MISSING_SHOWN:
            console().print(f"{visible(row.service)}: and {len(row.missing) - MISSING_SHOWN:,} more; --json names all")


def table(*headings: str, rows: Iterable[Sequence[Any]]) -> None:
    """A plain table; numbers, which come formatted, to the right of their column."""
    made = Table(box=None, padding=(0, 3 if console().width > NARROW else 1, 0, 0), header_style="dim")
    cells = [[visible(cell) for cell in row] for row in rows]
    for place, heading in enumerate(headings):
        numeric = bool(cells) and all(row[place][:1].isdigit() or not row[place] for row in cells)
        word = max(map(len, heading.split()), default=0)
        made.add_column(heading, justify="right" if numeric else "left", overflow="fold", min_width=word)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    console().print(made)


def when(ms: float) -> datetime:
    """A time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)
