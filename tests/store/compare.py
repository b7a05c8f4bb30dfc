"""What is equal between the answers of two engines, and the stated tolerance of what is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Ours lies within 0.8 % of the exact value. Elasticsearch's t-digest is some percent off in the middle, and goes half
# way between neighbours where values are few.
PERCENTILE_TOLERANCE, PERCENTILE_STEP = 0.05, 0.5
CARDINALITY_TOLERANCE = 0.05  # ours is exact; Elasticsearch's HyperLogLog++ lies within 5 % at its default precision


def answer(response: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a `_search` response that both engines must agree on."""
    hits = response["hits"]
    shown = {key: value for key, value in hits.items() if key != "hits"}
    return {"hits": {**shown, "hits": list(hits["hits"])}, "aggregations": response.get("aggregations", {})}


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two answers differ, each with its path."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        missing = [f"{path}.{key}: only one side has it" for key in sorted(ours.keys() ^ theirs.keys())]
        inner = [differences(ours[key], theirs[key], f"{path}.{key}") for key in ours.keys() & theirs.keys()]
        return missing + [difference for part in inner for difference in part]
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{path}: {len(ours)} against {len(theirs)}: {str(ours)[:200]} / {str(theirs)[:200]}"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [
            difference for place, (one, other) in pairs for difference in differences(one, other, f"{path}[{place}]")
        ]
    return [] if same(ours, theirs, path) else [f"{path}: {ours!r} against {theirs!r}"]


def same(ours: Any, theirs: Any, path: str) -> bool:
    """Whether two values are equal, or close enough for what is estimated or summed in another order."""
    if isinstance(ours, bool) or isinstance(theirs, bool) or not isinstance(ours, int | float):
        return type(ours) is type(theirs) and bool(ours == theirs)
    if not isinstance(theirs, int | float):
        return False
    return math.isclose(ours, theirs, rel_tol=tolerance(path), abs_tol=PERCENTILE_STEP if ".values" in path else 1e-9)


def tolerance(path: str) -> float:
    """The relative tolerance at a path; exact but for sums of doubles."""
    if ".values" in path:
        return PERCENTILE_TOLERANCE
    return CARDINALITY_TOLERANCE if "cardinality" in path else 1e-9
