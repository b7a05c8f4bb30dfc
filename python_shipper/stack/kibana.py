"""Kibana's saved objects and alerting rules as files: read, checked for what its import lets pass, and given to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from python_shipper.errors import ConfigurationError, StackError
from python_shipper.stack.api import Api, RefusedError
from python_shipper.stack.provision import read_json

Report = Callable[[str], None]
Object = dict[str, Any]
LAYER = "indexpattern-datasource-layer-"
CORE_VERSION = "8.8.0"
TYPE_VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}


def apply(api: Api, folder: Path, report: Report) -> None:
    """Import every saved object below ``folder`` (``kibana/``), then set its connectors and alerting rules.

    Raises:
        ConfigurationError: an object is broken in a way that Kibana would not notice.
        StackError: Kibana refuses one, or does not answer.
    """
    objects = saved_objects(folder / "saved_objects")
    import_objects(api, objects)
    report(f"saved objects: {len(objects)}")
    for kind, path in (("connectors", "/api/actions/connector"), ("alerting_rules", "/api/alerting/rule")):
        for file in sorted((folder / kind).glob("*.json")):
            put(api, path, read_json(file))
            report(f"{kind}: {file.stem}")


def saved_objects(folder: Path) -> list[Object]:
    """The saved objects in ``folder``, one a file, in the form that Kibana imports.

    Raises:
        ConfigurationError: one of them is broken; the message names the file and the fault.
    """
    files = {file: read_json(file) for file in sorted(folder.glob("*.json"))}
    known = {(each.get("type"), each.get("id")) for each in files.values()}
    for file, each in files.items():
        for fault in faults(each, known):
            raise ConfigurationError(f"{file}: {fault}; mend the file")
    return list(files.values())


def faults(each: Object, known: set[tuple[Any, Any]]) -> Iterator[str]:
    """What is wrong with one object; Kibana's import accepts all of these and fails when it is opened."""
    yield from (f"no {name}" for name in ("type", "id", "attributes", "references") if name not in each)
    attributes = each.get("attributes", {})
    yield from version_faults(each)
    yield from absent_references(each, known)
    if not attributes.get("title"):
        yield "no title"
    if each.get("type") == "search":
        yield from source_faults(attributes, each.get("references", []))
    if each.get("type") == "lens":
        yield from lens_faults(attributes, each.get("references", []))
    if each.get("type") == "dashboard":
        yield from dashboard_faults(attributes, each.get("references", []))


def version_faults(each: Object) -> Iterator[str]:
    """Versions that are absent (a 500) or newer than the lowest that has our fields (older servers refuse them)."""
    lowest = {"coreMigrationVersion": CORE_VERSION, "typeMigrationVersion": TYPE_VERSIONS.get(each.get("type", ""))}
    for name, version in lowest.items():
        if version and each.get(name) != version:
            yield f"{name}: expected {version}, got {each.get(name)}"


