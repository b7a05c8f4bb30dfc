"""The same searches and panels as in tests/kibana, answered by a real Elasticsearch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.kibana import samples
from tests.kibana.test_apply import RULES
from tests.kibana.test_queries import PANELS, SEARCHES, check_panel, check_search
from tests.stack.elasticsearch import Server

pytestmark = [pytest.mark.slow, pytest.mark.needs("maven")]
DAY = "2026.05.06"


@pytest.fixture(scope="module")
def search(elasticsearch: Server) -> Any:
    """Asks only for the samples' day, so that other tests' documents do not count."""
    rows = [*samples.ROWS, samples.AUDIT]
    lines = [line for index, id_, document in rows for line in ({"create": {"_index": index, "_id": id_}}, document)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = elasticsearch.api().send("POST", "/_bulk?refresh=true", body, {"Content-Type": "application/x-ndjson"})
    assert not answer["errors"], answer

    def ask(pattern: str, asked: dict[str, Any]) -> Mapping[str, Any]:
        return elasticsearch.api().call("POST", f"/{pattern.removesuffix('*')}*{DAY}/_search", asked)

    return ask


@pytest.mark.parametrize("id_", SEARCHES)
def test_a_saved_search_finds_its_lines(id_: str, search: Any) -> None:
    check_search(id_, search)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_shows_its_figures(name: str, search: Any) -> None:
    check_panel(name, search)


@pytest.mark.needs("whole-elasticsearch")
@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule["rule_type_id"] == ".es-query"])
def test_a_rules_query_is_accepted(name: str, elasticsearch: Server, search: Any) -> None:
    query = RULES[name]["params"]["esqlQuery"]["esql"]
    assert "columns" in elasticsearch.api().call("POST", "/_query", {"query": query})
