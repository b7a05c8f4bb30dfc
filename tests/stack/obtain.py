"""The real programs that tests run, each obtained once into a cache: from Maven, or built from published Go modules.

A part that cannot be had raises :class:`MissingError` with the reason; :func:`part` makes that a skip of its group.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "python-shipper"
GO_PROGRAMS = Path(__file__).parent / "go"
ELASTIC = "9.5.3"
JRUBY = "org.jruby:jruby-complete:9.4.14.0:jar"
ELASTICSEARCH = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{ELASTIC}:zip"
LEAST_JAVA = 21
BUILD_SECONDS = 900


class MissingError(Exception):
    """A part cannot be had on this machine; the message says why."""


def part(name: str, get: Callable[[], Path]) -> Path:
    """What ``get`` obtains; skips the test, named after the part, where it cannot be had."""
    try:
        return get()
    except MissingError as missing:
        pytest.skip(f"{name}: {missing}")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time obtains ``name``."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """The output of a program that builds or fetches.

    Raises:
        MissingError: the program is not installed or failed.
    """
    if not shutil.which(str(command[0])):
        raise MissingError(f"{command[0]} is not installed")
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing said"]
        raise MissingError(f"{command[0]} failed: {said[-1][:200]}")
    return done.stdout


def maven(coordinates: str) -> Path:
    """The file of ``group:artifact:version:type``."""
    _, artifact, version, kind = coordinates.split(":")
    folder = CACHE / "downloads"
    path = folder / f"{artifact}-{version}.{kind}"
    with alone(path.name):
        if not path.exists():
            run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}")
    if not path.exists():
        raise MissingError(f"{coordinates} did not come")
    return path


def go_program(name: str) -> Path:
    """The program in ``go/<name>``, built there with its pinned modules."""
    source, program = GO_PROGRAMS / name, CACHE / name / name
    with alone(name):
        if not program.exists() or program.stat().st_mtime < max(file.stat().st_mtime for file in source.iterdir()):
            shutil.copytree(source, CACHE / name, dirs_exist_ok=True)
            build = CACHE / name
            # -mod=mod rather than `go mod tidy`, which would look up test-only modules that are gone.
            run("go", "list", "-mod=mod", "-deps", ".", cwd=build)
            run(
                "go", "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", name, ".", cwd=build, CGO_ENABLED="0"
            )
            program.touch()
    return program


@functools.cache
def java() -> Path:
    """A Java of at least version 21: JAVA_HOME's, or one of the system's."""
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    for home in [*homes, *sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)]:
        if java_version(home) >= LEAST_JAVA:
            return home
    raise MissingError(f"no Java {LEAST_JAVA} or newer is installed")


def java_version(home: Path) -> int:
    """The major version in a JDK's ``release`` file; 0 where there is none."""
    try:
        lines = (home / "release").read_text().splitlines()
    except OSError:
        return 0
    version = next((line for line in lines if line.startswith("JAVA_VERSION=")), '="0"').split('"')[1]
    return int(version.split(".")[0])


def elasticsearch_jars() -> list[Path]:
    """Elasticsearch's own classes and those of x-pack-core, for programs that use its parsers."""
    folder = CACHE / f"elasticsearch-{ELASTIC}-jars"
    with alone(folder.name), zipfile.ZipFile(maven(ELASTICSEARCH)) as archive:
        for name in archive.namelist():
            if name.endswith(".jar") and ("/lib/" in name or "/modules/x-pack-core/" in name):
                target = folder / Path(name).name
                if not target.exists():
                    folder.mkdir(exist_ok=True)
                    target.write_bytes(archive.read(name))
    return sorted(folder.glob("*.jar"))
