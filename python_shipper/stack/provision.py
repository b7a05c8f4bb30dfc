"""Applies what the stack consists of: users, roles, policies, templates; again and again with the same result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from python_shipper.errors import ConfigurationError, StackError
from python_shipper.stack import secrets
from python_shipper.stack.api import Api, RefusedError, UnreachableError

T = TypeVar("T")
Report = Callable[[str], None]
PAUSE_SECONDS = 1.0
# Folder of JSON files, one a resource with its name as file stem -> where each is put; in order of dependence.
RESOURCES = {
    "elasticsearch/roles": "/_security/role/{name}",
    "ilm_policies": "/_ilm/policy/{name}",
    "elasticsearch/component_templates": "/_component_template/{name}",
    "elasticsearch/index_templates": "/_index_template/{name}",
    "elasticsearch/snapshot_repositories": "/_snapshot/{name}",
    "elasticsearch/slm_policies": "/_slm/policy/{name}",
}


def definitions() -> Path:
    """The folder that holds elasticsearch/, ilm_policies/ and kibana/: here, the checkout, or the installed package.

    Raises:
        StackError: none of them does.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (Path.cwd(), package.parent, package / "_deploy"):
        if (folder / "elasticsearch" / "index_templates").is_dir():
            return folder
    raise StackError("elasticsearch/index_templates: not found here; run this in a checkout of python-shipper")


def apply_elasticsearch(api: Api, passwords: Mapping[str, str], wait_seconds: float, report: Report) -> None:
    """Set users and passwords, then put every definition.

    Args:
        api: Elasticsearch, without a user.
        passwords: Password by user name, as ``secrets.read`` gives them.
        wait_seconds: How long to wait for a server that does not answer yet.
        report: Takes a line a step.

    Raises:
        StackError: no answer in time, a wrong password for ``elastic``, or a definition that is refused.
    """
    admin = patiently(lambda: superuser(api, passwords), wait_seconds)
    patiently(lambda: require_ready(admin), wait_seconds)
    for path, name, body in resources(definitions()):
        admin.call("PUT", path, body)
        report(f"{path.rsplit('/', 1)[0]}: {name}")
    for name in (*secrets.MACHINES, *secrets.PEOPLE):
        set_user(admin, name, passwords[name])
    report(f"users: {', '.join((*secrets.MACHINES, *secrets.PEOPLE))}")


def resources(folder: Path) -> Iterator[tuple[str, str, Any]]:
    """Path, name and body of every JSON file of :data:`RESOURCES` below ``folder``."""
    for place, path in RESOURCES.items():
        for file in sorted((folder / place).glob("*.json")):
            yield path.format(name=file.stem), file.stem, read_json(file)


def read_json(file: Path) -> Any:
    """What ``file`` holds.

    Raises:
        ConfigurationError: it is not JSON; the message says where in the file.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{file}: not JSON ({error}); mend the file") from None


def superuser(api: Api, passwords: Mapping[str, str]) -> Api:
    """``api`` signed in as ``elastic``; if only its previous password is taken, the new one is set with it.

    Raises:
        StackError: neither password is taken, or no answer.
    """
    admin = replace(api, user="elastic", password=passwords["elastic"])
    if signs_in(admin):
        return admin
    previous = replace(admin, password=passwords.get("elastic" + secrets.PREVIOUS, ""))
    if not previous.password or not signs_in(previous):
        raise StackError(
            f"{api.url}: the password of elastic in the secrets is not the cluster's; restore the file it was made "
            "with, or set the cluster's with elasticsearch-reset-password inside the elasticsearch container"
        )
    previous.call("POST", "/_security/user/elastic/_password", {"password": admin.password})
    return admin


def signs_in(api: Api) -> bool:
    """Whether the server takes the user's password.

    Raises:
        StackError: no answer, or an answer that says nothing about the password.
    """
    try:
        api.call("GET", "/_security/_authenticate")
    except RefusedError as error:
        if error.status == 401:
            return False
        raise
    return True


def require_ready(api: Api) -> None:
    """Every primary shard is there.

    Raises:
        UnreachableError: not yet.
    """
    if api.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")["timed_out"]:
        raise UnreachableError(f"{api.url}: cluster health is still red")


def patiently(step: Callable[[], T], wait_seconds: float) -> T:
    """``step`` again and again until it succeeds: while a server starts it is absent, red, or knows no user yet.

    Raises:
        StackError: its last failure, once ``wait_seconds`` are over.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            return step()
        except StackError:
            if time.monotonic() >= until:
                raise
        time.sleep(PAUSE_SECONDS)


def set_user(admin: Api, name: str, password: str) -> None:
    """The user ``name`` with the role of the same name; Kibana's own user is built in, so only its password is set."""
    if name == "kibana_system":
        if not signs_in(replace(admin, user=name, password=password)):
            admin.call("POST", f"/_security/user/{name}/_password", {"password": password})
        return
    admin.call("PUT", f"/_security/user/{name}", {"password": password, "roles": [name], "enabled": True})
