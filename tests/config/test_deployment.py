"""What one deployment file names, another one holds: services, variables, paths, ports, users, policies, versions."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from python_shipper.core.names import log_index
from python_shipper.settings import Settings
from python_shipper.stack import certificates, handout, provision, secrets
from tests.kibana import panels
from tests.stack import engine, obtain

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)([^}]*)\}")
ELASTIC = {"elasticsearch": "elasticsearch", "logstash": "logstash", "kibana": "kibana", "filebeat": "elastic/filebeat"}
ONE_SHOTS = {"certificates", "setup", "kibana-setup"}


class Compose(yaml.SafeLoader):
    """Reads Compose's own tag, which empties a list of the file beneath."""


Compose.add_constructor("!reset", lambda loader, node: [])


def compose_file(name: str) -> Any:
    return yaml.load((ROOT / name).read_text(), Loader=Compose)  # noqa: S506 - a safe loader's child


FILES = {name: (ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.cluster.yml")}
SERVICES: dict[str, Any] = compose_file("docker-compose.yml")["services"]
DEFAULT = {name: each for name, each in SERVICES.items() if "profiles" not in each}


def example_variables() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def json_files(folder: str) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((ROOT / folder).glob("*.json"))}


def text_of(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*")) if path.is_file())


def test_the_services_are_those_asked_for() -> None:
    assert set(DEFAULT) == set(ELASTIC) | ONE_SHOTS | {"watch"}
    assert {name: each["image"] for name, each in DEFAULT.items() if name in ELASTIC} == {
        name: f"{image}:${{STACK_VERSION}}" for name, image in ELASTIC.items()
    }
    assert {name for name in SERVICES if SERVICES[name].get("profiles") == ["demo"]} == {
        "gateway", "orders", "analysis_engine", "traffic",
    }  # fmt: skip


def test_every_variable_has_a_value_and_every_value_a_use() -> None:
    named = [match for text in FILES.values() for match in VARIABLE.finditer(text)]
    assert {match[1] for match in named if not match[2]} == set(example_variables())
    assert {match[1] for match in named if match[2]} == {"LOG_HASH_KEY_FILE", "LOG_MASKING_FILE", "LOG_SERVICES"}


@pytest.mark.parametrize("name", sorted(ELASTIC))
def test_a_server_is_bounded_watched_and_hardened(name: str) -> None:
    each = SERVICES[name]
    assert each["mem_limit"].startswith(f"${{{name.upper()}_MEMORY")
    assert each["healthcheck"]["test"]
    assert each["restart"] == "unless-stopped"
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["logging"]["options"]["max-size"]
    assert f"data-{name}:" in "".join(each["volumes"])
    assert all(port.startswith("${BIND_ADDRESS}:") for port in each.get("ports", []))
    assert (each.get("user") == "root") == (name == "filebeat")


def test_heap_is_half_of_the_memory_at_most() -> None:
    values = example_variables()
    for name in ("ELASTICSEARCH", "LOGSTASH"):
        assert size(values[f"{name}_HEAP"]) * 2 <= size(values[f"{name}_MEMORY"])
    assert values["BIND_ADDRESS"] == "127.0.0.1"


def size(text: str) -> int:
    return int(text[:-1]) * {"m": 2**20, "g": 2**30}[text[-1]]


def test_one_version_everywhere() -> None:
    assert example_variables()["STACK_VERSION"] == obtain.ELASTIC
    assert example_variables()["SHIPPER_VERSION"] in (ROOT / "pyproject.toml").read_text()
    assert engine.VERSION != obtain.ELASTIC, "stand-ins must never take a real image's name"


def mounts() -> list[tuple[str, str, str]]:
    return [
        (name, *volume.split(":")[:2])
        for name, each in SERVICES.items()
        for volume in each.get("volumes", [])
        if isinstance(volume, str) and not volume.startswith("$")
    ]


def test_every_mounted_path_is_in_the_repository() -> None:
    assert [source for _, source, _ in mounts() if source.startswith("./") and not (ROOT / source).exists()] == []


def test_every_volume_that_is_mounted_is_declared_and_the_other_way_round() -> None:
    declared = set(compose_file("docker-compose.yml")["volumes"])
    assert {source for _, source, _ in mounts() if not source.startswith("./")} == declared


# Where a service sees its secrets, and the configuration that names files in there.
SECRETS = {
    "elasticsearch": (r"secrets/([a-z_.]+)", ["elasticsearch/elasticsearch.yml", "docker-compose.yml"]),
    "logstash": (r"/logstash/secrets/([a-z.]+)", ["logstash"]),
    "kibana": (r"/kibana/secrets/([a-z.]+)", ["kibana/kibana.yml", "docker-compose.yml"]),
    "filebeat": (r"/secrets/([a-z.]+)", ["filebeat"]),
}


@pytest.mark.parametrize("service", SECRETS)
def test_every_secret_that_a_configuration_names_is_handed_out(service: str) -> None:
    pattern, places = SECRETS[service]
    text = "\n".join(text_of(place) if (ROOT / place).is_dir() else (ROOT / place).read_text() for place in places)
    if service == "elasticsearch":
        text = "\n".join(re.findall(r"(?:config/)?secrets/elastic.*|secrets/ca.crt", text))
    handed = {"ca.crt", f"{service}.crt", f"{service}.key", *handout.FILES[service]}
    named = set(re.findall(pattern, text))
    assert named
    assert named <= handed


def test_every_variable_of_a_configuration_is_given_to_its_container() -> None:
    given = {
        "logstash": {*SERVICES["logstash"]["environment"], "LOGSTASH_WRITER_PASSWORD"},
        "filebeat": {*SERVICES["filebeat"]["environment"], "FILEBEAT_MONITOR_PASSWORD"},
    }
    for name, variables in given.items():
        needed = {match[1] for match in VARIABLE.finditer(text_of(name)) if not match[2].startswith(":")}
        assert needed <= variables, name
    everything = handout.FILES["logstash"]["logstash.env"](dict.fromkeys(secrets.NAMES, "x" * 12))
    assert everything.startswith("export LOGSTASH_WRITER_PASSWORD=")


def test_logstash_reads_masking_files_where_they_are_handed_out() -> None:
    one_shot, logstash = SERVICES["certificates"], SERVICES["logstash"]
    given = {volume["target"]: volume["source"] for volume in one_shot["volumes"] if isinstance(volume, dict)}
    for setting, name in (("LOG_HASH_KEY_FILE", "hash.key"), ("LOG_MASKING_FILE", "masking.yml")):
        assert given[f"/given/{name}"] == f"${{{setting}:-/dev/null}}"
        assert one_shot["environment"][setting] == f"${{{setting}:+/given/{name}}}"
        assert logstash["environment"][setting] == f"${{{setting}:+/usr/share/logstash/secrets/{name}}}"
        assert name in handout.masking_files(Settings())


def test_hosts_and_ports_agree() -> None:
    assert "port => 5044" in text_of("logstash/pipeline")
    assert SERVICES["filebeat"]["environment"]["LOGSTASH_HOSTS"] == "logstash:5044"
    assert SERVICES["logstash"]["ports"][0].endswith(":5044")
    assert "https://elasticsearch:9200" in (ROOT / "kibana" / "kibana.yml").read_text()
    assert "api.http.port: 9600" in (ROOT / "logstash" / "config" / "logstash.yml").read_text()
    assert "127.0.0.1:9600" in SERVICES["logstash"]["healthcheck"]["test"][1]
    mounted = {target for _, _, target in mounts()} | {"/var/log/shipper"}
    assert "/var/log/shipper" in (ROOT / "filebeat" / "inputs.d" / "ecs.yml").read_text()
    assert "${LOG_DIR}:/var/log/shipper:ro" in SERVICES["filebeat"]["volumes"]
    assert SERVICES["logstash"]["environment"]["CONTRACT_DIR"] in mounted
    assert SERVICES["logstash"]["environment"]["ILM_DIR"] in mounted


def test_every_host_that_is_called_is_on_a_certificate() -> None:
    called = set(re.findall(r"https://([a-z0-9-]+):(?:9200|5601)", FILES["docker-compose.yml"]))
    called |= {host.split(":")[0] for host in re.findall(r"logstash\w*:5044", "".join(FILES.values()))}
    named = {name for names in certificates.SERVICES.values() for name in (*names, *certificates.LOCAL)}
    assert called <= named
    nodes = set(compose_file("docker-compose.cluster.yml")["services"]) & {"es02", "es03"}
    assert nodes <= set(certificates.SERVICES["elasticsearch"])


def test_every_user_has_its_role_and_every_role_its_user() -> None:
    roles = set(json_files("elasticsearch/roles"))
    assert roles == {*secrets.MACHINES, *secrets.PEOPLE} - {"kibana_system"}
    named = set(re.findall(r'user(?:name)?\s*(?:=>|:)\s*"?([a-z_]+)"?', text_of("logstash") + text_of("filebeat")))
    assert named == {"logstash_writer", "filebeat_monitor"}
    assert "elasticsearch.username: kibana_system" in (ROOT / "kibana" / "kibana.yml").read_text()


def test_nobody_but_setup_uses_the_superuser() -> None:
    for place in ("logstash", "filebeat", "kibana", "elasticsearch"):
        assert not re.search(r"user(name)?\W+elastic\b", text_of(place)), place


def test_templates_are_made_of_what_exists() -> None:
    components, policies = json_files("elasticsearch/component_templates"), json_files("ilm_policies")
    for name, template in json_files("elasticsearch/index_templates").items():
        assert set(template["composed_of"]) <= set(components), name
        assert template["priority"] >= 200, name
    for name, component in components.items():
        index = component["template"].get("settings", {}).get("index", {})
        assert index.get("lifecycle", {}).get("name", next(iter(policies))) in policies, name


def test_every_data_view_shows_indices_of_a_template() -> None:
    patterns = [p for each in json_files("elasticsearch/index_templates").values() for p in each["index_patterns"]]
    views = [
        each["attributes"]["title"] for (kind, _), each in panels.saved_objects().items() if kind == "index-pattern"
    ]
    assert [view for view in views if view not in patterns] == []
    assert any(fnmatch.fnmatch(log_index("orders", 0), pattern) for pattern in patterns)


def test_backups_go_where_elasticsearch_may_write() -> None:
    (repository,) = json_files("elasticsearch/snapshot_repositories").items()
    place = repository[1]["settings"]["location"]
    assert f"path.repo: {place}" in (ROOT / "elasticsearch" / "elasticsearch.yml").read_text()
    assert f"backups:{place}" in SERVICES["elasticsearch"]["volumes"]
    assert {each["repository"] for each in json_files("elasticsearch/slm_policies").values()} == {repository[0]}


def test_setup_applies_every_folder_of_definitions() -> None:
    folders = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "elasticsearch").glob("*/*.json")}
    assert folders | {"ilm_policies"} == set(provision.RESOURCES)
    applied = [source for name, source, _ in mounts() if name == "setup"]
    assert {"./elasticsearch", "./ilm_policies", "./kibana"} <= set(applied)


