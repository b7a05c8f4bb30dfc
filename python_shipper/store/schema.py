"""What each field is: the mapping of `elasticsearch/component_templates/` as a table, and as a tantivy schema.

The closed table below says how an Elasticsearch type is kept in tantivy (measured on tantivy-py 0.27: its date fields
keep whole seconds, so dates are integer milliseconds; aggregations on booleans count nothing, so booleans are 0 and 1).
A flattened field is kept as Elasticsearch keeps it: one column of leaf values and one of ``key NUL value``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from python_shipper.contract import deployed
from python_shipper.errors import StoreError

TYPES = ("date", "keyword", "wildcard", "match_only_text", "long", "double", "boolean", "ip", "flattened")
# Our own columns: the index a document belongs to, the source it is answered with, where its line came from, which
# analysed fields it has (they have no column to ask), and a number that orders it as its id does (ties aside).
INDEX, SOURCE, SEGMENT, OFFSET, PRESENT, ORDER = "_index", "_source", "_segment", "_offset", "_field_names", "_order"
ID = "event.id"
KEYED = "._keyed"
BUCKET = "._bucket"
ORDINALS = {
    "log.offset", "log.origin.file.line", "process.pid", "process.parent.pid", "process.thread.id",
    "christmas.segment.number", "christmas.segment.lines",
}  # fmt: skip
TEMPLATES = ("christmas-ecs", "christmas-fields")


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped field: its path, Elasticsearch type, and the length above which a string is not indexed."""

    path: str
    type: str
    ignore_above: int | None = None


@cache
def mapping() -> dict[str, Field]:
    """Every leaf field of the deployed component templates, by path.

    Raises:
        StoreError: a template uses a type or option that the embedded store does not know.
    """
    folder = deployed("elasticsearch") / "component_templates"
    found: dict[str, Field] = {}
    for name in TEMPLATES:
        template = json.loads((folder / f"{name}.json").read_bytes())["template"]
        leaves(template["mappings"]["properties"], "", found)
    return found


def leaves(properties: dict[str, Any], prefix: str, found: dict[str, Field]) -> None:
    """Add the leaf fields of a mapping's ``properties`` to ``found``."""
    for name, spec in properties.items():
        if "properties" in spec:
            leaves(spec["properties"], f"{prefix}{name}.", found)
            continue
        if spec.get("type") not in TYPES or set(spec) - {"type", "ignore_above"}:
            raise StoreError(f"mapping of {prefix}{name}: {spec} is no type the embedded store keeps")
        found[prefix + name] = Field(prefix + name, spec["type"], spec.get("ignore_above"))


def field(path: str) -> Field | None:
    """The field at ``path``; a key inside a flattened field counts as a field of type ``flattened_key``."""
    known = mapping().get(path)
    if known or "." not in path:
        return known
    parent = path
    while "." in parent:
        parent = parent.rpartition(".")[0]
        above = mapping().get(parent)
        if above is not None:
            return Field(path, "flattened_key") if above.type == "flattened" else None
    return None


def has_percentiles(found: Field) -> bool:
    """Whether percentiles of a field are kept: of all numbers but those that only count or name something."""
    return found.type == "double" or (found.type == "long" and found.path not in ORDINALS)


def flattened_key(path: str) -> tuple[str, str]:
    """The column and the key of a path inside a flattened field: ``christmas.extra.a.b`` -> (keyed column, ``a.b``)."""
    parent = path
    while mapping().get(parent) is None:
        parent = parent.rpartition(".")[0]
    return parent + KEYED, path[len(parent) + 1 :]


def default_fields() -> tuple[str, ...]:
    """The fields that a query string without a field name searches: the template's ``index.query.default_field``."""
    path = deployed("elasticsearch") / "component_templates" / "christmas-settings.json"
    return tuple(json.loads(path.read_bytes())["template"]["settings"]["index"]["query"]["default_field"])
