"""Docker and its Compose plugin, asked through their command line, with a bound on every question."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from python_shipper.errors import StackError

COMPOSE_AT_LEAST = (2, 24)
ANSWER_SECONDS = 15
PULL_SECONDS = 20
LISTING_TRIES = 5


def project() -> Path:
    """The folder with docker-compose.yml: the current one, else the checkout that this package lies in.

    Raises:
        StackError: there is none.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "docker-compose.yml").is_file():
            return folder
    raise StackError("docker-compose.yml: not found here; run this in a checkout of python-shipper")


def run(*arguments: str, timeout_seconds: float | None = ANSWER_SECONDS) -> str:
    """The output of ``docker <arguments>``, run in the project's folder.

    Raises:
        StackError: no client, no answer in time, or an exit code other than 0; the message holds Docker's last line.
    """
    if shutil.which("docker") is None:
        raise StackError("docker is not installed")
    try:
        done = subprocess.run(
            ["docker", *arguments],
            cwd=project(),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"docker {arguments[0]}: no answer within {timeout_seconds:g} s") from None
    if done.returncode != 0:
        raise StackError(f"docker {arguments[0]}: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def last_line(text: str) -> str:
    """The last line that says something, for a message of one line."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "failed without a word")


def compose(*arguments: str, timeout_seconds: float | None = ANSWER_SECONDS) -> str:
    """The output of ``docker compose <arguments>`` on the project's files and environment files."""
    return run(*compose_arguments(arguments), timeout_seconds=timeout_seconds)


def compose_arguments(arguments: Sequence[str]) -> list[str]:
    """``arguments`` behind the project's environment files: .env over .env.example."""
    files = [f"--env-file={name}" for name in (".env.example", ".env") if (project() / name).is_file()]
    return ["compose", *files, *arguments]


@contextmanager
def started(*arguments: str) -> Iterator[Running]:
    """``docker compose <arguments>`` running beside us; ended with us if we are interrupted."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["docker", *compose_arguments(arguments)], cwd=project(), env=environment(), stdout=output, stderr=output
        )
        try:
            yield Running(process, output)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A Compose command under way: its process, and the file that takes what it says."""

    process: subprocess.Popen[bytes]
    output: IO[str]

    def said(self) -> str:
        """Everything it has said so far."""
        self.output.seek(0)
        return self.output.read()


def environment() -> Mapping[str, str]:
    """The process's environment, in which an empty variable must not hide a value of the environment file."""
    return {name: value for name, value in os.environ.items() if value}


def variables() -> dict[str, str]:
    """What Compose puts into docker-compose.yml: the environment files and, above them, the environment."""
    lines = compose("config", "--environment").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def require_engine() -> str:
    """Docker's and Compose's versions as a phrase.

    Raises:
        StackError: client, daemon or plugin is missing or too old.
    """
    try:
        server = run("version", "--format", "{{.Server.Version}}").strip()
    except StackError as error:
        raise StackError(
            f"the Docker daemon cannot be used ({error})" if shutil.which("docker") else str(error)
        ) from None
    try:
        plugin = run("compose", "version", "--short").strip()
    except StackError:
        raise StackError("Docker has no Compose plugin (docker compose)") from None
    if version_parts(plugin) < COMPOSE_AT_LEAST:
        needed = ".".join(map(str, COMPOSE_AT_LEAST))
        raise StackError(f"Docker Compose {plugin} is too old: {needed} or newer is needed")
    return f"Docker {server} with Compose {plugin}"


def version_parts(text: str) -> tuple[int, ...]:
    """``v2.40.3-desktop.1`` as (2, 40, 3)."""
    numbers = text.strip().lstrip("v").split("-")[0].split(".")
    return tuple(int(part) for part in numbers if part.isdigit())


def require_images() -> None:
    """Each image of the default profile is here, or the first that is not can be pulled.

    Raises:
        StackError: an image is neither here nor to be had.
    """
    services = json.loads(compose("config", "--format", "json"))["services"]
    wanted = {wanted_image(service) for service in services.values()}
    missing = sorted(image for image in wanted if not local(image))
    if missing:
        try:
            run("manifest", "inspect", missing[0], timeout_seconds=PULL_SECONDS)
        except StackError as error:
            raise StackError(f"image {missing[0]} is neither here nor can it be pulled ({error})") from None


def wanted_image(service: Mapping[str, Any]) -> str:
    """The image that must be had for ``service``: its own, or the one that it is built from."""
    image: str = service["image"]
    if "build" in service and not local(image):
        return str(service["build"]["args"]["PYTHON_IMAGE"])
    return image


def local(image: str) -> bool:
    """Whether Docker has ``image`` already."""
    try:
        run("image", "inspect", "--format", "{{.Id}}", image)
    except StackError:
        return False
    return True


def containers() -> list[dict[str, Any]]:
    """One entry a container of the project: ``Service``, ``State``, ``Health``, ``ExitCode``; stopped ones too."""
    lines = listing(LISTING_TRIES).splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def listing(tries: int) -> str:
    """Compose's list; again where a container was replaced between being listed and being looked at."""
    try:
        return compose("ps", "--all", "--format", "json")
    except StackError as error:
        if "No such container" not in str(error) or tries == 1:
            raise
    return listing(tries - 1)


def volumes() -> list[str]:
    """The project's volumes."""
    name = json.loads(compose("config", "--format", "json"))["name"]
    return run("volume", "ls", "--quiet", f"--filter=label=com.docker.compose.project={name}").split()
