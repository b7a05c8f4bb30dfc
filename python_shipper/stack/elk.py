"""The ELK stack under Docker Compose: whether it can run here, starting it, stopping it, and how it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import certificates, docker, doctor, secrets, sentinel
from python_shipper.stack.api import Api
from python_shipper.store import Store

Report = Callable[[str], None]
PROGRESS_SECONDS = 2
READY_SECONDS = 600
ONE_SHOTS = ("certificates", "setup", "kibana-setup")


def usable(settings: Settings) -> tuple[bool, str]:
    """Whether ELK can run on this machine, and why (not), as half a sentence; asks for at most a minute."""
    try:
        engine = docker.require_engine()
        docker.require_images()
        refuse_what_would_fail(settings)
    except StackError as error:
        return False, str(error)
    return True, f"{engine} is here"


def up(settings: Settings, report: Report, *, renew: bool = False) -> None:
    """Start what does not run yet, wait until a test line is searchable, and say where everything is.

    Args:
        settings: Where the secrets are.
        report: Takes a line a step.
        renew: Make every container anew, so that each takes new secrets.

    Raises:
        StackError: a container failed or did not become healthy; the message names it and its last line.
        ConfigurationError: the passwords or certificates cannot be used.
    """
    refuse_what_would_fail(settings)
    variables = docker.variables()
    folder = settings.secrets_dir
    secrets.ensure(folder)
    certificates.ensure(folder, certificates.names(variables["CERTIFICATE_NAMES"]))
    launch(variables, report, *(["--force-recreate"] if renew else []))
    report("waiting until a test line is searchable …")
    server = elasticsearch(folder, variables)
    seconds = sentinel.send_and_find(docker.project() / variables["LOG_DIR"], server)
    secrets.settle(folder)
    report(f"a test line was searchable after {seconds:.1f} s")
    report(f"Kibana         {variables['KIBANA_PUBLIC_URL']}  (user logs_admin)")
    report(f"Elasticsearch  {server.url}")
    report(f"passwords      {folder / secrets.PASSWORDS}, the authority's certificate beside it: ca.crt")


def refuse_what_would_fail(settings: Settings) -> None:
    """Run the doctor's checks before anything starts.

    Raises:
        StackError: one of them failed.
    """
    failures = [check.message for check in doctor.checks(settings) if check.level == "failure"]
    if failures:
        raise StackError("; ".join(failures))


def launch(variables: Mapping[str, str], report: Report, *options: str) -> None:
    """``docker compose up`` in order of dependence, telling each container's change of state, until all are ready.

    Our own image is built anew (from its cache, if nothing changed) where its base is here.

    Raises:
        StackError: a container failed, or is not ready in time; the message names it.
    """
    shown: dict[str, str] = {}
    # Without their last run's containers, a one-shot that has failed has failed now.
    docker.compose("rm", "--force", *ONE_SHOTS)
    build = ["--build"] if docker.local(variables["PYTHON_IMAGE"]) else []
    with docker.started("up", "--detach", "--remove-orphans", *build, *options) as starting:
        while starting.process.poll() is None:
            time.sleep(PROGRESS_SECONDS)
            tell_changes(shown, report)
            refuse_failures(ONE_SHOTS)
        if starting.process.returncode != 0:
            refuse_failures(shown)
            raise StackError(f"docker compose up: {docker.last_line(starting.said())}")
    wait_until_ready(shown, report)


def wait_until_ready(shown: dict[str, str], report: Report) -> None:
    """Wait for what no other container waited for: the last one-shots, and health checks."""
    until = time.monotonic() + READY_SECONDS
    while not all(map(ready, docker.containers())):
        refuse_failures(shown)
        if time.monotonic() > until:
            waiting = ", ".join(each["Service"] for each in docker.containers() if not ready(each))
            raise StackError(
                f"docker compose up: {waiting} not ready within {READY_SECONDS} s; see docker compose logs"
            )
        tell_changes(shown, report)
        time.sleep(PROGRESS_SECONDS)
    tell_changes(shown, report)


def ready(container: Mapping[str, Any]) -> bool:
    """A one-shot that has done its work, or a server that is healthy."""
    if container["Service"] in ONE_SHOTS:
        return bool(container["State"] == "exited" and container["ExitCode"] == 0)
    return bool(container["State"] == "running" and container["Health"] in ("", "healthy"))


def tell_changes(shown: dict[str, str], report: Report) -> None:
    """Report the containers whose state is another than in ``shown``, and remember it there."""
    for service, text in services().items():
        if shown.get(service) != text:
            shown[service] = text
            report(f"  {service}: {text}")


def refuse_failures(watched: Container[str]) -> None:
    """Look for a service among ``watched`` whose container exited in error or is unhealthy.

    Raises:
        StackError: there is one; the message holds its last line.
    """
    for each in docker.containers():
        service, failed = each["Service"], each["State"] == "exited" and each["ExitCode"] != 0
        if service in watched and (failed or each["Health"] == "unhealthy"):
            line = docker.last_line(docker.compose("logs", "--no-log-prefix", "--tail=20", service))
            raise StackError(f"docker compose up: {service} is {state(each)}: {line}")


def down(settings: Settings, report: Report) -> None:
    """Stop and remove the containers and networks; volumes (the data) stay."""
    if docker.containers():
        report("stopping the ELK stack …")
        docker.compose("--profile=*", "down", "--remove-orphans", timeout_seconds=None)


def present() -> bool:
    """Whether Docker answers and has containers or volumes of ours."""
    try:
        return bool(docker.containers() or docker.volumes())
    except StackError:
        return False


def erase(report: Report) -> None:
    """Remove containers and volumes: all data. The secrets stay, for their folder is the owner's."""
    report("removing the ELK stack and its data …")
    docker.compose("--profile=*", "down", "--remove-orphans", "--volumes", timeout_seconds=None)


