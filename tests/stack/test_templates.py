"""The mapping is the field contract: each field of fields.yml is in a template, with its type, and nothing else is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from python_shipper.contract import contract
from python_shipper.core import names
from python_shipper.core.clock import parsed_ms

ROOT = Path(__file__).parent.parent.parent / "elasticsearch"
NOW = parsed_ms("2026-11-22T06:00:00Z")
INDICES = {
    "christmas-logs": names.log_index("Orders/API", NOW),
    "christmas-dead-letters": f"christmas-dead-letters-{names.day(NOW)}",
    "christmas-audit": f"christmas-audit-{names.day(NOW)}",
}


def read(kind: str) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((ROOT / kind).glob("*.json"))}


# Not of the field contract: what Kibana's alerting rules write.
OTHERS = {"christmas-alerts": "christmas-alerts"}
COMPONENTS, TEMPLATES = read("component_templates"), read("index_templates")


def leaves(properties: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Field definitions by dotted path."""
    found = {}
    for name, spec in properties.items():
        below = leaves(spec["properties"], f"{path}{name}.") if "properties" in spec else {f"{path}{name}": spec}
        found |= below
    return found


def objects(properties: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Object definitions by dotted path."""
    here = {f"{path}{name}": spec for name, spec in properties.items() if "properties" in spec}
    return here | {k: v for p, spec in here.items() for k, v in objects(spec["properties"], f"{p}.").items()}


def properties(component: str) -> dict[str, Any]:
    return COMPONENTS[component]["template"]["mappings"]["properties"]  # type: ignore[no-any-return]


def test_the_templates_hold_exactly_the_contracts_fields() -> None:
    mapped = leaves(properties("christmas-ecs")) | leaves(properties("christmas-fields"))
    assert {path: spec["type"] for path, spec in mapped.items()} == {
        path: field.type for path, field in contract().fields.items()
    }


def test_each_type_has_the_contracts_limits_and_no_other_option() -> None:
    limits = contract().limits
    bounds = {"keyword": limits.keyword_characters, "flattened": limits.extra_characters}
    for path, spec in (leaves(properties("christmas-ecs")) | leaves(properties("christmas-fields"))).items():
        options = {"ignore_above": bounds[spec["type"]]} if spec["type"] in bounds else {}
        assert spec == {"type": spec["type"], **options}, path


def test_only_christmas_is_strict_and_what_shippers_add_is_not_mapped() -> None:
    mappings = COMPONENTS["christmas-ecs"]["template"]["mappings"]
    assert mappings["dynamic"] is False
    assert all("dynamic" not in spec for spec in objects(properties("christmas-ecs")).values())
    assert {spec["dynamic"] for spec in objects(properties("christmas-fields")).values()} == {"strict"}


def test_field_limit_leaves_room() -> None:
    limit = COMPONENTS["christmas-settings"]["template"]["settings"]["index"]["mapping"]["total_fields"]["limit"]
    mapped = leaves(properties("christmas-ecs")) | leaves(properties("christmas-fields"))
    groups = objects(properties("christmas-ecs")) | objects(properties("christmas-fields"))
    assert len(mapped) + len(groups) < limit


def test_there_is_a_template_for_each_family_and_its_parts_exist() -> None:
    assert sorted(TEMPLATES) == sorted(INDICES | OTHERS)
    used = {part for template in TEMPLATES.values() for part in template["composed_of"]}
    assert used == set(COMPONENTS)


@pytest.mark.parametrize("family", sorted(INDICES | OTHERS))
def test_one_template_takes_each_index_before_any_builtin_one(family: str) -> None:
    taking = [
        name
        for name, template in TEMPLATES.items()
        for pattern in template["index_patterns"]
        if re.fullmatch(pattern.replace("*", ".*"), (INDICES | OTHERS)[family])
    ]
    assert taking == [family]
    assert TEMPLATES[family]["priority"] >= 200


def test_a_refusal_by_the_mapping_is_never_hidden() -> None:
    for name in ("christmas-settings", "christmas-audit-settings"):
        assert COMPONENTS[name]["template"]["settings"]["index"]["mapping"]["ignore_malformed"] is False


def test_the_lifecycle_counts_from_the_day_in_the_index_name() -> None:
    lifecycle = COMPONENTS["christmas-settings"]["template"]["settings"]["index"]["lifecycle"]
    assert lifecycle["parse_origination_date"] is True
    policy = json.loads((ROOT.parent / "ilm_policies" / f"{lifecycle['name']}.json").read_text())["policy"]
    assert "rollover" not in json.dumps(policy)
    # Elasticsearch's own pattern (IndexLifecycleOriginationDateParser).
    for index in INDICES.values():
        assert re.fullmatch(r"^.*-(\d{4}.\d{2}.\d{2})(-[\d]+)?$", index)
