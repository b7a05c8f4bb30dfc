"""The compose file on a Docker engine with stand-in images: order, health, secrets, `up` twice, rotation, `down`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from python_shipper.cli import elk as commands
from python_shipper.core.clock import parsed_ms
from python_shipper.core.names import log_index
from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import docker, doctor, elk, provision, secrets, sentinel
from python_shipper.stack.api import Api, UnreachableError
from tests.stack import engine

ROOT = Path(__file__).parents[2]
COPIED = ("elasticsearch", "ilm_policies", "kibana", "logstash", "filebeat", "python_shipper", "examples", "secrets")
FILES = ("docker-compose.yml", ".env.example", "Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt")
AWKWARD = """a$b"c'd`e\\f #g%h&i{j}"""
HASH_KEY = b"0123456789abcdef"
SERVERS = ("elasticsearch", "logstash", "kibana", "filebeat")

pytestmark = [pytest.mark.slow, pytest.mark.needs("docker", "go", "root"), pytest.mark.timeout(1200)]


@dataclass
class Stack:
    """A project folder of its own, and what ``up`` reported."""

    folder: Path
    settings: Settings
    said: list[str] = field(default_factory=list)

    def up(self, **options: bool) -> None:
        elk.up(self.settings, self.said.append, **options)

    def container(self, service: str) -> dict[str, Any]:
        name = next(each["ID"] for each in docker.containers() if each["Service"] == service)
        return dict(json.loads(docker.run("inspect", name))[0])

    def run_in(self, service: str, *command: str) -> str:
        return docker.compose("exec", "--no-TTY", service, *command)

    def api(self, name: str) -> Api:
        folder = self.settings.secrets_dir
        url = f"https://localhost:{docker.variables()['ELASTICSEARCH_PORT']}"
        return Api(url, name, secrets.read(folder / secrets.PASSWORDS)[name], folder / "ca.crt")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def copy_project(folder: Path) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.crt", "*.key"))
    (folder / "secrets" / secrets.PASSWORDS).unlink(missing_ok=True)
    for name in (*FILES, "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    # A container inside a container may not raise its limits; what they are is checked on the file.
    override = "services: {elasticsearch: {ulimits: !reset {}}}\n"
    (folder / "docker-compose.override.yml").write_text(override)


def somebody_elses(path: Path) -> str:
    """A key that only another user than the containers' may read."""
    path.write_bytes(HASH_KEY)
    path.chmod(0o600)
    os.chown(path, 4321, 4321)
    return str(path)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    here = tmp_path_factory.mktemp("engine")
    project = tmp_path_factory.mktemp("project")
    with engine.engine(here) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        engine.make_images(here)
        copy_project(project)
        patch.chdir(project)
        for port in ("ELASTICSEARCH_PORT", "KIBANA_PORT", "LOGSTASH_PORT"):
            patch.setenv(port, free_port())
        patch.setenv("COMPOSE_PROJECT_NAME", f"standins-{os.getpid()}")
        patch.setenv("STACK_VERSION", engine.VERSION)
        patch.setenv("SHIPPER_VERSION", "standin")
        patch.setenv("PYTHON_IMAGE", engine.BASE)
        patch.setattr(doctor, "MAP_COUNT", here / "absent")
        patch.setenv("LOG_HASH_KEY_FILE", somebody_elses(project / "hash.key"))
        here_secrets = Path("secrets") / secrets.PASSWORDS
        chosen = ("elastic", "logs_admin", "logstash_writer", "filebeat_monitor", "health_check", "kibana_system")
        secrets.write(here_secrets, {name: AWKWARD + name for name in chosen})
        running = Stack(project, Settings())
        try:
            running.up()
            yield running
        finally:
            docker.compose("--profile=*", "down", "--volumes", timeout_seconds=None)


def times(stack: Stack, service: str) -> tuple[str, str]:
    state = stack.container(service)["State"]
    return state["StartedAt"], state["FinishedAt"]


def first_healthy(stack: Stack, service: str) -> str:
    log = stack.container(service)["State"]["Health"]["Log"]
    return min((each["End"] for each in log if each["ExitCode"] == 0), default="")


def test_is_usable_here(stack: Stack) -> None:
    usable, reason = elk.usable(stack.settings)
    assert usable, reason
    assert reason.startswith("Docker ")


def test_each_waits_for_what_it_needs(stack: Stack) -> None:
    started = {service: times(stack, service)[0] for service in (*SERVERS, *elk.ONE_SHOTS)}
    finished = {service: times(stack, service)[1] for service in elk.ONE_SHOTS}
    assert finished["certificates"] < started["elasticsearch"]
    assert finished["setup"] < min(started["logstash"], started["kibana"])
    assert started["kibana-setup"] > started["kibana"]
    assert started["filebeat"] > started["logstash"]
    assert {service: stack.container(service)["State"]["ExitCode"] for service in elk.ONE_SHOTS} == dict.fromkeys(
        elk.ONE_SHOTS, 0
    )


def test_reports_progress_and_where_the_password_is(stack: Stack) -> None:
    said = "\n".join(stack.said)
    assert "elasticsearch: running (starting)" in said
    assert "a test line was searchable after" in said
    assert f"Kibana         https://localhost:{docker.variables()['KIBANA_PORT']}" in said
    assert "secrets/passwords" in said
    assert AWKWARD not in said


def test_every_service_is_hardened(stack: Stack) -> None:
    for service in (*SERVERS, *elk.ONE_SHOTS):
        made = stack.container(service)
        assert made["HostConfig"]["CapDrop"] == ["ALL"], service
        assert made["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"], service
        root_ok = service in ("filebeat", "certificates", "watch")
        assert made["Config"]["User"] not in ("", "root", "0:0") or root_ok, service


def test_no_password_in_the_environment_or_command_of_a_container(stack: Stack) -> None:
    known = secrets.read(stack.settings.secrets_dir / secrets.PASSWORDS).values()
    for service in (*SERVERS, *elk.ONE_SHOTS):
        shown = json.dumps(stack.container(service)["Config"], ensure_ascii=False)
        assert not [password for password in known if json.dumps(password)[1:-1] in shown], service


def test_each_service_has_its_own_secrets_only(stack: Stack) -> None:
    folders = {"elasticsearch": "config/secrets", "logstash": "secrets", "kibana": "secrets", "filebeat": "secrets"}
    seen = {service: set(stack.run_in(service, "ls", folder).split()) for service, folder in folders.items()}
    common = {"ca.crt"}
    assert seen["elasticsearch"] == common | {
        "elasticsearch.crt",
        "elasticsearch.key",
        "elastic_password",
        "health.curlrc",
    }
    assert seen["logstash"] == common | {"logstash.crt", "logstash.key", "logstash.env", "hash.key"}
    assert seen["kibana"] == common | {"kibana.crt", "kibana.key", "kibana.yml"}
    assert seen["filebeat"] == common | {"filebeat.crt", "filebeat.key", "filebeat.env"}
    assert stack.run_in("logstash", "stat", "-c", "%a %u:%g", "secrets/logstash.key").strip() == "400 1000:0"


def test_logstash_reads_the_hash_key_whoever_owns_it(stack: Stack) -> None:
    assert stack.run_in("logstash", "sh", "-c", 'cat "$LOG_HASH_KEY_FILE"').encode() == HASH_KEY


def test_secrets_on_this_machine_are_the_owners_only(stack: Stack) -> None:
    for name in (secrets.PASSWORDS, "ca.key", "logstash.key"):
        assert stat.S_IMODE((stack.settings.secrets_dir / name).stat().st_mode) == 0o600


def test_passwords_with_quotes_dollars_and_backticks_sign_in(stack: Stack) -> None:
    assert stack.api("logs_admin").password == AWKWARD + "logs_admin"
    assert stack.api("logs_admin").call("GET", "/_security/_authenticate")["username"] == "logs_admin"


def test_logstash_takes_no_sender_without_a_certificate(stack: Stack) -> None:
    context = ssl.create_default_context(cafile=str(stack.settings.secrets_dir / "ca.crt"))
    address = ("127.0.0.1", int(docker.variables()["LOGSTASH_PORT"]))
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"{}\n")
        assert secured.recv(10) == b"", "an answer without a client certificate"
        raise ConnectionError


