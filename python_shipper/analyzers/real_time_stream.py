"""Events of the ad system's stream (``{timestamp, type, data, id}``) in the form that the real-time analyser takes.

They are a service of their own, each type an operation of it: what is logged as well is not counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from python_shipper.analyzers.real_time import BAD_LEVELS
from python_shipper.core import Event
from python_shipper.core.masking import default_masker
from python_shipper.core.normalize import nested, normalized

SERVICE = "log_stream"
TAKEN = (  # of `data`
    *("level", "trace_id", "duration", "duration_ms", "error_type", "error_message", "stack_trace"),
    *("log.level", "trace.id", "event.duration", "event.outcome", "error.type", "error.message", "event", "error"),
)


def ecs_of(event: Mapping[str, Any]) -> Event:
    """The event in ECS terms; one with an error and no level is an error, and each has failed or succeeded."""
    data = event.get("data")
    line = {name: data[name] for name in TAKEN if name in data} if isinstance(data, dict) else {}
    line |= {"timestamp": event.get("timestamp"), "service": SERVICE}
    if isinstance(line.get("error"), str):
        line.setdefault("error_message", line.pop("error"))
    fields = normalized(line, default_masker())
    wrong = any(value for path, value in fields.items() if path.startswith("error."))
    fields["event.action"] = str(event.get("type"))
    fields.setdefault("log.level", "error" if wrong else "info")
    fields.setdefault("event.outcome", "failure" if fields["log.level"] in BAD_LEVELS else "success")
    return nested(fields)
