"""A logger with a context of its own: what a request sets is on that request's lines and on no other's."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from python_shipper.ads.given import exception_in
from python_shipper.core.logger import Logger

Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})
# One variable for all loggers: Python keeps every context variable for as long as a context that knew it.
_contexts: contextvars.ContextVar[Mapping[str, Fields]] = contextvars.ContextVar(
    "python_shipper.structured",
    default=MappingProxyType({}),
)


class FieldLogger:
    """What the ad system's loggers have in common: a method a level, an exception, fields as keywords."""

    __slots__ = ("_logger", "name")

    def __init__(self, /, name: str, **fields: Any) -> None:
        """Take a name as for ``logging.getLogger`` and the fields of every line."""
        self._logger = Logger(name, fields)
        self.name = self._logger.name

    def _own(self) -> Fields:
        """The fields of a line that neither core nor the call knows."""
        return NOTHING

    def is_enabled_for(self, level: int) -> bool:
        """Whether a record of ``level`` would be written."""
        return self._logger.is_enabled_for(level)

    def debug(self, /, message: object, exception: BaseException | None = None, **fields: Any) -> None:
        """What only someone looking for a fault wants to read."""
        if self._logger.is_enabled_for(10):
            self._logger.write(10, message, (), self._all(exception, fields))

    def info(self, /, message: object, exception: BaseException | None = None, **fields: Any) -> None:
        """Something happened as it should."""
        if self._logger.is_enabled_for(20):
            self._logger.write(20, message, (), self._all(exception, fields))

    def warning(self, /, message: object, exception: BaseException | None = None, **fields: Any) -> None:
        """Something went wrong and was dealt with."""
        if self._logger.is_enabled_for(30):
            self._logger.write(30, message, (), self._all(exception, fields))

    def error(self, /, message: object, exception: BaseException | None = None, **fields: Any) -> None:
        """An operation failed; ``exception`` gives the line its type, message and stack trace."""
        if self._logger.is_enabled_for(40):
            self._logger.write(40, message, (), self._all(exception, fields))

    def critical(self, /, message: object, exception: BaseException | None = None, **fields: Any) -> None:
        """The service cannot go on."""
        if self._logger.is_enabled_for(50):
            self._logger.write(50, message, (), self._all(exception, fields))

    def log(self, level: int, message: object, /, exception: BaseException | None = None, **fields: Any) -> None:
        """A record of a level of your own."""
        if self._logger.is_enabled_for(level):
            self._logger.write(level, message, (), self._all(exception, fields))

    def _all(self, exception: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """The logger's own fields and, over them, the call's."""
        return {**self._own(), **fields, **exception_in(exception)}


class StructuredLogger(FieldLogger):
    """A named logger; ``set_context`` is for the task or thread it is called in, and for tasks started from there.

    A thread pool's thread outlives a request: there, ``clear_context`` ends what the request set.
    """

    __slots__ = ()

    def set_context(self, /, **fields: Any) -> None:
        """Add ``fields`` to this logger's following lines in this task or thread, over ones of the same name."""
        held = _contexts.get()
        _contexts.set({**held, self.name: {**held.get(self.name, NOTHING), **fields}})

    def clear_context(self) -> None:
        """Take out all that ``set_context`` gave this logger in this task or thread."""
        _contexts.set({name: fields for name, fields in _contexts.get().items() if name != self.name})

    def _own(self) -> Fields:
        return _contexts.get().get(self.name, NOTHING)
