"""The flat JSON form with the nine keys of the field contract, for consumers that want it; on python-json-logger.

What the nine keys do not hold follows under short names, or under its dotted ECS path.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from python_shipper.contract import contract
from python_shipper.core import Event
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.normalize import EXTRA

KEYS = ("timestamp", "level", "service", "module", "message", "trace_id", "user_id", "order_id", "duration")
NANOSECONDS = 1_000_000_000
LEFT_OUT = ("ecs.version", "event.id", "log.logger", "event.module", "event.duration")


class FlatFormatter(BaseJsonFormatter):
    """One flat JSON object a record, masked; the same fields as the ECS form under the short names."""

    def __init__(self, service: str | None = None, **ecs_arguments: Any) -> None:
        """Take what :class:`~python_shipper.core.formatters.EcsFormatter` takes as keywords."""
        super().__init__()
        self._ecs = EcsFormatter(service=service, **ecs_arguments)
        names = {short.field: name for name, short in reversed(contract().short_names.items())}
        self._names = {path: name for path, name in names.items() if contract().short_names[name].scale == 1}

    def format(self, record: logging.LogRecord) -> str:
        """The line as text, without a newline; never raises."""
        try:
            return self.jsonify_log_record(self.flat(self._ecs.format_to_ecs(record)))
        except Exception:
            return self._ecs.format(record)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """python-json-logger's last step, by orjson."""
        return self._ecs.dump(log_data)[:-1].decode()

    def flat(self, event: Event) -> dict[str, Any]:
        """The flat form of an ECS event: nine keys first (null where there is no value), then the others."""
        fields = dict(leaves(event))
        line = dict.fromkeys(KEYS)
        line |= {self._names.get(path, path): value for path, value in fields.items() if path not in LEFT_OUT}
        line["level"] = event["log.level"].upper()
        line["module"] = fields.get("event.module", fields.get("log.logger"))
        duration = fields.get("event.duration")
        line["duration"] = duration / NANOSECONDS if duration is not None else None
        return line | {
            key: value for key, value in event.get("christmas", {}).get("extra", {}).items() if key not in line
        }


def leaves(event: Event, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of the fields of an event, without ``christmas.extra``."""
    for key, value in event.items():
        here = f"{path}.{key}" if path else key
        if here == EXTRA:
            continue
        if isinstance(value, dict):
            yield from leaves(value, here)
        else:
            yield here, value
