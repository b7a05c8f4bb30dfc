"""One clock for every decision about time, so that a test or a golden case can stand at a chosen moment.

``SHIPPER_NOW`` (ISO 8601) replaces the clock. Emission does not ask it: a log record carries its own time.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import lru_cache

from python_shipper.errors import ConfigurationError


def now_ms() -> int:
    """Milliseconds since 1970-01-01 UTC, by ``SHIPPER_NOW`` where it is set.

    Raises:
        ConfigurationError: ``SHIPPER_NOW`` is not an ISO 8601 time.
    """
    fixed = os.environ.get("SHIPPER_NOW")
    return parsed_ms(fixed) if fixed else time.time_ns() // 1_000_000


@lru_cache(maxsize=8)
def parsed_ms(text: str) -> int:
    """The milliseconds since 1970 of an ISO 8601 time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"SHIPPER_NOW: expected an ISO 8601 time such as 2026-01-02T03:04:05Z, got {text[:80]!r}"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def iso(ms: int) -> str:
    """``ms`` as `YYYY-MM-DDTHH:MM:SS.mmmZ`, the form of every date in a stored document."""
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