def test_elasticsearch_speaks_tls_only_and_wants_a_password(stack: Stack) -> None:
    admin = stack.api("logs_admin")
    with pytest.raises(OSError):
        urllib.request.urlopen(admin.url.replace("https", "http"), timeout=10)
    assert not provision.signs_in(replace(admin, password="wrong password"))
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        replace(admin, authority=None).call("GET", "/")


def test_a_full_disk_is_a_log_line_for_the_alerting_rule(stack: Stack) -> None:
    lines = [json.loads(line) for line in (stack.folder / "logs/stack-watch.ecs.log").read_text().splitlines()]
    line = next(line for line in lines if line["event"].get("action") == "disk-usage")
    assert (line["log.level"], line["message"]) == ("error", "elasticsearch: 4.0 of 100.0 GiB free")
    index = log_index("stack-watch", parsed_ms(line["@timestamp"]))
    assert sentinel.count(stack.api("logs_admin"), index, line["event"]["id"]) == 1


def test_the_demo_profile_writes_lines_of_its_services(stack: Stack) -> None:
    services = ("gateway", "orders", "analysis_engine", "traffic")
    docker.compose("--profile=demo", "up", "--detach", *services, timeout_seconds=None)
    logs, until = stack.folder / "logs", time.monotonic() + 120
    while not all((logs / f"{name}.ecs.log").exists() for name in services[:3]) or orders_confirmed(logs) == 0:
        assert time.monotonic() < until, docker.compose("--profile=demo", "logs", "--tail=20", *services)
        time.sleep(0.5)
    docker.compose("--profile=demo", "rm", "--stop", "--force", *services, timeout_seconds=None)


