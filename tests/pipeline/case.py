"""A golden case: a raw line, and the index, id and document that both stacks make of it.

``{name, now, file: {path, fingerprint, offset}, raw | raw_base64, expect: {index, id, document}}``, one object a file.
Two additions keep big cases small: anywhere, ``{"$repeat": [text, times]}`` stands for a text repeated, and
``{"$join": [parts]}`` for parts in a row. ``rules`` (masking rules in place of the shipped ones), ``hash_key`` and
``services`` (LOG_SERVICES) are the settings of one case.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
KEYS = {"name", "now", "file", "raw", "raw_base64", "expect", "rules", "hash_key", "services"}


@dataclass(frozen=True)
class Case:
    """One case, its placeholders resolved."""

    name: str
    now: str
    file: dict[str, Any]
    raw: bytes
    expect: dict[str, Any]
    rules: list[dict[str, Any]] | None = None
    hash_key: str | None = None
    services: str | None = None
    path: Path = field(default=CASES, compare=False)


def resolved(value: Any) -> Any:
    """The value with ``$repeat`` and ``$join`` written out."""
    if isinstance(value, dict) and set(value) == {"$repeat"}:
        text, times = value["$repeat"]
        return text * times
    if isinstance(value, dict) and set(value) == {"$join"}:
        return "".join(resolved(part) for part in value["$join"])
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    return [resolved(item) for item in value] if isinstance(value, list) else value


def read(path: Path) -> Case:
    """The case in a file."""
    data = json.loads(path.read_text())
    unknown = set(data) - KEYS
    assert not unknown, f"{path.name}: unknown key {', '.join(sorted(unknown))}"
    assert ("raw" in data) != ("raw_base64" in data), f"{path.name}: give raw or raw_base64"
    raw = resolved(data.pop("raw")).encode() if "raw" in data else base64.b64decode(data.pop("raw_base64"))
    return Case(
        raw=raw, path=path, **{key: value if key == "rules" else resolved(value) for key, value in data.items()}
    )


def cases() -> list[Case]:
    """Every case, by file name."""
    return [read(path) for path in sorted(CASES.glob("*.json"))]


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaf values by JSON pointer."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None or not value:
        return {path: value}
    return {place: leaf for key, item in items for place, leaf in flat(item, f"{path}/{key}").items()}


def differences(expected: Any, got: Any) -> list[str]:
    """One line for each leaf that differs, empty when none does; true, 1 and 1.0 are different, 1.0 and 1.0 are not."""
    wanted, found = flat(expected), flat(got)
    places = sorted(wanted.keys() | found.keys())
    return [
        f"{place}: expected {shown(wanted, place)}, got {shown(found, place)}"
        for place in places
        if shown(wanted, place) != shown(found, place)
    ]


def shown(leaves: dict[str, Any], place: str) -> str:
    """A leaf as JSON, long texts by their ends."""
    if place not in leaves:
        return "nothing"
    text = json.dumps(leaves[place], ensure_ascii=False)
    if len(text) <= 400:
        return text
    return f"{text[:150]} … {text[-150:]} ({len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()[:12]})"
