"""Our configuration on a real Elasticsearch: it starts with it, takes every golden document, and keeps to the roles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from python_shipper.stack.api import RefusedError
from tests.pipeline.case import cases
from tests.stack.elasticsearch import SERVICE_ROLE, Server, role_names

pytestmark = [pytest.mark.slow, pytest.mark.needs("maven")]
LOGS, OTHER = "christmas-logs-orders-2026.11.22", "christmas-logs-orders-eu-2026.11.22"
DEAD, AUDIT = "christmas-dead-letters-2026.11.22", "christmas-audit-2026.11.22"
EVENT = {"@timestamp": "2026-11-22T05:00:00.000Z", "log.level": "info", "message": "m", "ecs.version": "9.4.0"}


@pytest.fixture(scope="module")
def filled(elasticsearch: Server) -> Server:
    """A server with one document in an index of each kind."""
    for number, index in enumerate((LOGS, OTHER, DEAD, AUDIT)):
        elasticsearch.api().call("PUT", f"/{index}/_doc/filled-{number}?refresh=true", EVENT)
    return elasticsearch


def bulk(server: Server, lines: list[dict[str, Any]], user: str | None = None) -> list[dict[str, Any]]:
    """The items of a bulk answer."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = server.api(user).send("POST", "/_bulk?refresh=true", body, {"Content-Type": "application/x-ndjson"})
    return [next(iter(item.values())) for item in answer["items"]]


def test_no_golden_document_is_refused_by_the_mapping(elasticsearch: Server) -> None:
    wanted = cases()
    assert len(wanted) >= 60
    lines = [
        line
        for case in wanted
        for line in ({"create": {"_index": case.expect["index"], "_id": case.name}}, case.expect["document"])
    ]
    items = bulk(elasticsearch, lines, "logstash_writer")
    assert len(items) == len(wanted)
    assert [item for item in items if item["status"] != 201] == []


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"christmas": {"unknown": 1}}, "strict"),
        ({"http": {"response": {"status_code": "abc"}}}, "failed to parse"),
        ({"client": {"ip": "nope"}}, "failed to parse"),
    ],
)
def test_the_mapping_refuses_what_normalising_must_have_moved(
    elasticsearch: Server, document: dict[str, Any], reason: str
) -> None:
    (item,) = bulk(elasticsearch, [{"create": {"_index": LOGS}}, EVENT | document])
    assert item["status"] == 400
    assert reason in json.dumps(item["error"])


def test_what_shippers_add_is_kept_but_not_mapped(elasticsearch: Server) -> None:
    index = "christmas-logs-unmapped-2026.11.22"
    bulk(elasticsearch, [{"create": {"_index": index}}, EVENT | {"agent": {"type": "filebeat"}, "@version": "1"}])
    mapping = elasticsearch.api().call("GET", f"/{index}/_mapping")[index]["mappings"]
    assert "agent" not in mapping["properties"] and "@version" not in mapping["properties"]


def test_a_second_document_of_the_same_id_is_a_conflict(elasticsearch: Server) -> None:
    create = {"create": {"_index": "christmas-logs-twice-2026.11.22", "_id": "same"}}
    assert [item["status"] for item in bulk(elasticsearch, [create, EVENT, create, EVENT])] == [201, 409]


def test_an_index_without_a_template_of_ours_does_not_come_into_being(elasticsearch: Server) -> None:
    (item,) = bulk(elasticsearch, [{"create": {"_index": "christmas-log-orders-2026.11.22"}}, EVENT])
    assert item["status"] == 404


def test_message_tokens_are_those_of_the_standard_analyser(elasticsearch: Server) -> None:
    bulk(elasticsearch, [{"create": {"_index": LOGS}}, EVENT])
    text = {"field": "message", "text": "user_01 mailed example.com, 주문 실패"}
    answer = elasticsearch.api().call("POST", f"/{LOGS}/_analyze", text)
    assert [token["token"] for token in answer["tokens"]] == ["user_01", "mailed", "example.com", "주문", "실패"]