def orders_confirmed(logs: Path) -> int:
    return (logs / "gateway.ecs.log").read_text().count('"order confirmed"')


def test_up_again_leaves_the_servers_running(stack: Stack) -> None:
    before = {service: stack.container(service)["Id"] for service in SERVERS}
    since = {service: times(stack, service)[0] for service in SERVERS}
    stack.up()
    assert {service: stack.container(service)["Id"] for service in SERVERS} == before
    assert {service: times(stack, service)[0] for service in SERVERS} == since


def test_rotated_passwords_work_and_the_old_ones_do_not(stack: Stack) -> None:
    for _ in range(2):
        old = {name: stack.api(name) for name in ("elastic", "logs_admin")}
        secrets.rotate(stack.settings.secrets_dir)
        stack.up(renew=True)
        for name, api in old.items():
            assert not provision.signs_in(api)
            assert provision.signs_in(stack.api(name))


def test_rotated_certificates_are_served(stack: Stack) -> None:
    address = ("127.0.0.1", int(docker.variables()["KIBANA_PORT"]))
    before = ssl.get_server_certificate(address)
    commands.rotate("certificates")
    assert ssl.get_server_certificate(address) != before
    assert provision.signs_in(stack.api("logs_admin"))


def test_a_failed_setup_is_named_with_its_reason(stack: Stack) -> None:
    broken = stack.folder / "elasticsearch" / "roles" / "broken.json"
    broken.write_text('{"cluster": [}')
    with pytest.raises(StackError, match=r"setup is exited \(2\): .*broken\.json: not JSON"):
        stack.up()
    broken.unlink()
    stack.up()


def test_down_leaves_no_container_and_keeps_the_data(stack: Stack) -> None:
    said: list[str] = []
    elk.down(stack.settings, said.append)
    assert docker.containers() == []
    assert elk.status(stack.settings) == {"running": False, "services": {}}
    volumes = docker.run("volume", "ls", "--quiet")
    assert f"standins-{os.getpid()}_data-elasticsearch" in volumes
    elk.down(stack.settings, said.append)
    assert said == ["stopping the ELK stack …"]


def test_erase_leaves_no_volume(stack: Stack) -> None:
    assert elk.present()
    commands.erase(yes=True)
    assert docker.volumes() == []
    assert not elk.present()
