"""Holds a line to the ECS logging specification and to the ECS field types; every line made in a test passes here.

A transcription of the specification's facts (elastic/ecs-logging, spec.json), not a copy of the project's own tables:
`test_spec.py` compares it with the official files where they are present.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from python_shipper.contract import contract

OFFICIAL = Path(__file__).parents[3] / "shared" / "data" / "ecs"
TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


class Fact(NamedTuple):
    """One field of the specification."""

    type: str
    required: bool = False
    index: int | None = None
    top_level: bool = False


SPEC = {
    "@timestamp": Fact("datetime", required=True, index=0),
    "log.level": Fact("string", required=True, index=1, top_level=True),
    "message": Fact("string", index=2),
    "ecs.version": Fact("string", required=True, top_level=True),
    "labels": Fact("object"),
    "trace.id": Fact("string"),
    "transaction.id": Fact("string"),
    "service.name": Fact("string"),
    "service.node.name": Fact("string"),
    "service.version": Fact("string"),
    "service.environment": Fact("string"),
    "event.dataset": Fact("string"),
    "process.thread.name": Fact("string"),
    "log.logger": Fact("string"),
    "log.origin.file.line": Fact("integer"),
    "log.origin.file.name": Fact("string"),
    "log.origin.function": Fact("string"),
    "error.type": Fact("string"),
    "error.message": Fact("string"),
    "error.stack_trace": Fact("string"),
}
SPEC_TYPES: dict[str, type | tuple[type, ...]] = {"datetime": str, "string": str, "integer": int, "object": dict}
# Elasticsearch's types and the JSON values that they take without conversion.
JSON_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("keyword", "match_only_text", "wildcard", "ip", "date", "constant_keyword"), (str,)),
    **dict.fromkeys(("long", "integer"), (int,)),
    **dict.fromkeys(("float", "double", "scaled_float"), (int, float)),
    "boolean": (bool,),
    **dict.fromkeys(("object", "flattened", "nested", "geo_point"), (dict,)),
}


def refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"duplicate keys in {keys}")
    return dict(pairs)


def event_of(line: bytes) -> dict[str, Any]:
    """The event in a line that is exactly one line of strict JSON."""
    assert line.endswith(b"\n") and line.count(b"\n") == 1, line[-80:]
    event = json.loads(line.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=no_duplicates)
    assert isinstance(event, dict)
    return event


def checked(line: bytes) -> dict[str, Any]:
    """The event in ``line``, after asserting that nothing is wrong with it."""
    event = event_of(line)
    wrong = problems(event)
    assert wrong == [], (wrong, line[:2000])
    return event


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event, in words."""
    return [*spec_problems(event), *type_problems(event)]


def spec_problems(event: dict[str, Any]) -> list[str]:
    wrong = []
    order = sorted((fact.index, name) for name, fact in SPEC.items() if fact.index is not None)
    if [name for _, name in order] != list(event)[:3]:
        wrong.append(f"the first keys are {list(event)[:3]}")
    for name, fact in SPEC.items():
        found = event.get(name) if fact.top_level or "." not in name else at(event, name)
        if found is None:
            wrong += [f"{name} is missing"] if fact.required else []
        elif not isinstance(found, SPEC_TYPES[fact.type]):
            wrong.append(f"{name} is a {type(found).__name__}")
        if fact.top_level and at(event, name) is not None:
            wrong.append(f"{name} is nested")
    if not TIMESTAMP.fullmatch(str(event.get("@timestamp"))):
        wrong.append(f"@timestamp is {event.get('@timestamp')!r}")
    wrong += [f"label {key!r}" for key in event.get("labels", {}) if re.search(r"[.*\\]", key)]
    return wrong


def at(event: dict[str, Any], path: str) -> Any:
    node: Any = event
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def type_problems(event: dict[str, Any], path: str = "") -> list[str]:
    wrong = []
    for key, value in event.items():
        here = f"{path}.{key}" if path else key
        if here in types():
            kind, array = types()[here]
            values = value if array and isinstance(value, list) else [value]
            if not all(fits(item, kind) for item in values):
                wrong.append(f"{here} is {value!r:.100}, its type is {kind}{' (list)' if array else ''}")
        elif isinstance(value, dict) and value:
            wrong += type_problems(value, here)
        else:
            wrong.append(f"{here} is in no field table")
    return wrong


def fits(value: Any, kind: str) -> bool:
    whole = isinstance(value, bool) and bool not in JSON_TYPES[kind]
    return isinstance(value, JSON_TYPES[kind]) and not whole and (kind != "keyword" or len(value) <= 1024)


@cache
def types() -> dict[str, tuple[str, bool]]:
    """Type of every field, and whether it is a list: ECS's own table where present, and this project's fields."""
    ours = {path: (field.type, field.array) for path, field in contract().fields.items()}
    return {**ours, **{path: kind for path, kind in official_types().items() if path in ours}}


@cache
def official_types() -> dict[str, tuple[str, bool]]:
    """ECS 9.4.0's fields, from the official table; empty where it is not beside the checkout."""
    path = OFFICIAL / "fields_9.4.0.csv.gz"
    if not path.exists():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {row["Field"]: (row["Type"], row["Normalization"] == "array") for row in csv.DictReader(file)}