Call = tuple[str, str, Any]
SEARCH, CREATE = "_search", "_create/role-test"
ALLOWED: dict[str, list[Call]] = {
    "logstash_writer": [
        ("PUT", f"/christmas-logs-new-2026.11.22/{CREATE}", EVENT),
        ("PUT", f"/{DEAD}/{CREATE}", EVENT),
        ("GET", "/_cluster/health", None),
    ],
    "filebeat_monitor": [("GET", "/_cluster/health", None), ("PUT", f"/.monitoring-beats-8-2026.11.22/{CREATE}", {})],
    "health_check": [("GET", "/_cluster/health", None)],
    "logs_viewer": [("GET", f"/{LOGS}/{SEARCH}", None), ("GET", f"/{OTHER}/{SEARCH}", None)],
    "logs_support": [("GET", f"/{LOGS}/{SEARCH}", None), ("GET", f"/{DEAD}/{SEARCH}", None)],
    "logs_admin": [
        ("GET", f"/{LOGS},{DEAD},{AUDIT}/{SEARCH}", None),
        ("PUT", "/christmas-restored-logs-orders-2026.11.22", None),
        ("DELETE", "/christmas-restored-logs-orders-2026.11.22", None),
        ("GET", "/_index_template/christmas-logs", None),
    ],
    "audit_reader": [("GET", f"/{AUDIT}/{SEARCH}", None)],
}
REFUSED: dict[str, list[Call]] = {
    "logstash_writer": [
        ("GET", f"/{LOGS}/{SEARCH}", None),
        ("PUT", f"/{LOGS}/_doc/filled-0", EVENT),
        ("DELETE", f"/{LOGS}/_doc/filled-0", None),
        ("DELETE", f"/{LOGS}", None),
        ("PUT", f"/{AUDIT}/{CREATE}", EVENT),
        ("PUT", f"/christmas-logs-orders/{CREATE}", EVENT),
        ("PUT", "/_index_template/christmas-logs", {"index_patterns": ["x"]}),
    ],
    "filebeat_monitor": [("GET", f"/{LOGS}/{SEARCH}", None), ("PUT", f"/{LOGS}/{CREATE}", EVENT)],
    "health_check": [("GET", f"/{LOGS}/{SEARCH}", None), ("PUT", f"/{LOGS}/{CREATE}", EVENT)],
    "logs_viewer": [
        ("GET", f"/{DEAD}/{SEARCH}", None),
        ("GET", f"/{AUDIT}/{SEARCH}", None),
        ("PUT", f"/{LOGS}/{CREATE}", EVENT),
        ("DELETE", f"/{LOGS}", None),
        ("GET", "/_cluster/health", None),
    ],
    "logs_support": [("GET", f"/{AUDIT}/{SEARCH}", None), ("PUT", f"/{LOGS}/{CREATE}", EVENT)],
    "logs_admin": [("PUT", "/other-index", None), ("GET", "/_security/user", None)],
    "audit_reader": [("GET", f"/{LOGS}/{SEARCH}", None), ("DELETE", f"/{AUDIT}", None)],
}


def test_a_role_for_one_service_does_not_open_its_namesakes(filled: Server) -> None:
    assert filled.api(SERVICE_ROLE).call("GET", f"/{LOGS}/{SEARCH}")["hits"]["total"]["value"] >= 1
    with pytest.raises(RefusedError) as refused:
        filled.api(SERVICE_ROLE).call("GET", f"/{OTHER}/{SEARCH}")
    assert refused.value.status == 403


def test_every_role_is_tried() -> None:
    assert sorted(ALLOWED) == sorted(REFUSED) == role_names()


@pytest.mark.parametrize("role", sorted(ALLOWED))
def test_a_role_may(filled: Server, role: str) -> None:
    for method, path, body in ALLOWED[role]:
        assert isinstance(filled.api(role).call(method, path, body), dict)


@pytest.mark.parametrize(("role", "call"), [(role, call) for role, calls in REFUSED.items() for call in calls])
def test_a_role_may_not(filled: Server, role: str, call: Call) -> None:
    with pytest.raises(RefusedError) as refused:
        filled.api(role).call(*call)
    assert refused.value.status == 403