def status(settings: Settings) -> dict[str, Any]:
    """``running`` and a state a service, such as ``running (healthy)`` or ``exited (0)``."""
    states = services()
    return {"running": any(text.startswith("running") for text in states.values()), "services": states}


def services() -> dict[str, str]:
    """The state of each service that has a container."""
    return {each["Service"]: state(each) for each in docker.containers()}


def state(container: dict[str, Any]) -> str:
    """One container's state in Docker's words, with its health or its exit code."""
    detail = container["ExitCode"] if container["State"] == "exited" else container["Health"]
    return f"{container['State']} ({detail})" if detail != "" else str(container["State"])


def store(settings: Settings) -> Store:
    """The logs in this stack's Elasticsearch, as the user that may read them all.

    Raises:
        StackError: its passwords are not here.
    """
    if not secrets.read(settings.secrets_dir / secrets.PASSWORDS):
        raise StackError(f"{settings.secrets_dir / secrets.PASSWORDS}: not found; start the stack with shipper up")
    return store_at(elasticsearch(settings.secrets_dir, docker.variables()))


def store_at(server: Api) -> Store:
    """The logs in the Elasticsearch that ``server`` talks to."""
    from elasticsearch import Elasticsearch

    from python_shipper.store.elasticsearch import ElasticsearchStore

    # The client's own basic_auth takes ASCII passwords only.
    client = Elasticsearch(server.url, headers=server.signed_in(), ssl_context=server.tls())
    return ElasticsearchStore(client, server.url)


def elasticsearch(folder: Path, variables: dict[str, str]) -> Api:
    """Elasticsearch from this machine, as the user that may read and manage all logs; ``folder`` holds the secrets."""
    password = secrets.ensure(folder)["logs_admin"]
    return Api(f"https://localhost:{variables['ELASTICSEARCH_PORT']}", "logs_admin", password, folder / "ca.crt")