CONFIGURATIONS = {
    "default": ({}, {*DEFAULT}),
    "demo": ({"COMPOSE_PROFILES": "demo"}, {*SERVICES}),
    "cluster": (
        {"COMPOSE_FILE": "docker-compose.yml:docker-compose.cluster.yml"},
        {*DEFAULT, "es02", "es03", "logstash02"},
    ),
}


@pytest.fixture(scope="module")
def docker_environment() -> dict[str, str]:
    plain = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    return dict(os.environ) | ({} if plain else {"DOCKER_CONFIG": str(engine.compose_plugin())})


@pytest.mark.slow
@pytest.mark.needs("docker", "go")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_compose_accepts_each_configuration(name: str, docker_environment: dict[str, str]) -> None:
    variables, services = CONFIGURATIONS[name]
    done = subprocess.run(
        ["docker", "compose", "--env-file", ".env.example", "config", "--format", "json"],
        cwd=ROOT, env=docker_environment | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == services
    assert "variable is not set" not in done.stderr


@pytest.mark.slow
@pytest.mark.needs("docker", "go")
def test_the_cluster_has_three_nodes_and_one_open_port(docker_environment: dict[str, str]) -> None:
    files = CONFIGURATIONS["cluster"][0]
    done = subprocess.run(
        ["docker", "compose", "--env-file", ".env.example", "config", "--format", "json"],
        cwd=ROOT, env=docker_environment | files, capture_output=True, text=True, check=True,
    )  # fmt: skip
    services = json.loads(done.stdout)["services"]
    nodes = {name: services[name] for name in ("elasticsearch", "es02", "es03")}
    assert {each["environment"]["node.name"] for each in nodes.values()} == set(nodes)
    assert {each["environment"]["cluster.initial_master_nodes"] for each in nodes.values()} == {
        "elasticsearch,es02,es03"
    }
    assert [name for name, each in nodes.items() if each.get("ports")] == ["elasticsearch"]
    data = [v["source"] for each in nodes.values() for v in each["volumes"] if v["target"].endswith("/data")]
    assert len(set(data)) == 3
    assert services["filebeat"]["environment"]["LOGSTASH_HOSTS"] == "logstash:5044,logstash02:5044"


# What a server answers its health check -> whether it is ready; None: no answer, or an HTTP error.
READY = {
    "elasticsearch": ['{"cluster_name":"c","status":"yellow","timed_out":false}'],
    "logstash": ['{"host":"l","status":"green","indicators":{"pipelines":{"status":"yellow"}}}'],
    "kibana": ['{"status":{"overall":{"level":"available"}}}'],
}
NOT_READY = {
    "elasticsearch": [None, '{"cluster_name":"c","status":"red","timed_out":true}'],
    "logstash": [None, '{"status":"unknown","indicators":{}}', '{"status":"red","indicators":{"p":{"status":"red"}}}'],
    "kibana": [None, '{"status":{"overall":{"level":"degraded"}}}'],
}


@pytest.mark.parametrize("name", READY)
def test_a_health_check_fails_while_the_server_is_not_ready(name: str, tmp_path: Path) -> None:
    assert [healthy(name, answer, tmp_path) for answer in READY[name]] == [True] * len(READY[name])
    assert [healthy(name, answer, tmp_path) for answer in NOT_READY[name]] == [False] * len(NOT_READY[name])


def healthy(name: str, answer: str | None, folder: Path) -> bool:
    """The health check's shell line, with a curl that gives ``answer``."""
    curl = folder / "curl"
    curl.write_text("#!/bin/sh\nexit 22\n" if answer is None else f"#!/bin/sh\nprintf '%s\\n' '{answer}'\n")
    curl.chmod(0o755)
    kind, line = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", line.replace("$$", "$")], env=environment, check=False).returncode == 0
