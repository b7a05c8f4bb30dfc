"""Access on AWS by role, source and index: requests that must be allowed, and requests that must be denied."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.kibana import access
from tests.kibana.access import Request

ROOT = Path(__file__).parents[2]
OFFICE, SUBNET, ELSEWHERE = "203.0.113.9", "10.0.4.2", "198.51.100.7"
VIEWER, SUPPORT, ORDERS = "christmas-logs-viewer", "christmas-logs-support", "christmas-orders-viewer"
ADMIN, AUDITOR, LOGSTASH = "christmas-logs-admin", "christmas-audit-reader", "christmas-logstash"
LOGS, OTHER = "christmas-logs-orders-2026.11.22", "christmas-logs-orders-eu-2026.11.22"
DEAD, AUDIT = "christmas-dead-letters-2026.11.22", "christmas-audit-2026.11.22"
READ, WRITE, DELETE = "indices:data/read/search", "indices:data/write/bulk[s]", "indices:admin/delete"

ALLOWED = [
    Request(VIEWER, "GET", "_dashboards/app/discover", OFFICE),
    Request(VIEWER, "POST", "_dashboards/internal/search/opensearch", OFFICE),
    Request(VIEWER, "POST", f"{LOGS}/_search", OFFICE),
    Request(VIEWER, "GET", "christmas-logs-*/_count", OFFICE),
    Request(ORDERS, "POST", f"{LOGS}/_search", OFFICE),
    Request(SUPPORT, "POST", f"{DEAD}/_search", OFFICE),
    Request(AUDITOR, "POST", f"{AUDIT}/_search", OFFICE),
    Request(ADMIN, "DELETE", LOGS, OFFICE),
    Request(ADMIN, "PUT", "_plugins/_security/api/roles/logs_viewer", OFFICE),
    Request(LOGSTASH, "POST", "_bulk", SUBNET),
    Request(LOGSTASH, "POST", f"{LOGS}/_bulk", SUBNET),
]
DENIED = [
    # by source
    Request(VIEWER, "GET", "_dashboards/app/discover", ELSEWHERE),
    Request(ADMIN, "DELETE", LOGS, ELSEWHERE),
    Request(VIEWER, "POST", f"{LOGS}/_search", SUBNET),
    Request(LOGSTASH, "POST", "_bulk", OFFICE),
    # without TLS
    Request(VIEWER, "GET", "_dashboards/app/discover", OFFICE, tls=False),
    Request(ADMIN, "GET", "_cat/indices", OFFICE, tls=False),
    # by index, also when hidden in a list
    Request(VIEWER, "POST", f"{AUDIT}/_search", OFFICE),
    Request(VIEWER, "POST", f"{LOGS},{AUDIT}/_search", OFFICE),
    Request(VIEWER, "POST", f"{DEAD}/_search", OFFICE),
    Request(ORDERS, "POST", f"{OTHER}/_search", OFFICE),
    Request(ORDERS, "POST", "christmas-logs-*/_search", OFFICE),
    Request(SUPPORT, "POST", f"{DEAD},{AUDIT}/_search", OFFICE),
    Request(AUDITOR, "POST", f"{LOGS}/_search", OFFICE),
    # by role: reading is not writing, writing is not reading, and a stranger is nobody
    Request(VIEWER, "DELETE", LOGS, OFFICE),
    Request(VIEWER, "POST", "_bulk", OFFICE),
    Request(SUPPORT, "PUT", "_plugins/_security/api/roles/logs_support", OFFICE),
    Request(LOGSTASH, "POST", f"{LOGS}/_search", SUBNET),
    Request(LOGSTASH, "GET", "_dashboards/app/discover", SUBNET),
    Request("some-other-role", "GET", "_dashboards/app/discover", OFFICE),
]
INDEX_ALLOWED = [
    (VIEWER, LOGS, READ), (VIEWER, OTHER, READ), (ORDERS, LOGS, READ), (SUPPORT, LOGS, READ), (SUPPORT, DEAD, READ),
    (AUDITOR, AUDIT, READ), (ADMIN, LOGS, DELETE), (ADMIN, AUDIT, READ), (LOGSTASH, LOGS, WRITE),
    (LOGSTASH, DEAD, WRITE),
]  # fmt: skip
INDEX_DENIED = [
    (VIEWER, AUDIT, READ), (VIEWER, DEAD, READ), (VIEWER, LOGS, WRITE), (VIEWER, LOGS, DELETE), (ORDERS, OTHER, READ),
    (ORDERS, DEAD, READ), (SUPPORT, AUDIT, READ), (AUDITOR, LOGS, READ), (LOGSTASH, LOGS, READ),
    (LOGSTASH, AUDIT, WRITE),
    (LOGSTASH, LOGS, DELETE), ("some-other-role", LOGS, READ),
]  # fmt: skip


@pytest.mark.parametrize("request_", ALLOWED, ids=str)
def test_iam_lets_in(request_: Request) -> None:
    assert access.iam_allows(request_)


@pytest.mark.parametrize("request_", DENIED, ids=str)
def test_iam_keeps_out(request_: Request) -> None:
    assert not access.iam_allows(request_)


@pytest.mark.parametrize(("role", "index", "action"), INDEX_ALLOWED)
def test_an_index_is_open_to(role: str, index: str, action: str) -> None:
    assert access.index_permissions(role, index, action)


@pytest.mark.parametrize(("role", "index", "action"), INDEX_DENIED)
def test_an_index_is_closed_to(role: str, index: str, action: str) -> None:
    assert not access.index_permissions(role, index, action)


def test_support_sees_no_personal_fields() -> None:
    (permission,) = access.index_permissions(SUPPORT, LOGS, READ)
    for field in ("user.email", "user.full_name", "client.ip", "http.request.body.content"):
        assert access.hidden(permission, field)
    for field in ("message", "trace.id", "user.id"):
        assert not access.hidden(permission, field)


def test_roles_are_those_of_our_own_elasticsearch() -> None:
    licensed = ROOT / "elasticsearch/roles/licensed/logs_support.json"
    for name, role in access.load("roles").items():
        file = ROOT / f"elasticsearch/roles/{name}.json"
        if name == "logs_admin" or not file.exists():
            continue
        ours = json.loads(file.read_text())["indices"][0]["names"]
        assert role["index_permissions"][0]["index_patterns"] == ours, name
    excepted = json.loads(licensed.read_text())["indices"][0]["field_security"]["except"]
    assert access.load("roles")["logs_support"]["index_permissions"][0]["fls"] == [f"~{field}" for field in excepted]


def test_every_mapping_and_policy_names_roles_that_exist() -> None:
    iam_roles = set(access.load("iam")) - {"domain-access-policy"}
    mapped = {
        each.removeprefix(access.ROLE)
        for mapping in access.load("roles_mapping").values()
        for each in mapping["backend_roles"]
    }
    named = set(re.findall(r":role/([a-z-]+)", json.dumps(access.load("iam"))))
    assert mapped == iam_roles
    assert named == iam_roles
    assert set(access.load("roles_mapping")) - {"kibana_user"} == set(access.load("roles"))


def test_every_document_names_the_same_domain_and_account() -> None:
    text = json.dumps([access.load("iam"), access.load("roles_mapping")])
    assert set(re.findall(r"arn:aws:es:([^\"/]*/[a-z-]+)", text)) == {"REGION:ACCOUNT_ID:domain/christmas-logs"}
    assert set(re.findall(r"arn:aws:iam::([^:]*):", text)) == {"ACCOUNT_ID"}
