"""A log record becomes one line: ECS JSON for machines, the flat JSON form, or coloured text for a terminal.

``EcsFormatter`` takes the arguments of ecs-logging's ``StdlibFormatter``, so replacing the import migrates.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from python_shipper.contract import contract
from python_shipper.core import Event, counts, tracing
from python_shipper.core.clock import iso
from python_shipper.core.context import Bound, variable
from python_shipper.core.masking import Masker, default_masker
from python_shipper.core.place import Placer, merged
from python_shipper.core.plain import plain, safe_text, well_formed
from python_shipper.core.records import error_of, fields_of, message_of
from python_shipper.core.ulid import new_ulid
from python_shipper.settings import Settings

VERSION = contract().ecs_version
MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1000))
NEWLINE = orjson.OPT_APPEND_NEWLINE
MAX_LOGGERS = 4096
LEVELS = {name: name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
OPENTELEMETRY = "opentelemetry.trace"


class EcsFormatter(logging.Formatter):
    """ECS JSON by the field contract, masked; one line a record whatever the record holds."""

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool | None = None,
        stack_trace_limit: int | None = None,
        extra: Mapping[str, Any] | None = None,
        exclude_fields: Sequence[str] = (),
        ensure_ascii: bool = False,
        *,
        service: str | None = None,
        version: str | None = None,
        environment: str | None = None,
        origin: bool = False,
        masker: Masker | None = None,
    ) -> None:
        """Take what every line carries and what none does.

        Args:
            fmt: unused, as in ecs-logging; so are ``datefmt``, ``style`` and ``validate``.
            datefmt: see ``fmt``.
            style: see ``fmt``.
            validate: see ``fmt``.
            stack_trace_limit: frames of a stack trace at the most; 0 leaves it out, None keeps all.
            extra: fields of every line.
            exclude_fields: dotted fields, or prefixes of fields, that no line carries.
            ensure_ascii: escape everything outside ASCII.
            service: ``service.name``; without it the setting SERVICE_NAME.
            version: ``service.version``; without it SERVICE_VERSION.
            environment: ``service.environment``; without it APP_ENV.
            origin: add file, line and function of the logging call.
            masker: what masks; without it the shipped rules.

        Raises:
            TypeError: ``stack_trace_limit`` or ``exclude_fields`` has a wrong type.
            ValueError: ``stack_trace_limit`` is negative.
        """
        super().__init__(datefmt=datefmt)
        self.stack_trace_limit = checked_limit(stack_trace_limit)
        self.ensure_ascii = ensure_ascii
        self._excluded = checked_fields(exclude_fields)
        self._direct = not self._excluded and not ensure_ascii
        self.origin = origin
        self.masker = masker or default_masker()
        self._clean = self.masker.clean
        self._placer = Placer(self.masker)
        settings = Settings.from_environment()
        self.service = well_formed(service or settings.service_name)
        named = {
            "name": self.service,
            "version": version or settings.service_version,
            "environment": environment or settings.app_env,
        }
        self._constant: Event = {"service": {key: value for key, value in named.items() if value}}
        if extra:
            self._constant = merged(self._constant, self._placer.place(extra))
        self._overridden = type(self).format_to_ecs is not EcsFormatter.format_to_ecs
        self._loggers: dict[str, Event] = {}
        self._second: tuple[int, str] = (-1, "")  # newest second in ms, and its text

    def format(self, record: logging.LogRecord) -> str:
        """The line as text, without a newline."""
        return self.encode(record)[:-1].decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        """The line as UTF-8 bytes with its newline; never raises."""
        try:
            return self.dump(self.format_to_ecs(record) if self._overridden else self._event_of(record))
        except Exception as error:
            return self._reduced(record, error)

    def format_to_ecs(self, record: logging.LogRecord) -> Event:
        """The record as an ECS event, masked; it is the caller's own, so subclasses may add and remove fields."""
        return copied(self._event_of(record))

    def _event_of(self, record: logging.LogRecord) -> Event:
        fields = fields_of(record)
        if record.exc_info or record.exc_text or record.stack_info:
            fields = {**error_of(record, self.stack_trace_limit), **fields}
        if self.origin:
            fields |= {"log.origin.file.name": record.filename, "log.origin.file.line": record.lineno}
            fields["log.origin.function"] = record.funcName
        # A float holds a time of today to a quarter of a microsecond; the addend undoes its rounding down.
        moment = int(record.created * 1000 + 0.0005)
        level = LEVELS.get(record.levelname) or record.levelname.lower()
        event = self.event(moment, level, record.name, message_of(record), fields)
        return without(event, self._excluded) if self._excluded else event

    def event(self, moment: int, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> Event:
        """The event of ``moment`` (milliseconds since 1970), with the bound fields and, over them, ``fields``."""
        ms = moment % 1000
        second, stamp = self._second
        if moment - ms != second:
            second, stamp = self._second = moment - ms, iso(moment)[:19]
        bound = variable.get()
        owner, below, has_trace = bound.cache
        if owner is not self:
            below, has_trace = self._below(bound)
        above = self._placer.place(fields, new_ulid(moment))
        if OPENTELEMETRY in sys.modules or not has_trace:
            ids = tracing.fields(bound.fields)
            above = merged(self._placer.place(ids), above) if ids else above
        named = self._loggers.get(logger) or self._named(logger)
        event: Event = {
            "@timestamp": stamp + MILLISECONDS[ms],
            "log.level": level,
            "message": message if message in self._clean else self.masker.text(message),
            "ecs.version": VERSION,
        }
        event |= below
        event["log"] = named
        event |= above
        if len(event) == 5 + len(below) + len(above):
            return event
        # Two parts have an object in common, which neither may change: it is shared by other lines.
        event.update(merged(merged(below, {"log": named}), above))
        return event

    def encode_event(self, moment: int, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> bytes:
        """The line of ``event`` without a record; never raises."""
        try:
            event = self.event(moment, level, logger, message, fields)
            return orjson.dumps(event, option=NEWLINE) if self._direct else self.dump(without(event, self._excluded))
        except orjson.JSONEncodeError:
            return self.dump(event)
        except Exception as error:
            record = logging.LogRecord(logger, 0, "", 0, message, (), None)
            record.levelname = level
            return self._reduced(record, error)

    def dump(self, event: Event) -> bytes:
        """The event as one line of JSON with its newline."""
        try:
            line = orjson.dumps(event, option=NEWLINE)
        except TypeError:
            line = orjson.dumps(well_formed(plain(event, -4)), option=NEWLINE)
        if self.ensure_ascii and not line.isascii():
            return json.dumps(orjson.loads(line), separators=(",", ":")).encode() + b"\n"
        return line

    def _below(self, bound: Bound) -> tuple[Event, bool]:
        """The constant and the bound fields in their place, and whether they hold a trace id; kept with the context."""
        placed = merged(self._constant, self._placer.place(bound.fields))
        bound.cache = (self, placed, "id" in placed.get("trace", {}))
        return placed, bound.cache[2]

    def _named(self, logger: str) -> Event:
        if len(self._loggers) >= MAX_LOGGERS:
            self._loggers.clear()
        self._loggers[logger] = named = {"logger": safe_text(logger)}
        return named

    def _reduced(self, record: logging.LogRecord, error: Exception) -> bytes:
        """What is left where formatting failed: time of now, level, and the text of the message."""
        counts.reduced(f"{type(error).__name__}: {safe_text(error)}")
        now = time.time_ns() // 1_000_000
        level = safe_text(getattr(record, "levelname", "error")).lower()
        text = safe_text(getattr(record, "msg", ""))
        event = self.event(now, level, safe_text(record.name), text, {})
        event["christmas"] = {
            "extra": {"formatting_error": self.masker.text(f"{type(error).__name__}: {safe_text(error)}")}
        }
        return self.dump(event)


def copied(event: Event) -> Event:
    """A copy that shares no object with other lines."""
    return {key: copied(value) if type(value) is dict else value for key, value in event.items()}


def without(event: Event, excluded: frozenset[str], path: str = "") -> Event:
    """The event without the excluded fields and prefixes; objects that this empties vanish."""
    kept: Event = {}
    for key, value in event.items():
        here = f"{path}.{key}" if path else key
        if any(here == one or here.startswith(one + ".") for one in excluded):
            continue
        inner = without(value, excluded, here) if type(value) is dict else value
        if inner != {}:
            kept[key] = inner
    return kept


def checked_limit(limit: Any) -> int | None:
    """The number of frames, or None."""
    if limit is not None and not isinstance(limit, int):
        raise TypeError("'stack_trace_limit' must be None, or a non-negative integer")
    if limit is not None and limit < 0:
        raise ValueError("'stack_trace_limit' must be None, or a non-negative integer")
    return limit


def checked_fields(fields: Any) -> frozenset[str]:
    """The excluded fields as a set."""
    if isinstance(fields, str) or not isinstance(fields, Sequence) or not all(isinstance(f, str) for f in fields):
        raise TypeError("'exclude_fields' must be a sequence of strings")
    return frozenset(fields)
