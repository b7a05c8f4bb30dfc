"""File and index names are made of a service's name here and nowhere else, so that no name can leave its folder."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

UNKNOWN = "unknown"
MAX_CHARACTERS = 64
_UNSAFE = re.compile(r"[^a-z0-9_-]")


@lru_cache(maxsize=1024)
def index_part(service: str | None) -> str:
    """The part of index and file names that stands for ``service``: lower case, `[a-z0-9_-]`, at most 64 characters.

    Characters outside that set become `-`, leading `-` and `_` are dropped; nothing left gives `unknown`.
    """
    return _UNSAFE.sub("-", (service or "").lower()).lstrip("-_")[:MAX_CHARACTERS] or UNKNOWN


def day(ms: int) -> str:
    """The UTC day of ``ms`` (milliseconds since 1970) as `yyyy.MM.dd`."""
    return _day(ms // 86_400_000)


@lru_cache(maxsize=512)
def _day(days: int) -> str:
    date = datetime.fromtimestamp(days * 86_400, UTC)
    return f"{date.year:04}.{date.month:02}.{date.day:02}"  # %Y has no leading zeros before the year 1000


def log_index(service: str | None, ms: int) -> str:
    """The index of a log line: `christmas-logs-<service>-<yyyy.MM.dd>`, the UTC day of the event's time ``ms``."""
    return f"christmas-logs-{index_part(service)}-{day(ms)}"
