"""Looks for what would make the ELK stack fail, before it does: a table of checks, each one sentence of advice."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from python_shipper.errors import ShipperError
from python_shipper.settings import Settings
from python_shipper.stack import certificates, docker, secrets

GIB = 2**30
LEAST_MEMORY_BYTES = 4 * GIB
# Elasticsearch refuses to start below the first, and recommends the second.
MAP_COUNT_LEAST, MAP_COUNT_GOOD = 262_144, 1_048_576
# Elasticsearch's flood-stage and high watermarks: share of the disk, and room in bytes that is enough on large disks.
FLOOD, HIGH = (0.05, 100 * GIB), (0.10, 150 * GIB)
MAP_COUNT = Path("/proc/sys/vm/max_map_count")
ELASTIC_IMAGES = ("elasticsearch", "logstash", "kibana", "elastic/filebeat")
# A busy machine, for the backlog's length: lines a second and bytes a line.
BUSY_LINES, LINE_BYTES = 5_000, 400


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found: ``failure`` stops `shipper up`, ``warning`` does not; ``message`` says what to do."""

    name: str
    level: Literal["ok", "warning", "failure"]
    message: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks look at, gathered once: Compose's configuration and variables, Docker's info, our containers."""

    settings: Settings
    config: Mapping[str, Any]
    info: Mapping[str, Any]
    containers: list[dict[str, Any]]

    @classmethod
    def look(cls, settings: Settings) -> Machine:
        """Ask Docker.

        Raises:
            StackError: it does not answer, or docker-compose.yml cannot be read.
        """
        docker.require_engine()
        config = json.loads(docker.compose("config", "--format", "json"))
        return cls(settings, config, json.loads(docker.run("info", "--format", "{{json .}}")), docker.containers())


def checks(settings: Settings) -> list[Check]:
    """Every check's finding, in the order in which one would mend them."""
    try:
        machine = Machine.look(settings)
    except ShipperError as error:
        return [Check("docker", "failure", str(error))]
    return [found for check in CHECKS for found in guarded(check, machine)]


def guarded(check: Callable[[Machine], Iterator[Check]], machine: Machine) -> list[Check]:
    """What ``check`` found; what it could not read is a finding too."""
    try:
        return list(check(machine))
    except ShipperError as error:
        return [Check(check.__name__, "failure", str(error))]


def passwords(machine: Machine) -> Iterator[Check]:
    """Each password is there and long enough."""
    given = secrets.read(machine.settings.secrets_dir / secrets.PASSWORDS)
    missing = [name for name in secrets.NAMES if name not in given]
    note = f"{len(missing)} will be made by shipper up" if missing else "all are set"
    yield Check("passwords", "ok", note)


def expiry(machine: Machine) -> Iterator[Check]:
    """How long the authority and each certificate are valid."""
    for name in ("ca", *certificates.SERVICES):
        path = machine.settings.secrets_dir / f"{name}.crt"
        if not path.exists():
            continue
        end = certificates.expires(path)
        left = end - certificates.now()
        level: Literal["ok", "warning", "failure"] = "ok"
        level = "warning" if left < timedelta(days=certificates.WARN_DAYS) else level
        level = "failure" if left < timedelta(0) else level
        advice = "" if level == "ok" else "; run shipper stack rotate certificates"
        verb = "expired" if level == "failure" else "expires"
        yield Check("certificates", level, f"{path} {verb} on {end:%Y-%m-%d}{advice}")


def versions(machine: Machine) -> Iterator[Check]:
    """One version of the four products, and a 9."""
    images = {str(service["image"]) for service in machine.config["services"].values()}
    pairs = [image.rpartition(":") for image in sorted(images)]
    tags = {name: tag for name, _, tag in pairs if name in ELASTIC_IMAGES}
    listed = ", ".join(f"{name} {tag}" for name, tag in tags.items())
    if len(set(tags.values())) > 1:
        yield Check("versions", "failure", f"{listed}: they must be one version; set STACK_VERSION in .env only")
    elif not all(tag.startswith("9.") for tag in tags.values()):
        yield Check("versions", "failure", f"{listed}: this configuration is for 9.x; set STACK_VERSION in .env")
    else:
        yield Check("versions", "ok", listed)


