"""What Kibana asks for a saved search or a Lens panel, so that the answer can be checked without Kibana."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from python_shipper.stack import kibana

SAVED_OBJECTS = Path(__file__).parents[2] / "kibana" / "saved_objects"
HOUR = "1h"
Search = Callable[[str, dict[str, Any]], Mapping[str, Any]]
# Query texts are written so that KQL and query_string read them alike; an empty one is everything.
METRICS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "count": lambda column: None,
    "sum": lambda column: {"sum": {"field": column["sourceField"]}},
    "max": lambda column: {"max": {"field": column["sourceField"]}},
    "unique_count": lambda column: {"cardinality": {"field": column["sourceField"]}},
    "percentile": lambda column: {
        "percentiles": {"field": column["sourceField"], "percents": [column["params"]["percentile"]]}
    },
}


def saved_objects() -> dict[tuple[str, str], dict[str, Any]]:
    """Every saved object by type and id."""
    return {(each["type"], each["id"]): each for each in kibana.saved_objects(SAVED_OBJECTS)}


def query_of(text: str) -> dict[str, Any]:
    return {"query_string": {"query": text}} if text else {"match_all": {}}


def index_of(view_id: str) -> str:
    return str(saved_objects()["index-pattern", view_id]["attributes"]["title"])


def saved_search(id_: str) -> tuple[str, dict[str, Any]]:
    """Index pattern and `_search` body of a saved search."""
    each = saved_objects()["search", id_]
    source = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    views = {reference["name"]: reference["id"] for reference in each["references"]}
    filters = [query_of(source["query"]["query"]), *(pill["query"] for pill in source["filter"])]
    order = each["attributes"]["sort"][0]
    body = {"query": {"bool": {"filter": filters}}, "sort": [{order[0]: order[1]}], "size": 100}
    return index_of(views[source["indexRefName"]]), body


def panels(dashboard: str) -> Iterator[dict[str, Any]]:
    yield from json.loads(saved_objects()["dashboard", dashboard]["attributes"]["panelsJSON"])


def lenses() -> Iterator[tuple[str, dict[str, Any], str]]:
    """(dashboard/title, attributes, the dashboard's query) of every Lens panel by value."""
    for (kind, id_), each in saved_objects().items():
        for panel in panels(id_) if kind == "dashboard" else ():
            if panel["type"] == "lens":
                source = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
                attributes = panel["embeddableConfig"]["attributes"]
                yield f"{id_}/{attributes['title']}", attributes, source["query"]["query"]


def rows(attributes: Mapping[str, Any], search: Search, narrowed_by: str = "") -> list[tuple[Any, ...]]:
    """The rows that a Lens shows: a tuple a row of bucket keys, then metrics, in the layer's order of columns.

    ``narrowed_by`` is the dashboard's own query.
    """
    state = attributes["state"]
    layer = state["datasourceStates"]["formBased"]["layers"]["layer1"]
    columns = {name: layer["columns"][name] for name in layer["columnOrder"]}
    buckets = [name for name, column in columns.items() if column["isBucketed"]]
    filters = [query_of(state["query"]["query"]), query_of(narrowed_by)]
    body = {
        "query": {"bool": {"filter": filters}},
        "size": 0,
        "track_total_hits": True,
        "aggs": aggregations(columns, buckets),
    }
    answer = search(index_of(attributes["references"][0]["id"]), body)
    whole = {**answer.get("aggregations", {}), "doc_count": answer["hits"]["total"]["value"]}
    return list(flattened(columns, buckets, whole, ()))


def aggregations(columns: dict[str, Any], buckets: list[str]) -> dict[str, Any]:
    if not buckets:
        return {name: aggregation for name, column in columns.items() if (aggregation := metric(column))}
    name, *rest = buckets
    return {name: {**bucket(columns[name]), "aggs": aggregations(columns, rest)}}


def metric(column: dict[str, Any]) -> dict[str, Any] | None:
    """The aggregation of a metric column; None where the number of documents is the answer, or it is computed."""
    if column["isBucketed"] or column["operationType"] in ("formula", "math"):
        return None
    plain = METRICS[column["operationType"]](column)
    if "filter" not in column:
        return plain
    inner = {"aggs": {"value": plain}} if plain else {}
    return {"filters": {"filters": {"one": query_of(column["filter"]["query"])}}, **inner}


def bucket(column: dict[str, Any]) -> dict[str, Any]:
    field = column["sourceField"]
    if column["operationType"] == "date_histogram":
        return {"date_histogram": {"field": field, "fixed_interval": HOUR}}
    return {"terms": {"field": field, "size": column["params"]["size"]}}


def flattened(
    columns: dict[str, Any], buckets: list[str], answer: Any, keys: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    if buckets:
        for each in answer[buckets[0]]["buckets"]:
            yield from flattened(columns, buckets[1:], each, (*keys, each["key"]))
        return
    shown = [name for name, column in columns.items() if not column["isBucketed"] and "X" not in name]
    yield (*keys, *(value(columns, name, answer) for name in shown))


def value(columns: dict[str, Any], name: str, answer: Any) -> float | None:
    """A metric's number; a formula's from its parts."""
    column = columns[name]
    if column["operationType"] == "formula":
        return value(columns, column["references"][0], answer)
    if column["operationType"] == "math":
        tree = column["params"]["tinymathAst"]
        assert tree["name"] == "divide"
        top, bottom = (value(columns, part, answer) for part in tree["args"])
        return round(top / bottom, 4) if top is not None and bottom else None
    found = answer.get(name, answer)
    if "filter" in column:
        found = found["buckets"]["one"]
        found = found if column["operationType"] == "count" else found["value"]
    if column["operationType"] == "count":
        return float(found["doc_count"])
    number = next(iter(found["values"].values())) if "values" in found else found["value"]
    return None if number is None else float(number)
