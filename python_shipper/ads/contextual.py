"""A logger with fields of its own and fields of a block of code, which no other task or thread ever sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from python_shipper.ads.structured import FieldLogger, Fields
from python_shipper.core.context import bound, current


class ContextualLogger(FieldLogger):
    """A logger of :class:`~python_shipper.ads.logging_system.AdLoggingSystem`.

    A line has the logger's default fields, over them those of the open contexts, over them those of the call.
    """

    __slots__ = ("_defaults",)

    def __init__(self, /, name: str, **default_fields: Any) -> None:
        """Take a name as for ``logging.getLogger`` and the fields of every line that nothing else gives."""
        super().__init__(name)
        self._defaults = default_fields

    @asynccontextmanager
    async def context(self, /, **fields: Any) -> AsyncIterator[None]:
        """Fields for an ``async with`` block, of this task and of those it starts; blocks nest.

        Other loggers' lines within the block carry them too, as with :func:`python_shipper.bound`.
        """
        with bound(**fields):
            yield

    def _own(self) -> Fields:
        above = current()
        return {name: value for name, value in self._defaults.items() if name not in above}