def map_count(machine: Machine) -> Iterator[Check]:
    """Elasticsearch maps its files into memory and needs room in the kernel's table."""
    if not MAP_COUNT.exists():
        return
    count = int(MAP_COUNT.read_text())
    advice = (
        f"vm.max_map_count is {count}, {MAP_COUNT_GOOD} is recommended: sysctl -w vm.max_map_count={MAP_COUNT_GOOD}"
    )
    if count < MAP_COUNT_LEAST:
        yield Check("vm.max_map_count", "failure", f"{advice} (below {MAP_COUNT_LEAST} Elasticsearch does not start)")
    elif count < MAP_COUNT_GOOD:
        yield Check("vm.max_map_count", "warning", advice)
    else:
        yield Check("vm.max_map_count", "ok", str(count))


def memory(machine: Machine) -> Iterator[Check]:
    """The machine has enough for the containers' limits."""
    there = int(machine.info["MemTotal"])
    limits = sum(int(service.get("mem_limit", 0)) for service in machine.config["services"].values())
    text = f"Docker has {there / GIB:.1f} GiB, the containers may take {limits / GIB:.1f}"
    if there < LEAST_MEMORY_BYTES:
        yield Check("memory", "failure", f"{text}; ELK needs 4 GiB: give Docker more, or use STACK=embedded")
    elif there < limits:
        yield Check("memory", "warning", f"{text}; lower the *_MEMORY and *_HEAP values in .env")
    else:
        yield Check("memory", "ok", text)


def ports(machine: Machine) -> Iterator[Check]:
    """The published ports are free, or taken by our own containers."""
    ours = {each["Service"] for each in machine.containers if each["State"] == "running"}
    for name, service in machine.config["services"].items():
        for port in service.get("ports", []) if name not in ours else []:
            address, number = port.get("host_ip", "0.0.0.0"), int(port["published"])  # noqa: S104 - Compose's default
            if taken(address, number):
                variable = f"{name.upper()}_PORT"
                message = f"{address}:{number} for {name} is taken; end what listens there, or set {variable} in .env"
                yield Check("ports", "failure", message)
            else:
                yield Check("ports", "ok", f"{address}:{number} for {name} is free")


def taken(address: str, port: int) -> bool:
    """Whether the port cannot be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def disk(machine: Machine) -> Iterator[Check]:
    """The disk of Docker's volumes is below Elasticsearch's watermarks."""
    folder = Path(machine.info["DockerRootDir"])
    if not folder.exists():
        return
    usage = shutil.disk_usage(folder)
    text = f"{folder}: {usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free"
    if usage.free < room_needed(FLOOD, usage.total):
        yield Check("disk", "failure", f"{text}: above the flood watermark, indices would be read-only; free some")
    elif usage.free < room_needed(HIGH, usage.total):
        yield Check("disk", "warning", f"{text}: above the high watermark; free some")
    else:
        yield Check("disk", "ok", text)


def room_needed(watermark: tuple[float, int], total_bytes: int) -> float:
    """Free bytes below which a watermark is passed."""
    share, enough = watermark
    return min(share * total_bytes, enough)


def backlog(machine: Machine) -> Iterator[Check]:
    """How long an outage the closed segments bridge before unread lines rotate away."""
    settings = machine.settings
    seconds = settings.log_max_bytes * settings.log_backup_count / (BUSY_LINES * LINE_BYTES)
    text = f"{settings.log_backup_count} segments of {settings.log_max_bytes / 1e6:g} MB bridge an outage of "
    yield Check("backlog", "ok", f"{text}{seconds:.0f} s at {BUSY_LINES} lines/s; raise LOG_BACKUP_COUNT for more")


CHECKS = (passwords, expiry, versions, map_count, memory, ports, disk, backlog)
