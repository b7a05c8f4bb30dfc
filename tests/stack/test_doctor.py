"""The doctor: each bad machine gets its own sentence, before anything is started."""

from __future__ import annotations

import re
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import certificates, docker, doctor, elk
from python_shipper.stack.doctor import GIB, Machine

Usage = namedtuple("Usage", "total used free")
SERVICES = {
    "elasticsearch": {"image": "elasticsearch:9.5.3", "mem_limit": str(2 * GIB)},
    "logstash": {"image": "logstash:9.5.3"},
    "kibana": {"image": "kibana:9.5.3"},
    "filebeat": {"image": "elastic/filebeat:9.5.3"},
}


def machine(**other: Any) -> Machine:
    """A good machine, but for ``other``."""
    good = {
        "settings": Settings(secrets_dir=Path("absent")),
        "config": {"services": SERVICES},
        "info": {"MemTotal": 8 * GIB, "DockerRootDir": "/absent"},
        "containers": [],
    }
    return Machine(**(good | other))


def found(check: Callable[[Machine], Any], **other: Any) -> list[tuple[str, str]]:
    return [(each.level, each.message) for each in doctor.guarded(check, machine(**other))]


def one(check: Callable[[Machine], Any], **other: Any) -> tuple[str, str]:
    (only,) = found(check, **other)
    return only


@pytest.mark.parametrize(
    ("gib", "level", "says"),
    [
        (8, "ok", "Docker has 8.0 GiB, the containers may take 2.0"),
        (3.9, "failure", "Docker has 3.9 GiB, the containers may take 2.0; ELK needs 4 GiB: give Docker more"),
    ],
)
def test_memory(gib: float, level: str, says: str) -> None:
    assert one(doctor.memory, info={"MemTotal": int(gib * GIB)})[0] == level
    assert says in one(doctor.memory, info={"MemTotal": int(gib * GIB)})[1]


def test_limits_above_the_memory_are_a_warning() -> None:
    services = {"elasticsearch": {"image": "elasticsearch:9.5.3", "mem_limit": str(16 * GIB)}}
    level, message = one(doctor.memory, config={"services": services})
    assert level == "warning"
    assert message.endswith("lower the *_MEMORY and *_HEAP values in .env")


@pytest.mark.parametrize(
    ("count", "level", "says"),
    [
        (65_530, "failure", "vm.max_map_count is 65530, 1048576 is recommended: sysctl -w vm.max_map_count=1048576"),
        (262_144, "warning", "vm.max_map_count is 262144, 1048576 is recommended"),
        (1_048_576, "ok", "1048576"),
    ],
)
def test_map_count(count: int, level: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max_map_count").write_text(f"{count}\n")
    monkeypatch.setattr(doctor, "MAP_COUNT", tmp_path / "max_map_count")
    result = one(doctor.map_count)
    assert result[0] == level
    assert says in result[1]


def test_a_wrong_version_mix() -> None:
    mixed = SERVICES | {"kibana": {"image": "kibana:9.5.2"}}
    level, message = one(doctor.versions, config={"services": mixed})
    assert level == "failure"
    assert "kibana 9.5.2" in message
    assert message.endswith("they must be one version; set STACK_VERSION in .env only")
    assert one(doctor.versions)[0] == "ok"


def test_another_major_version() -> None:
    old = {name: {"image": each["image"].replace("9.5.3", "8.19.0")} for name, each in SERVICES.items()}
    level, message = one(doctor.versions, config={"services": old})
    assert (level, message.endswith("this configuration is for 9.x; set STACK_VERSION in .env")) == ("failure", True)


def test_a_taken_port_names_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        ports = [{"host_ip": "127.0.0.1", "published": str(number)}]
        config = {"services": {"kibana": {"image": "kibana:9.5.3", "ports": ports}}}
        level, message = one(doctor.ports, config=config)
        assert level == "failure"
        assert f"127.0.0.1:{number} for kibana is taken; end what listens there, or set KIBANA_PORT in .env" in message
        assert found(doctor.ports, config=config, containers=[{"Service": "kibana", "State": "running"}]) == []
    assert one(doctor.ports, config=config)[0] == "ok"


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "level"),
    [(100, 50, "ok"), (100, 9, "warning"), (100, 4, "failure"), (10_000, 160, "ok"), (10_000, 90, "failure")],
)
def test_disk(total_gib: int, free_gib: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = Usage(total_gib * GIB, 0, free_gib * GIB)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    result = one(doctor.disk, info={"DockerRootDir": str(tmp_path)})
    assert result[0] == level
    assert ("flood watermark" in result[1]) == (level == "failure")


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("issued")
    certificates.make_authority(folder)
    certificates.issue(folder, "kibana", ["kibana"])
    return folder


@pytest.mark.parametrize(
    ("days_left", "level", "says"),
    [
        (400, "ok", "expires on"),
        (10, "warning", "run shipper stack rotate certificates"),
        (-1, "failure", "expired on"),
    ],
)
def test_expiry(days_left: int, level: str, says: str, issued: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = certificates.expires(issued / "kibana.crt")
    monkeypatch.setenv("SHIPPER_NOW", (end - doctor.timedelta(days=days_left)).isoformat())
    results = {message.split()[0]: (kind, message) for kind, message in found(doctor.expiry, settings=here(issued))}
    assert results[str(issued / "kibana.crt")][0] == level
    assert says in results[str(issued / "kibana.crt")][1]


def here(folder: Path) -> Settings:
    return Settings(secrets_dir=folder)


def test_a_short_password(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("elastic=short\n")
    level, message = one(doctor.passwords, settings=here(tmp_path))
    assert level == "failure"
    assert "passwords:1: the password of elastic has 5 characters" in message


def test_passwords_yet_to_be_made_are_no_fault(tmp_path: Path) -> None:
    assert one(doctor.passwords, settings=here(tmp_path))[0] == "ok"


def test_backlog_is_told_in_seconds() -> None:
    settings = Settings(log_max_bytes=10_000_000, log_backup_count=5)
    message = one(doctor.backlog, settings=settings)[1]
    assert message.startswith("5 segments of 10 MB bridge an outage of 25 s at 5000 lines/s")


def test_without_docker_there_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert [(each.level, each.message) for each in doctor.checks(Settings())] == [
        ("failure", "docker is not installed")
    ]
    assert elk.usable(Settings()) == (False, "docker is not installed")


def test_up_starts_nothing_where_a_check_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.memory, doctor.versions))
    small = machine(info={"MemTotal": GIB}, config={"services": SERVICES | {"kibana": {"image": "kibana:9.0.0"}}})
    monkeypatch.setattr(Machine, "look", lambda _: small)
    monkeypatch.setattr(docker, "compose", lambda *_: pytest.fail("something was started"))
    with pytest.raises(StackError, match=r"ELK needs 4 GiB.*; .*they must be one version"):
        elk.up(Settings(), print)


@pytest.mark.parametrize(
    ("text", "parts"), [("2.40.3", (2, 40, 3)), ("v2.24.0-desktop.1", (2, 24, 0)), ("2.3.3", (2, 3, 3))]
)
def test_versions_are_compared_as_numbers(text: str, parts: tuple[int, ...]) -> None:
    assert docker.version_parts(text) == parts
    assert (docker.version_parts(text) >= docker.COMPOSE_AT_LEAST) == (re.match(r"v?2\.3\.", text) is None)
