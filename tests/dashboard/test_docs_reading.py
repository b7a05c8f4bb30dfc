"""docs/reading.md is held to the code: routes, query examples, request samples, limits and metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from python_shipper.agent import Agent
from python_shipper.dashboard.api import MOST_HITS
from python_shipper.dashboard.guard import MOST_BODY_BYTES
from python_shipper.dashboard.metrics import exposition
from python_shipper.dashboard.searches import Searches
from python_shipper.settings import Settings
from python_shipper.stack import embedded
from tests.dashboard.sample import TRACE

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
QUERIES = re.findall(r"^\| `(.+?)` \|", PAGE[PAGE.index("## Query") : PAGE.index("## Pages")], re.MULTILINE)
REQUESTS = re.findall(r"^\| `(GET|POST) (.+?)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_is_understood(client: TestClient, query: str) -> None:
    assert client.get("/api/logs", params={"q": query}).status_code == 200


def test_each_route_is_there_and_none_is_missing(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    documented = {(method.lower(), path.partition("?")[0]) for method, path in REQUESTS}
    assert documented == {(method, path) for path, methods in described.items() for method in methods}


@pytest.mark.parametrize(("method", "path"), [request for request in REQUESTS if request[0] == "GET"])
def test_each_request_answers(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path.replace("{trace_id}", TRACE)).status_code == 200


def test_the_sample_body_answers(client: TestClient) -> None:
    (body,) = re.findall(r"-d '(.*?)'", PAGE, re.DOTALL)
    answer = client.post("/api/search", content=body, headers={"Content-Type": "application/json"}).json()
    buckets = answer["aggregations"]["services"]["buckets"]
    assert {bucket["key"]: bucket["doc_count"] for bucket in buckets}["orders"] == 153


def test_the_limits_are_the_codes() -> None:
    said = "A request holds at most {} KB and an answer {:,} lines; one that takes longer than {:g} s is given up."
    assert said.format(MOST_BODY_BYTES // 1024, MOST_HITS, Searches().seconds) in PAGE


@pytest.mark.slow
def test_each_metric_is_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs")
    for name in ("DATA_DIR", "LOG_DIR"):
        embedded.make_folder(name, getattr(settings, name.lower()), "writable")
    agent = Agent(settings)
    agent.start()
    try:
        shown = exposition({"agent": agent.status()})[0].decode()
    finally:
        agent.stop()
    for metric in re.findall(r"^\| `(shipper_\w+)` \|", PAGE, re.MULTILINE):
        assert f"\n{metric} " in shown