def source_faults(attributes: Object, references: list[Object]) -> Iterator[str]:
    """Faults of what a search is told of its data views."""
    source = decoded(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON"))
    if not isinstance(source, dict):
        yield "searchSourceJSON is not JSON"
    elif source.get("indexRefName") not in {reference["name"] for reference in references}:
        yield f"no reference {source.get('indexRefName')} for the search's data view"


def absent_references(each: Object, known: set[tuple[Any, Any]]) -> Iterator[str]:
    """References to objects that are in no file."""
    for reference in each.get("references", []):
        if (reference["type"], reference["id"]) not in known:
            yield f"references {reference['type']} {reference['id']}, which is in no file"


def dashboard_faults(attributes: Object, references: list[Object]) -> Iterator[str]:
    """Faults of the JSON strings in a dashboard and of the panels in them."""
    for name in ("panelsJSON", "optionsJSON"):
        if decoded(attributes.get(name)) is None:
            yield f"{name} is not JSON"
    given = {reference["name"] for reference in references}
    for panel in decoded(attributes.get("panelsJSON")) or []:
        yield from (f"panel {panel['panelIndex']}: {fault}" for fault in panel_faults(panel, given))


def panel_faults(panel: Object, given: set[str]) -> Iterator[str]:
    """Faults of one panel; ``given`` are the names of the dashboard's references."""
    embedded = panel.get("embeddableConfig", {})
    if "savedVis" in embedded:
        return
    attributes = embedded.get("attributes")
    if attributes is None:
        name = f"{panel['panelIndex']}:{panel.get('panelRefName')}"
        yield from () if name in given else (f"no reference {name}",)
        return
    if panel["type"] == "lens":
        yield from lens_faults(attributes, attributes.get("references", []))
    for reference in attributes.get("references", []):
        if f"{panel['panelIndex']}:{reference['name']}" not in given:
            yield f"the dashboard does not repeat reference {reference['name']}"


def lens_faults(attributes: Object, references: list[Object]) -> Iterator[str]:
    """Faults of a lens: its title, its layers' data views, and columns that the layer lacks."""
    if not attributes.get("title"):
        yield "lens without title"
    state = attributes.get("state", {})
    layers = state.get("datasourceStates", {}).get("formBased", {}).get("layers", {})
    given = {reference["name"] for reference in references}
    yield from (f"no reference for layer {layer}" for layer in layers if LAYER + layer not in given)
    for layer_id, column in used_columns(state.get("visualization", {})):
        if column not in layers.get(layer_id, {}).get("columns", {}):
            yield f"column {column} is not in layer {layer_id}"
    for layer_id, layer in layers.items():
        yield from (f"layer {layer_id}: {fault}" for fault in layer_faults(layer))


def layer_faults(layer: Object) -> Iterator[str]:
    """Columns that a layer's order, formulas or terms name and that it lacks, or the other way round."""
    columns = layer.get("columns", {})
    if set(layer.get("columnOrder", [])) != set(columns):
        yield "columnOrder and columns differ"
    for column in columns.values():
        order = column.get("params", {}).get("orderBy", {})
        named = [*column.get("references", []), *([order["columnId"]] if "columnId" in order else [])]
        yield from (f"column {name} does not exist" for name in named if name not in columns)


def used_columns(visualization: Object) -> Iterator[tuple[str, str]]:
    """(layer id, column id) of everything that a metric, xy, table or pie shows."""
    for layer in visualization.get("layers", [visualization]):
        layer_id = layer["layerId"]
        columns = [layer.get("xAccessor"), layer.get("splitAccessor"), layer.get("metricAccessor")]
        columns += [layer.get("breakdownByAccessor"), *layer.get("accessors", [])]
        columns += [column["columnId"] for column in layer.get("columns", [])]
        columns += [*layer.get("primaryGroups", []), *layer.get("metrics", [])]
        yield from ((layer_id, column) for column in columns if column)


def decoded(text: object) -> Any:
    """The value of a JSON string, or None if it is not one."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def import_objects(api: Api, objects: list[Object]) -> None:
    """Give ``objects`` to Kibana, over whatever it has under their ids.

    Raises:
        StackError: Kibana refuses one of them; the message names it and Kibana's reason.
    """
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="objects.ndjson"\r\n'
    form = f"{head}Content-Type: application/ndjson\r\n\r\n{lines}\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = api.send("POST", "/api/saved_objects/_import?overwrite=true", form, headers)
    if not answer["success"]:
        first = answer["errors"][0]
        raise StackError(f"{api.url}: refused {first['type']} {first['id']}: {json.dumps(first['error'])}")


def put(api: Api, path: str, body: Object) -> None:
    """Make the connector or rule of ``body``'s id be ``body``: what may not change later is sent at its birth only."""
    given = {name: value for name, value in body.items() if name != "id"}
    where = f"{path}/{body['id']}"
    try:
        api.call("GET", where)
    except RefusedError as error:
        if error.status != 404:
            raise
        api.call("POST", where, given)
        return
    api.call("PUT", where, {name: value for name, value in given.items() if name not in BORN_WITH})


# Kibana refuses these in an update.
BORN_WITH = {"rule_type_id", "consumer", "connector_type_id", "enabled"}
