"""Giving objects and rules to Kibana: what is sent, at first and again, and what is said when Kibana refuses."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from python_shipper.contract import contract
from python_shipper.errors import StackError
from python_shipper.stack import kibana
from python_shipper.stack.api import Api

ROOT = Path(__file__).parents[2]
RULES = {file.stem: json.loads(file.read_text()) for file in sorted((ROOT / "kibana/alerting_rules").glob("*.json"))}
(CONNECTOR,) = [json.loads(file.read_text()) for file in (ROOT / "kibana/connectors").glob("*.json")]
FIELD = re.compile(r"\b(?:@timestamp|[a-z_]+(?:\.[a-z_0-9]+)+)\b")


class Server(ThreadingHTTPServer):
    """Speaks the part of Kibana's API that setup uses, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any]] = []
        self.known: dict[str, Any] = {}
        self.refuses: dict[str, Any] | None = None

    def answered(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        if method != "GET" and headers.get("kbn-xsrf") is None:
            return 400, {"message": "Request must contain a kbn-xsrf header."}
        if path == "/api/saved_objects/_import?overwrite=true":
            head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
            (part,) = BytesParser().parsebytes(head + body).get_payload()
            lines = part.get_payload(decode=True).decode().splitlines()
            self.asked.append((method, path, [json.loads(line) for line in lines]))
            return 200, self.refuses or {"success": True, "successCount": len(lines)}
        if method == "GET":
            return (200, self.known[path]) if path in self.known else (404, {"message": "not found"})
        if (method == "POST") == (path in self.known):
            return 409, {"message": "POST makes, PUT changes"}
        self.known[path] = json.loads(body)
        self.asked.append((method, path, self.known[path]))
        return 200, self.known[path]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.server.answered(self.command, self.path, self.headers, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def apply(server: Server) -> list[str]:
    said: list[str] = []
    kibana.apply(Api(f"http://127.0.0.1:{server.server_address[1]}", "elastic", "secret"), ROOT / "kibana", said.append)
    return said


def test_everything_is_given_to_kibana(server: Server) -> None:
    said = apply(server)
    imported = server.asked[0][2]
    files = sorted((ROOT / "kibana/saved_objects").glob("*.json"))
    assert imported == [json.loads(file.read_text()) for file in files]
    assert said[0] == f"saved objects: {len(files)}"
    assert server.asked[1][:2] == ("POST", f"/api/actions/connector/{CONNECTOR['id']}"), "rules name the connector"
    assert {path for _, path, _ in server.asked[2:]} == {f"/api/alerting/rule/{rule['id']}" for rule in RULES.values()}


def test_a_second_time_changes_what_is_there(server: Server) -> None:
    apply(server)
    first, server.asked = server.asked, []
    apply(server)
    assert [path for _, path, _ in server.asked] == [path for _, path, _ in first]
    assert {method for method, _, _ in server.asked[1:]} == {"PUT"}
    assert all(not kibana.BORN_WITH & set(body) and "id" not in body for _, _, body in server.asked[1:])


def test_an_object_that_kibana_refuses_is_named(server: Server) -> None:
    error = {"type": "lens", "id": "x", "error": {"type": "unsupported_type"}}
    server.refuses = {"success": False, "errors": [error]}
    with pytest.raises(StackError, match=r"refused lens x: .*unsupported_type"):
        apply(server)


def test_the_rules_asked_for_are_there() -> None:
    assert set(RULES) == {
        "error-rate", "p95-duration", "silent-service", "dead-letters", "dead-letter-queue", "disk-watermark",
        "service-names",
    }  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_of_the_basic_licence_and_writes_to_our_index(name: str) -> None:
    rule = RULES[name]
    assert rule["rule_type_id"] in (".es-query", ".index-threshold")
    assert CONNECTOR["connector_type_id"] == ".index"
    assert {action["id"] for action in rule["actions"]} == {CONNECTOR["id"]}
    assert {action["group"] for action in rule["actions"]} == {
        "recovered", "query matched" if rule["rule_type_id"] == ".es-query" else "threshold met",
    }  # fmt: skip
    uuid.UUID(rule["id"])
    documents = [document for action in rule["actions"] for document in action["params"]["documents"]]
    mapped = json.loads((ROOT / "elasticsearch/index_templates/christmas-alerts.json").read_text())["template"][
        "mappings"
    ]
    assert all(set(document) <= set(mapped["properties"]) for document in documents)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule["rule_type_id"] == ".es-query"])
def test_a_rule_asks_for_fields_that_exist(name: str) -> None:
    query = re.sub(r'"[^"]*"', "", RULES[name]["params"]["esqlQuery"]["esql"])
    assert query.startswith("FROM christmas-logs-* | ")
    assert [field for field in FIELD.findall(query) if field not in contract().fields] == []


def test_the_rule_for_services_has_the_contracts_limit() -> None:
    rule, most = RULES["service-names"], contract().limits.service_names
    assert rule["params"]["esqlQuery"]["esql"].endswith(
        f" services = COUNT_DISTINCT(service.name) | WHERE services > {most}"
    )
    assert f" {most} " in rule["name"]


def test_ids_are_unique() -> None:
    ids = [CONNECTOR["id"], *(rule["id"] for rule in RULES.values())]
    assert len(set(ids)) == len(ids)
