"""Business events on the core logger: one kind each, in ECS terms, so that what happened can be counted."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from python_shipper.core.logger import LoggerLike, as_logger
from python_shipper.errors import ConfigurationError

# The values that ECS 9.4.0 allows.
CATEGORIES = frozenset({
    "api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
    "intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session", "threat",
    "vulnerability", "web",
})  # fmt: skip
TYPES = frozenset({
    "access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "device", "end", "error",
    "group", "indicator", "info", "installation", "protocol", "start", "user",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of event: ``event.action``, the line's message, and ECS's category and type."""

    action: str
    message: str
    category: str = "web"
    type: str = "info"
    level: int = logging.INFO
    fields: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the fields of every such event.

        Raises:
            ConfigurationError: category or type is none of ECS's.
        """
        for name, value, allowed in (("category", self.category, CATEGORIES), ("type", self.type, TYPES)):
            if value not in allowed:
                raise ConfigurationError(
                    f"event {self.action}: {name}: expected one of {', '.join(sorted(allowed))}, got {value!r:.80}"
                )
        fixed = {"event.category": [self.category], "event.type": [self.type]}
        object.__setattr__(self, "fields", {"event.kind": "event", "event.action": self.action, **fixed})


class EventCollector:
    """Writes events as lines of a logger; what the logger does not write at its level costs one comparison."""

    def __init__(self, logger: LoggerLike = "python_shipper.events") -> None:
        self.logger = as_logger(logger)

    def collect(self, kind: EventKind, /, **fields: Any) -> None:
        """Write one event of ``kind``; ``fields`` are short names or ECS fields, None stands for no field."""
        if self.logger.is_enabled_for(kind.level):
            self.logger.log(kind.level, kind.message, **kind.fields, **fields)
