"""Asking Docker: a program of that name on the PATH answers, as the real one does at bad moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from python_shipper.errors import StackError
from python_shipper.stack import docker


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the PATH, in which a test puts its `docker`."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def put(folder: Path, script: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)


GONE = 'echo "Error response from daemon: No such container: 08a5" >&2; exit 1'


def test_a_container_replaced_while_listing_is_no_error(fake: Path) -> None:
    put(fake, f'[ -e "{fake}/asked" ] || {{ touch "{fake}/asked"; {GONE}; }}\necho \'{{"Service": "kibana"}}\'')
    assert docker.containers() == [{"Service": "kibana"}]


def test_a_listing_that_always_fails_is_told(fake: Path) -> None:
    put(fake, f'echo x >> "{fake}/asked"; {GONE}')
    with pytest.raises(StackError, match="docker compose: Error response from daemon: No such container"):
        docker.containers()
    assert (fake / "asked").read_text() == "x\n" * docker.LISTING_TRIES


def test_a_silent_docker_is_not_waited_for(fake: Path) -> None:
    put(fake, "exec sleep 60")
    with pytest.raises(StackError, match=r"docker info: no answer within 0\.2 s"):
        docker.run("info", timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('echo "Cannot connect to the Docker daemon" >&2; exit 1', "the Docker daemon cannot be used (docker version:"),
        ('[ "$1" = version ] && echo 28.0 || exit 1', "Docker has no Compose plugin (docker compose)"),
        ('[ "$1" = version ] && echo 28.0 || echo 2.3.3', "Docker Compose 2.3.3 is too old: 2.24 or newer is needed"),
    ],
)
def test_what_is_missing_of_an_engine_is_told(script: str, says: str, fake: Path) -> None:
    put(fake, script)
    with pytest.raises(StackError) as caught:
        docker.require_engine()
    assert str(caught.value).startswith(says)
