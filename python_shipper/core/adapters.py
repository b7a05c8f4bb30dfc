"""Bound fields in the two forms that stock logging knows, for code that wants them: an adapter and a filter."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

from python_shipper.core import context
from python_shipper.core.records import NOT_FIELDS


class FieldsAdapter(logging.LoggerAdapter[logging.Logger]):
    """A logger with fields of its own; those of a call come on top (the stock adapter throws the call's away)."""

    def __init__(self, logger: logging.Logger, **fields: Any) -> None:
        """Wrap ``logger``; every record gets ``fields``."""
        super().__init__(logger, fields)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge this adapter's fields and the call's ``extra``."""
        given = kwargs.get("extra")
        kwargs["extra"] = {**(self.extra or {}), **(given if isinstance(given, Mapping) else {})}
        return msg, kwargs


class ContextFilter(logging.Filter):
    """Lets every record through and puts the bound fields on it, for formatters other than ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set each bound field as an attribute, unless the record has one of that name."""
        for name, value in context.current().items():
            if name not in NOT_FIELDS:
                record.__dict__.setdefault(name, value)
        return True
