"""How long a day is kept: the age in `ilm_policies/`, counted from the day in the index's name, as ILM does here.

A day expires when its first moment is ``delete.min_age`` old. Nothing brings an expired day back: the pipeline makes a
dead letter of a late event, and what is deleted is chosen by name, never by content. Which policy a family follows is
in its index template; one without a policy (audit) is never deleted here.

Where STORE_MAX_BYTES is set and passed, there goes, in this order, until the rest fits: damaged days that were set
aside, then days of logs before today, the oldest first. Dead letters and audit stay. A day with a file ``.hold`` in its
folder (a legal hold; ``touch`` it) is neither expired nor dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from python_shipper.contract import deployed
from python_shipper.errors import StoreError
from python_shipper.store.days import DAY_MS, Day

UNITS_MS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
HOLD = ".hold"


@cache
def policy(family: str) -> str | None:
    """The lifecycle policy of a family's indices, from their index template; None if they have none."""
    folder = deployed("elasticsearch")
    path = folder / "index_templates" / f"christmas-{family}.json"
    if not path.exists():
        return None
    name = None
    for component in read(path)["composed_of"]:
        settings = read(folder / "component_templates" / f"{component}.json")["template"].get("settings", {})
        name = settings.get("index", {}).get("lifecycle", {}).get("name", name)
    return name


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_bytes())


@cache
def age_ms(name: str) -> int:
    """``delete.min_age`` of a policy in milliseconds.

    Raises:
        StoreError: the policy has no such age.
    """
    phases = read(deployed("ilm_policies") / f"{name}.json")["policy"]["phases"]
    match = re.fullmatch(r"([0-9]+)(d|h|m|s|ms)", phases.get("delete", {}).get("min_age", ""))
    if match is None:
        raise StoreError(f"ilm_policies/{name}.json: phases.delete.min_age must be a number and d, h, m, s or ms")
    return int(match[1]) * UNITS_MS[match[2]]


def expired_days(days: Iterable[Day], now_ms: int) -> list[Day]:
    """The days among ``days`` that are past their age at ``now_ms``, oldest first."""
    ages = ((day, policy(day.family)) for day in days)
    return sorted(day for day, name in ages if name and day.start_ms + age_ms(name) <= now_ms)


def on_hold(folder: Path) -> bool:
    """Whether a day's folder may not be deleted."""
    return (folder / HOLD).exists()


def beyond_budget(sizes: Mapping[Day, int], excess: int, now_ms: int) -> list[Day]:
    """The days of logs to drop, oldest first, so that ``excess`` bytes become free; today is never among them."""
    chosen: list[Day] = []
    for day in sorted(day for day in sizes if day.family == "logs" and day.start_ms + DAY_MS <= now_ms):
        if excess <= 0:
            break
        chosen.append(day)
        excess -= sizes[day]
    return chosen
