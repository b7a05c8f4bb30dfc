"""How long a day is kept: the age in `ilm_policies/`, counted from the day in the index's name, as ILM does here.

A day expires when its first moment is ``delete.min_age`` old; a late event never brings an expired day back, because
the pipeline makes a dead letter of it and :meth:`python_shipper.store.writer.Writer.drop_expired` deletes only by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache

from python_shipper.contract import deployed
from python_shipper.errors import StoreError
from python_shipper.store.days import Day

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
POLICIES = {"logs": "christmas-logs-30d", "dead-letters": "christmas-logs-30d"}  # families that expire


@cache
def age_ms(policy: str) -> int:
    """``delete.min_age`` of a policy in milliseconds.

    Raises:
        StoreError: the policy has no such age.
    """
    phases = json.loads((deployed("ilm_policies") / f"{policy}.json").read_bytes())["policy"]["phases"]
    match = re.fullmatch(r"([0-9]+)(d|h|m|s|ms)", phases.get("delete", {}).get("min_age", ""))
    if match is None:
        raise StoreError(f"ilm_policies/{policy}.json: phases.delete.min_age must be a number and d, h, m, s or ms")
    return int(match[1]) * UNITS_MS[match[2]]


def retention_days() -> int:
    """Whole days that logs are kept."""
    return age_ms(POLICIES["logs"]) // UNITS_MS["d"]


def expired_days(days: Iterable[Day], now_ms: int) -> list[Day]:
    """The days among ``days`` that are past their age at ``now_ms``, oldest first."""
    return sorted(
        day for day in days if day.family in POLICIES and day.start_ms + age_ms(POLICIES[day.family]) <= now_ms
    )
