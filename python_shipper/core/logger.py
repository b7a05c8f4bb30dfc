"""A logger whose methods take fields as keywords, and which skips the stock machinery where nothing else listens.

It shares names, levels and handlers with ``logging``. Where every handler that would get the record is ours and plain,
the line is made straight from the arguments; where anything else listens (caplog, Sentry, a filter, a console), a
stock ``LogRecord`` goes through the stock way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.plain import safe_text
from python_shipper.core.queue import QueuedFilesHandler
from python_shipper.core.records import exc_info, make_record

LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
OPTIONS = frozenset({"exc_info", "extra", "stack_info", "stacklevel"})  # stock logging's, not fields
_QUICK_HANDLERS = (FilesHandler, QueuedFilesHandler)
_CALL_HANDLERS = logging.Logger.callHandlers
# Sentry and others replace callHandlers to see every record; then every record must be one.
_STOCK = _CALL_HANDLERS.__code__.co_filename == logging.Logger.handle.__code__.co_filename
_FRAMES = 3  # from _log_record up to the caller: itself, write, and the method of the level


class LevelLogger(Protocol):
    """What collectors and the ad system's loggers need of a logger; :class:`Logger` is one."""

    def is_enabled_for(self, level: int) -> bool:
        """Whether a record of ``level`` would be written."""

    def log(self, level: int, message: object, /, **fields: Any) -> None:
        """Write a record of ``level`` with ``fields``."""


class Logger:
    """A named logger with fields of its own; make one with :func:`get_logger`."""

    __slots__ = ("_fields", "_stock", "name")

    def __init__(self, name: str | None, fields: dict[str, Any]) -> None:
        self._stock = logging.getLogger(name)
        self.name = self._stock.name
        self._fields = fields

    def bind(self, /, **fields: Any) -> Logger:
        """A logger of the same name with ``fields`` added to this one's."""
        return Logger(self.name, {**self._fields, **fields})

    def is_enabled_for(self, level: int) -> bool:
        """Whether a record of ``level`` would be written."""
        return self._stock.isEnabledFor(level)

    def debug(self, message: object, /, *args: Any, **fields: Any) -> None:
        """What only someone looking for a fault wants to read."""
        if self._stock.isEnabledFor(10):
            self.write(10, message, args, fields)

    def info(self, message: object, /, *args: Any, **fields: Any) -> None:
        """Something happened as it should."""
        if self._stock.isEnabledFor(20):
            self.write(20, message, args, fields)

    def warning(self, message: object, /, *args: Any, **fields: Any) -> None:
        """Something went wrong and was dealt with: a retry, a fallback, a limit that comes near."""
        if self._stock.isEnabledFor(30):
            self.write(30, message, args, fields)

    def error(self, message: object, /, *args: Any, **fields: Any) -> None:
        """An operation failed; someone should look at it."""
        if self._stock.isEnabledFor(40):
            self.write(40, message, args, fields)

    def exception(self, message: object, /, *args: Any, **fields: Any) -> None:
        """As ``error``, with the exception being handled."""
        if self._stock.isEnabledFor(40):
            fields.setdefault("exc_info", True)
            self.write(40, message, args, fields)

    def critical(self, message: object, /, *args: Any, **fields: Any) -> None:
        """The service cannot go on; someone must look now."""
        if self._stock.isEnabledFor(50):
            self.write(50, message, args, fields)

    def log(self, level: int, message: object, /, *args: Any, **fields: Any) -> None:
        """A record of a level of your own."""
        if self._stock.isEnabledFor(level):
            self.write(level, message, args, fields)

    def write(self, level: int, message: object, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        """Write a record whatever the level; the method that calls this one must be what the application called."""
        if self._fields:
            fields = {**self._fields, **fields}
        handlers = self._quick_handlers(level) if OPTIONS.isdisjoint(fields) else None
        if handlers is None:
            self._log_record(level, message, args, fields)
            return
        text = message if type(message) is str and not args else text_of(message, args)
        moment, name = time.time_ns() // 1_000_000, LEVELS.get(level) or logging.getLevelName(level).lower()
        for handler, encoder in handlers:
            handler.write(encoder.encode_event(moment, name, self.name, text, fields), level)

    def _quick_handlers(self, level: int) -> list[tuple[FilesHandler, EcsFormatter]] | None:
        """The handlers of a record of ``level`` if all are ours and plain, else None."""
        if logging.Logger.callHandlers is not _CALL_HANDLERS or not _STOCK or self._stock.filters:
            return None
        found: list[tuple[FilesHandler, EcsFormatter]] = []
        logger: logging.Logger | None = self._stock
        while logger is not None:
            for handler in logger.handlers:
                if type(handler) not in _QUICK_HANDLERS:
                    return None
                encoder = handler.encoder  # type: ignore[attr-defined]
                if encoder is None or handler.formatter is not encoder or handler.filters:
                    return None
                if level >= handler.level:
                    found.append((handler, encoder))  # type: ignore[arg-type]
            logger = logger.parent if logger.propagate else None
        return found or None

    def _log_record(self, level: int, message: object, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        """The stock way, with a record for whoever listens."""
        options = {name: fields[name] for name in OPTIONS if name in fields}
        fields = {name: value for name, value in fields.items() if name not in OPTIONS}
        given = options.get("extra")
        extra = {**given, **fields} if isinstance(given, Mapping) else {"extra": given, **fields} if given else fields
        stacklevel = options.get("stacklevel")
        stacklevel = stacklevel if isinstance(stacklevel, int) else 1
        file, line, function, stack = self._stock.findCaller(bool(options.get("stack_info")), stacklevel + _FRAMES)
        error = exc_info(options.get("exc_info"))
        record = make_record(self._stock, self.name, level, file, line, message, args, error, function, extra, stack)
        self._stock.handle(record)


def text_of(message: object, args: tuple[Any, ...]) -> str:
    """The message with its arguments; where they do not fit together, both as they are."""
    try:
        # As logging has it: one mapping as the only argument is for "%(name)s".
        given = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        return str(message) % given if args else str(message)
    except Exception:
        return f"{safe_text(message)} {safe_text(args)}" if args else safe_text(message)


def get_logger(name: str | None = None, /, **fields: Any) -> Logger:
    """A logger that takes fields as keywords: ``log.info("order executed", order_id="o1", duration=0.012)``.

    Args:
        name: as for ``logging.getLogger``; usually ``__name__``.
        fields: fields of every line of this logger.
    """
    return Logger(name, fields)


LoggerLike = str | logging.Logger | logging.LoggerAdapter[Any] | LevelLogger


def as_logger(given: LoggerLike) -> LevelLogger:
    """The logger that ``given`` names or is; a stock logger and a stock adapter become one of ours."""
    if isinstance(given, str):
        return Logger(given, {})
    if isinstance(given, logging.LoggerAdapter):
        return Logger(given.logger.name, dict(given.extra or {}))
    return Logger(given.name, {}) if isinstance(given, logging.Logger) else given
