"""Elasticsearch's official image in a container of testcontainers, set up as the compose file does it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from python_shipper.stack import certificates
from tests.stack import obtain

IMAGE = f"elasticsearch:{obtain.ELASTIC}"
VENDOR = '{{index .Config.Labels "org.opencontainers.image.vendor"}}'
CONFIG = Path(__file__).parents[2] / "elasticsearch" / "elasticsearch.yml"
HOME = "/usr/share/elasticsearch"
PORT = 9200
ANSWER_SECONDS, PULL_SECONDS = 20, 120
# testcontainers reads these when it is imported. Its own cleaner is one more image to be had; we stop what we start.
TESTCONTAINERS = {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
}


@dataclass(frozen=True)
class Started:
    """A container that was started, not yet ready: where it listens, its authority and the superuser's password."""

    id: str
    url: str
    authority: Path
    password: str


def require() -> None:
    """An engine answers and has the image, or can pull it in a short while.

    Raises:
        MissingError: it cannot; the message says what is missing.
    """
    if shutil.which("docker") is None:
        raise obtain.MissingError("docker is not installed")
    try:
        docker("info", "--format", "{{.ServerVersion}}")
    except obtain.MissingError as missing:
        raise obtain.MissingError(f"no Docker daemon answers ({missing})") from None
    try:
        vendor = docker("image", "inspect", "--format", VENDOR, IMAGE)
    except obtain.MissingError:
        docker("pull", "--quiet", IMAGE, seconds=PULL_SECONDS)
        vendor = docker("image", "inspect", "--format", VENDOR, IMAGE)
    if vendor.strip() != "Elastic":
        raise obtain.MissingError(f"the image {IMAGE} that is here is not Elastic's")


def docker(*command: str, seconds: float = ANSWER_SECONDS) -> str:
    """The output of the client.

    Raises:
        MissingError: it failed, or did not answer in time.
    """
    try:
        done = subprocess.run(["docker", *command], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise obtain.MissingError(f"docker {command[0]} took more than {seconds:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise obtain.MissingError(f"docker {command[0]}: {said[-1][:200]}")
    return done.stdout


@contextmanager
def container() -> Iterator[Started]:
    """A container with our elasticsearch.yml and certificates.

    Raises:
        MissingError: there is no engine or no image.
    """
    require()
    os.environ.update(TESTCONTAINERS)
    from testcontainers.core.container import DockerContainer

    with tempfile.TemporaryDirectory(prefix="es-") as temporary:
        secrets, password = readable_secrets(Path(temporary)), "a password of the tests"
        made = (
            DockerContainer(IMAGE, env=environment(password), ports=[PORT], mem_limit="2g")
            .with_volume_mapping(CONFIG, f"{HOME}/config/elasticsearch.yml")
            .with_volume_mapping(secrets, f"{HOME}/config/secrets")
            .with_tmpfs_mount(f"{HOME}/backups")
        )
        with made as running:
            url = f"https://localhost:{running.get_exposed_port(PORT)}"
            yield Started(running.get_container_id(), url, secrets / "ca.crt", password)


def environment(password: str) -> dict[str, str]:
    """What differs from the compose file: less memory, none of it locked, and any disk will do."""
    return {
        "discovery.type": "single-node", "node.name": "elasticsearch", "ELASTIC_PASSWORD": password,
        "ES_JAVA_OPTS": "-Xms1g -Xmx1g", "bootstrap.memory_lock": "false",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }  # fmt: skip


def readable_secrets(folder: Path) -> Path:
    """Certificates of this run only, readable by the image's user whoever runs the tests."""
    secrets = folder / "secrets"
    certificates.ensure(secrets)
    secrets.chmod(0o755)
    for file in secrets.iterdir():
        file.chmod(0o644)
    return secrets
