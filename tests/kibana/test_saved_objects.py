"""Kibana's saved objects: importable, whole, on fields that exist; what Kibana's import lets pass is caught here."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper.contract import contract
from python_shipper.errors import ConfigurationError
from python_shipper.stack import kibana
from tests.kibana import panels

OBJECTS = panels.saved_objects()
KINDS = ("index-pattern", "search", "dashboard")
TYPE_VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}
NAME = re.compile(r"([@a-z][a-z0-9_.@]*[a-z0-9_])\s*:")


def test_every_asked_for_object_is_there() -> None:
    titles = {
        kind: sorted(each["attributes"]["title"] for (type_, _), each in OBJECTS.items() if type_ == kind)
        for kind in KINDS
    }
    assert titles == {
        "index-pattern": ["christmas-alerts", "christmas-audit-*", "christmas-dead-letters-*", "christmas-logs-*"],
        "search": ["Audit", "By trace id", "Dead letters", "Errors of a service", "Orders of a user", "Slow requests"],
        "dashboard": ["Ads funnel", "Operations overview", "Pipeline health", "Service detail", "Trace investigation"],
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(panels.SAVED_OBJECTS.glob("*.json")), ids=lambda file: file.stem)
def test_a_file_is_pretty_and_named_after_its_object(file: Path) -> None:
    each = json.loads(file.read_text())
    assert file.read_text() == json.dumps(each, ensure_ascii=False, indent=2) + "\n"
    assert file.stem == f"{each['type']}.{each['id']}"
    assert each["coreMigrationVersion"] == "8.8.0"
    assert each["typeMigrationVersion"] == TYPE_VERSIONS[each["type"]]


SOURCE = "kibanaSavedObjectMeta"
ATTRIBUTES = {
    "index-pattern": {"title", "name", "timeFieldName"},
    "search": {"title", "description", "columns", "sort", "grid", "hideChart", "isTextBasedQuery", SOURCE},
    "dashboard": {"title", "panelsJSON", "optionsJSON", SOURCE},
}


@pytest.mark.parametrize(("kind", "id_"), OBJECTS)
def test_an_object_has_the_attributes_that_kibana_reads(kind: str, id_: str) -> None:
    each = OBJECTS[kind, id_]
    assert ATTRIBUTES[kind] <= set(each["attributes"])
    source = json.loads(each["attributes"].get(SOURCE, {}).get("searchSourceJSON", "{}"))
    references = {reference["name"] for reference in each["references"]}
    named = [source["indexRefName"]] if kind == "search" else []
    named += [pill["meta"]["indexRefName"] for pill in source.get("filter", [])]
    assert set(named) <= references


def test_a_lens_names_its_data_view_by_its_layer() -> None:
    lenses = list(panels.lenses())
    assert len(lenses) > 20
    for _, attributes, _ in lenses:
        assert attributes["title"]
        assert attributes["visualizationType"] in {"lnsMetric", "lnsXY", "lnsDatatable", "lnsPie"}
        assert {"visualization", "query", "filters", "datasourceStates"} <= set(attributes["state"])
        layers = attributes["state"]["datasourceStates"]["formBased"]["layers"]
        assert {kibana.LAYER + layer for layer in layers} <= {each["name"] for each in attributes["references"]}


def test_a_trace_id_opens_its_trace() -> None:
    formats = json.loads(OBJECTS["index-pattern", "christmas-logs"]["attributes"]["fieldFormatMap"])
    dashboard = formats["trace.id"]["params"]["urlTemplate"].partition("#/view/")[2].partition("?")[0]
    assert formats["trace.id"]["id"] == "url"
    assert ("dashboard", dashboard) in OBJECTS
    assert "{{value}}" in formats["trace.id"]["params"]["urlTemplate"]


def test_panels_fill_the_grid_without_overlap() -> None:
    for kind, id_ in OBJECTS:
        taken: set[tuple[int, int]] = set()
        for panel in panels.panels(id_) if kind == "dashboard" else ():
            grid = panel["gridData"]
            cells = {
                (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert not cells & taken
            assert max(x for x, _ in cells) < 48
            taken |= cells


def used_fields() -> Iterator[tuple[str, str]]:
    """(object, field) of everything that a search or panel names."""
    for (kind, id_), each in OBJECTS.items():
        attributes = each["attributes"]
        if kind == "search":
            source = attributes["kibanaSavedObjectMeta"]["searchSourceJSON"]
            sorted_by = [name for name, _ in attributes["sort"]]
            named = [*attributes["columns"], *sorted_by, *NAME.findall(json.loads(source)["query"]["query"])]
            named += [name for pill in json.loads(source)["filter"] for name in pill["query"]["range"]]
            yield from ((id_, name) for name in named)
        if kind == "index-pattern":
            yield from (
                (id_, name) for name in [attributes["timeFieldName"], *json.loads(attributes["fieldFormatMap"])]
            )
    for name, attributes, narrowed_by in panels.lenses():
        texts = [attributes["state"]["query"]["query"], narrowed_by]
        for column in attributes["state"]["datasourceStates"]["formBased"]["layers"]["layer1"]["columns"].values():
            texts.append(column.get("filter", {}).get("query", ""))
            yield name, column.get("sourceField", "@timestamp")
        yield from ((name, field) for text in texts for field in NAME.findall(text))


def test_every_field_that_is_used_is_in_the_mapping() -> None:
    known = set(contract().fields) | {"___records___"}
    assert [(where, name) for where, name in used_fields() if name not in known] == []
    assert len(list(used_fields())) > 100


def first_panel(each: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> None:
    inside = json.loads(each["attributes"]["panelsJSON"])
    change(inside[0])
    each["attributes"]["panelsJSON"] = json.dumps(inside)


def layer(panel: dict[str, Any]) -> dict[str, Any]:
    return dict(panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer1"])


def without_title(panel: dict[str, Any]) -> None:
    del panel["embeddableConfig"]["attributes"]["title"]


def other_metric(panel: dict[str, Any]) -> None:
    panel["embeddableConfig"]["attributes"]["state"]["visualization"]["metricAccessor"] = "absent"


def other_layer(panel: dict[str, Any]) -> None:
    panel["embeddableConfig"]["attributes"]["references"][0]["name"] = kibana.LAYER + "other"


# One fault each, on the dashboard "Operations overview", and what is said about it.
FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "lens without title": (lambda each: first_panel(each, without_title), "panel panel1: lens without title"),
    "absent column": (lambda each: first_panel(each, other_metric), "column absent is not in layer layer1"),
    "column order": (
        lambda each: first_panel(each, lambda panel: layer(panel)["columnOrder"].append("more")),
        "panel panel1: layer layer1: columnOrder and columns differ",
    ),
    "layer without data view": (lambda each: first_panel(each, other_layer), "no reference for layer layer1"),
    "reference not repeated": (
        lambda each: each["references"].pop(0),
        "panel panel1: the dashboard does not repeat reference indexpattern-datasource-layer-layer1",
    ),
    "search without reference": (
        lambda each: first_panel(each, lambda panel: panel.update(embeddableConfig={}, panelRefName="panel_panel1")),
        "panel panel1: no reference panel1:panel_panel1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_kibana_would_import_is_refused(fault: str, tmp_path: Path) -> None:
    change, message = FAULTS[fault]
    for (kind, id_), each in OBJECTS.items():
        changed = copy.deepcopy(each)
        if id_ == "operations-overview":
            change(changed)
        (tmp_path / f"{kind}.{id_}.json").write_text(json.dumps(changed))
    with pytest.raises(ConfigurationError, match=r"dashboard\.operations-overview\.json: .*" + re.escape(message)):
        kibana.saved_objects(tmp_path)
