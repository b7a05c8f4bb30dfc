"""Evaluates AWS's two gates as its documentation describes them: IAM policies, then OpenSearch's fine-grained roles.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: within one account a request
is allowed if any identity-based or resource-based statement allows it and none denies it.
https://docs.opensearch.org/latest/security/access-control/: a backend role is mapped to roles; index patterns are
wildcards or /regular expressions/.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCESS = Path(__file__).parents[2] / "kibana" / "access"
ARN = "arn:aws:es:REGION:ACCOUNT_ID:domain/christmas-logs"
ROLE = "arn:aws:iam::ACCOUNT_ID:role/"
ACTION_GROUPS = {
    "read": ["indices:data/read*", "indices:admin/mappings/fields/get*", "indices:admin/resolve/index"],
    "create_index": ["indices:admin/create", "indices:admin/mapping/put"],
    "indices_all": ["indices:*"],
}


@dataclass(frozen=True)
class Request:
    """One HTTP request to the domain: who, which verb and path, from where, and whether over TLS."""

    role: str
    method: str
    path: str
    source: str
    tls: bool = True


def load(folder: str) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((ACCESS / folder).glob("*.json"))}


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def within(source: str, networks: Any) -> bool:
    return any(ipaddress.ip_address(source) in ipaddress.ip_network(network) for network in several(networks))


# Operator -> whether the request meets it; a condition that is not in this table fails the test.
CONDITIONS: dict[str, Callable[[Request, dict[str, Any]], bool]] = {
    "IpAddress": lambda request, keys: within(request.source, keys["aws:SourceIp"]),
    "NotIpAddress": lambda request, keys: not within(request.source, keys["aws:SourceIp"]),
    "Bool": lambda request, keys: keys["aws:SecureTransport"] == str(request.tls).lower(),
}


def matches(text: str, patterns: Any) -> bool:
    """IAM's wildcards: `*` any characters, `?` one; nothing else is special."""
    expressions = (re.escape(each).replace(r"\*", ".*").replace(r"\?", ".") for each in several(patterns))
    return any(re.fullmatch(expression, text) for expression in expressions)


def applies(statement: dict[str, Any], request: Request) -> bool:
    principals = several(statement.get("Principal", {}).get("AWS", "*"))
    return (
        (principals == ["*"] or ROLE + request.role in principals)
        and matches(f"es:ESHttp{request.method.capitalize()}", statement["Action"])
        and matches(f"{ARN}/{request.path}", statement["Resource"])
        and all(CONDITIONS[name](request, keys) for name, keys in statement.get("Condition", {}).items())
    )


def iam_allows(request: Request) -> bool:
    """The first gate: the domain's policy and the policy of the caller's IAM role."""
    policies = load("iam")
    own = policies.get(request.role, {"Statement": []})
    statements = [*policies["domain-access-policy"]["Statement"], *own["Statement"]]
    effects = {statement["Effect"] for statement in statements if applies(statement, request)}
    return effects == {"Allow"}


def roles_of(iam_role: str) -> list[str]:
    """The OpenSearch roles that an IAM role is mapped to."""
    return [name for name, mapping in load("roles_mapping").items() if ROLE + iam_role in mapping["backend_roles"]]


def covers(pattern: str, index: str) -> bool:
    if pattern.startswith("/"):
        return re.fullmatch(pattern.strip("/"), index) is not None
    return fnmatch.fnmatchcase(index, pattern)


def permitted(actions: Iterable[str], action: str) -> bool:
    return any(fnmatch.fnmatchcase(action, each) for name in actions for each in ACTION_GROUPS.get(name, [name]))


def index_permissions(iam_role: str, index: str, action: str) -> list[dict[str, Any]]:
    """The second gate: the permissions by which ``iam_role`` may do ``action`` on ``index``; none: refused."""
    roles = load("roles")
    granted = [each for name in roles_of(iam_role) if name in roles for each in roles[name]["index_permissions"]]
    return [
        each
        for each in granted
        if any(covers(pattern, index) for pattern in each["index_patterns"])
        and permitted(each["allowed_actions"], action)
    ]


def hidden(permission: dict[str, Any], field: str) -> bool:
    """Whether field-level security leaves ``field`` out (`~` excludes)."""
    return any(fnmatch.fnmatchcase(field, each[1:]) for each in permission["fls"] if each.startswith("~"))
