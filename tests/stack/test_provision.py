"""Setting up on a real Elasticsearch: users, roles, awkward passwords, a rotated superuser; waiting for a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from python_shipper.errors import StackError
from python_shipper.stack import backup, provision, secrets
from python_shipper.stack.api import Api, RefusedError, UnreachableError
from python_shipper.stack.provision import read_json
from tests.stack.elasticsearch import Server

AWKWARD = """a$b"c'd`e\\f #g%h&i{j}é:k"""
ROOT = Path(__file__).parents[2]
NOBODY_THERE = Api("http://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.needs("whole-elasticsearch")
def test_a_user_signs_in_with_a_password_of_quotes_dollars_and_backticks(elasticsearch: Server) -> None:
    admin = elasticsearch.api()
    for password in (AWKWARD, AWKWARD + "2", AWKWARD + "2"):
        provision.set_user(admin, "logs_viewer", password)
        assert provision.signs_in(replace(admin, user="logs_viewer", password=password))


@pytest.mark.slow
@pytest.mark.needs("whole-elasticsearch")
def test_kibanas_own_user_gets_its_password_once(elasticsearch: Server) -> None:
    admin = elasticsearch.api()
    kibana = replace(admin, user="kibana_system", password=AWKWARD)
    assert not provision.signs_in(kibana)
    provision.set_user(admin, "kibana_system", AWKWARD)
    provision.set_user(admin, "kibana_system", AWKWARD)
    assert provision.signs_in(kibana)


@pytest.mark.slow
@pytest.mark.needs("whole-elasticsearch")
def test_every_role_file_is_taken_twice(elasticsearch: Server) -> None:
    roles = [each for each in provision.resources(ROOT) if each[0].startswith("/_security/role/")]
    assert {name for _, name, _ in roles} >= set(secrets.PEOPLE) | {
        "logstash_writer",
        "filebeat_monitor",
        "health_check",
    }
    for path, _, body in [*roles, *roles]:
        elasticsearch.api().call("PUT", path, body)


@pytest.mark.slow
@pytest.mark.needs("whole-elasticsearch")
def test_a_rotated_superuser_signs_in_by_its_previous_password_once(elasticsearch: Server) -> None:
    admin, plain = elasticsearch.api(), Api(elasticsearch.url, authority=elasticsearch.authority)
    admin.call("POST", "/_security/user/elastic/_password", {"password": "first password"})
    rotated = {"elastic": AWKWARD, "elastic.previous": "first password"}
    assert provision.superuser(plain, rotated).password == AWKWARD
    assert provision.superuser(plain, {"elastic": AWKWARD}).password == AWKWARD
    with pytest.raises(StackError, match=r"the password of elastic in the secrets is not the cluster's; restore"):
        provision.superuser(plain, {"elastic": "neither of these"})


@pytest.mark.slow
@pytest.mark.needs("maven")
def test_a_refusal_carries_elasticsearchs_reason(elasticsearch: Server) -> None:
    with pytest.raises(RefusedError, match=r"PUT .*/_index_template/x: 400 .*unknown field \[nonsense\]"):
        elasticsearch.api().call("PUT", "/_index_template/x", {"nonsense": 1})


def test_a_server_that_is_not_there_is_waited_for_then_named() -> None:
    calls = []

    def step() -> None:
        calls.append(1)
        NOBODY_THERE.call("GET", "/")

    with pytest.raises(UnreachableError, match=r"GET http://127\.0\.0\.1:9/: .*refused"):
        provision.patiently(step, 1.5)
    assert len(calls) == 3


def test_definitions_come_from_the_current_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provision.definitions() == ROOT
    (tmp_path / "elasticsearch" / "index_templates").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert provision.definitions() == tmp_path


def test_policies_come_before_the_templates_that_name_them() -> None:
    paths = [path.rsplit("/", 1)[0] for path, _, _ in provision.resources(ROOT)]
    order = list(dict.fromkeys(paths))
    assert order.index("/_ilm/policy") < order.index("/_component_template") < order.index("/_index_template")
    assert order.index("/_snapshot") < order.index("/_slm/policy")


@pytest.fixture
def repository(elasticsearch: Server) -> Server:
    """A server with a backup repository below its `path.repo`, and one document."""
    admin = elasticsearch.api()
    settings = read_json(ROOT / "elasticsearch/snapshot_repositories/backups.json") | {
        "settings": {"location": "tried"}
    }
    admin.call("PUT", "/_snapshot/backups", settings)
    document = {"@timestamp": "2026-03-04T05:06:07.000Z", "message": "kept", "ecs.version": "9.4.0"}
    admin.call("PUT", "/christmas-logs-backup-2026.03.04/_doc/kept?refresh=true", document)
    return elasticsearch


@pytest.mark.slow
@pytest.mark.needs("maven")
def test_a_backup_is_restored_beside_what_is_there(repository: Server) -> None:
    admin, said = repository.api("logs_admin"), list[str]()
    name = backup.backup(admin, said.append)
    repository.api().call("DELETE", "/christmas-logs-backup-2026.03.04")
    restored = backup.restore(admin, None, said.append)
    assert "christmas-restored-logs-backup-2026.03.04" in restored
    found = admin.call("GET", "/christmas-restored-logs-backup-2026.03.04/_search")["hits"]["hits"]
    assert [hit["_source"]["message"] for hit in found] == ["kept"]
    assert said[0].startswith(f"backup {name}: ")
    with pytest.raises(StackError, match=f"no backup nonsense; there are: .*{name}"):
        backup.restore(admin, "nonsense", said.append)
    with pytest.raises(StackError, match="same name already exists"):
        backup.restore(admin, name, said.append)
    # A later backup holds what was restored; it is not restored a second time.
    backup.backup(admin, said.append)
    for index in restored:
        repository.api().call("DELETE", f"/{index}")
    again = backup.restore(admin, None, said.append)
    assert set(again) <= set(restored)
    for index in again:
        repository.api().call("DELETE", f"/{index}")
