"""The JSON API answers as the store does, and says in one shape what is wrong with a request."""

import json

import pytest
from fastapi.testclient import TestClient

from tests.dashboard.sample import TRACE


def test_logs_by_query_language_newest_first(client: TestClient) -> None:
    found = client.get("/api/logs", params={"q": "level:error service:orders", "since": "1h"}).json()
    assert [hit["_source"]["message"] for hit in found["hits"]] == ["order rejected"]
    assert found["total"] == 1
    newest = client.get("/api/logs", params={"limit": 2}).json()
    assert [hit["_source"]["message"] for hit in newest["hits"]] == ["tick 149 of a calm day", "tick 148 of a calm day"]
    assert newest["total"] == 156


def test_logs_by_exact_service_and_level_and_time(client: TestClient) -> None:
    found = client.get("/api/logs", params={"service": "gateway", "level": "ERROR"}).json()
    assert [hit["_source"]["message"] for hit in found["hits"]] == ["order failed"]
    window = {"since": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:00:00.020Z"}
    assert client.get("/api/logs", params=window).json()["total"] == 2


def test_search_takes_elasticsearchs_body(client: TestClient) -> None:
    body = {"query": {"term": {"trace.id": TRACE}}, "sort": [{"@timestamp": "asc"}], "size": 2, "_source": ["message"]}
    hits = client.post("/api/search", json=body).json()["hits"]
    assert hits["total"] == {"value": 5, "relation": "eq"}
    assert [hit["_source"] for hit in hits["hits"]] == [{"message": "order accepted"}, {"message": "order received"}]
    assert hits["hits"][0]["_index"] == "christmas-logs-gateway-2026.11.22"


def test_search_by_get_takes_the_query_language(client: TestClient) -> None:
    hits = client.get("/api/search", params={"q": "level:error", "size": 1, "index": "christmas-logs-orders-*"}).json()
    assert hits["hits"]["total"]["value"] == 1
    assert len(hits["hits"]["hits"]) == 1


def test_a_trace_has_its_spans_callers_first_and_its_lines_in_order(client: TestClient) -> None:
    found = client.get(f"/api/traces/{TRACE}").json()
    assert [(span["service"], span["depth"], span["failed"]) for span in found["spans"]] == [
        ("gateway", 0, True),
        ("orders", 1, True),
        ("analysis_engine", 2, True),
    ]
    assert (found["lines"], found["errors"], found["duration_ms"]) == (5, 3, 50)
    assert found["events"][2]["_source"]["error"]["type"] == "ValueError"


def test_indices_status_and_metrics(client: TestClient) -> None:
    indices = client.get("/api/indices").json()
    assert [(row["name"], row["documents"]) for row in indices] == [
        ("christmas-logs-analysis_engine-2026.11.22", 1),
        ("christmas-logs-gateway-2026.11.22", 2),
        ("christmas-logs-orders-2026.11.22", 153),
    ]
    status = client.get("/api/status").json()
    assert (status["documents"], status["indices"], status["agent"]["lag_seconds"]) == (156, 3, 0.25)
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE shipper_agent_lines_total counter\nshipper_agent_lines_total 156.0\n" in metrics.text
    assert "\nshipper_agent_lag_seconds 0.25\n" in metrics.text
    assert "# TYPE shipper_agent_disk_free_bytes gauge\nshipper_agent_disk_free_bytes 7.0\n" in metrics.text
    assert "\nshipper_documents 156.0\n" in metrics.text
    assert "fault" not in metrics.text


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/api/logs?since=yesterday", "query"),
        ("/api/logs?limit=1001", "query.limit"),
        ("/api/logs?limit=x", "query.limit"),
        ("/api/logs?q=level:(", "query"),
        ("/api/search?size=-1", "query.size"),
        ("/api/traces/a%20b", "path.trace_id"),
    ],
)
def test_a_wrong_parameter_is_one_clear_answer(client: TestClient, path: str, where: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"what", "where", "do"}
    assert error["where"] == where
    assert all(error.values())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"querry": {}}',
        b'{"query": {"fuzzy": {"message": "x"}}}',
        b'{"size": 1001}',
        b'{"size": "many"}',
        b'{"query": ' + b'{"bool": {"must": ' * 2000 + b"1" + b"}}" * 2000 + b"}",
        b"[" * 60_000,
        b"\xff\xfe",
    ],
)
def test_a_wrong_body_is_one_clear_answer(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"what", "where", "do"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nothing", 404), ("GET", f"/api/traces/{'0' * 32}", 404), ("DELETE", "/api/logs", 405)],
)
def test_what_is_not_there(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"what", "where", "do"}


def test_the_description_covers_every_json_route(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/search",
        "/api/logs",
        "/api/traces/{trace_id}",
        "/api/indices",
        "/api/findings",
        "/api/status",
        "/metrics",
    }
    assert json.dumps(described).count("#/components/schemas/ErrorBody") > 20
