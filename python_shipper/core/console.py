"""A line for a person at a terminal: time, level, logger, message, then the fields that differ from line to line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import orjson

from python_shipper.core import Event
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.plain import safe_text

RESET, DIM, BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
COLOURS = {
    "debug": "\x1b[36m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;41m",
}
SHOWN_APART = ("@timestamp", "log.level", "message", "ecs.version", "service", "log", "event.id", "error.stack_trace")
# What would act on the terminal rather than be read, or would begin a line that looks like a record of its own.
CONTROL = {c: repr(chr(c))[1:-1] for c in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class ConsoleFormatter(EcsFormatter):
    """The ECS event, masked as everywhere, as one coloured line and an indented stack trace."""

    def __init__(self, *, colour: bool | None = None, **arguments: Any) -> None:
        """Take ``colour`` (without it: where standard error is a terminal, NO_COLOR and FORCE_COLOR honoured)."""
        super().__init__(**arguments)
        self._colour = wants_colour(sys.stderr) if colour is None else colour

    def format(self, record: logging.LogRecord) -> str:
        """The line as text; never raises."""
        try:
            return self.text(self.format_to_ecs(record))
        except Exception as error:
            return f"{safe_text(record.msg)} ({type(error).__name__} while formatting)"

    def text(self, event: Event) -> str:
        """The coloured form of an event."""
        level = event["log.level"]
        fields = " ".join(f"{self._paint(DIM, name + '=')}{value}" for name, value in readable(event))
        parts = [
            self._paint(DIM, event["@timestamp"][11:23]),
            self._paint(COLOURS.get(level, BOLD), f"{level.upper():<8}"),
            self._paint(DIM, event["log"]["logger"]),
            safe(event["message"]),
            fields,
        ]
        line = " ".join(part for part in parts if part)
        stack = event.get("error", {}).get("stack_trace")
        if not stack:
            return line
        return "\n".join([line, *(self._paint(COLOURS["error"], safe(row)) for row in stack.split("\n"))])

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._colour else text


def readable(event: Event, path: str = "") -> Iterator[tuple[str, str]]:
    """Name and text of the fields of an event; fields of our own without their prefix."""
    for key, value in event.items():
        here = f"{path}.{key}" if path else key
        if here in SHOWN_APART:
            continue
        if isinstance(value, dict):
            yield from readable(value, here)
        else:
            name = here.removeprefix("christmas.extra.").removeprefix("christmas.")
            text = value if isinstance(value, str) else orjson.dumps(value).decode("utf-8", "replace")
            yield safe(name), safe(text)


def safe(text: str) -> str:
    """Text that cannot act on a terminal: control characters are shown as escapes."""
    return text.translate(CONTROL).encode("utf-8", "backslashreplace").decode()


def wants_colour(stream: TextIO | None) -> bool:
    """Whether to colour: by FORCE_COLOR, NO_COLOR (no-color.org), else where ``stream`` is a terminal."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return not os.environ.get("NO_COLOR") and stream is not None and stream.isatty()


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Standard error in colour; a terminal that is gone is no error."""

    def __init__(self, service: str | None = None) -> None:
        """Write with a ``ConsoleFormatter`` for ``service`` (default: SERVICE_NAME)."""
        super().__init__(sys.stderr)
        self.formatter = ConsoleFormatter(service=service)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Leave it: the files hold the record."""
