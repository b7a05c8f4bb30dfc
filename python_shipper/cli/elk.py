"""`shipper stack …`: what one does by hand to run ELK, and what its one-shot containers run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

# What the commands do is imported by them: its packages are an extra, and most commands do without.

Part = Literal["elasticsearch", "kibana"]
rooms = typer.Typer(name="stack", help="Set up, rotate, back up and restore the ELK stack.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Make these functions commands of ``app``, under `stack`."""
    rooms.command("secrets")(make_secrets)
    for function in (apply, rotate, backup, restore, erase, watch):
        rooms.command()(function)
    app.add_typer(rooms)


def make_secrets(
    hand_out: Annotated[Path | None, typer.Option(help="Folder with one folder a service.")] = None,
) -> None:
    """Make the passwords and certificates that are missing."""
    from python_shipper.stack import certificates, handout, secrets

    settings = Settings.from_environment()
    secrets.ensure(settings.secrets_dir)
    certificates.ensure(settings.secrets_dir, certificates.names(settings.certificate_names))
    if hand_out is not None:
        handout.hand_out(settings.secrets_dir, hand_out, handout.masking_files(settings))
    typer.echo(f"secrets are complete: {settings.secrets_dir}")


def apply(
    only: Annotated[Part | None, typer.Option(help="One of the two servers.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for a server that does not answer yet.")] = 30,
) -> None:
    """Apply users, roles, policies, templates and Kibana's objects; harmless when nothing changed."""
    from python_shipper.stack import kibana, provision, secrets
    from python_shipper.stack.api import Api

    settings = Settings.from_environment()
    passwords = secrets.read(settings.secrets_dir / secrets.PASSWORDS)
    if not passwords:
        raise ConfigurationError(f"{settings.secrets_dir / secrets.PASSWORDS}: not found; run shipper stack secrets")
    authority = settings.secrets_dir / "ca.crt"
    if only != "kibana":
        server = Api(address(settings.elasticsearch_url, "ELASTICSEARCH_PORT"), authority=authority)
        provision.apply_elasticsearch(server, passwords, wait, typer.echo)
    if only != "elasticsearch":
        admin = Api(address(settings.kibana_url, "KIBANA_PORT"), "elastic", passwords["elastic"], authority)
        provision.patiently(lambda: admin.call("GET", "/api/status"), wait)
        kibana.apply(admin, provision.definitions() / "kibana", typer.echo)


def address(given: str | None, port_variable: str) -> str:
    """The server's address: as given, else the port that Compose publishes on this machine."""
    from python_shipper.stack import docker

    return given or f"https://localhost:{docker.variables()[port_variable]}"


def rotate(what: Annotated[Literal["passwords", "certificates"], typer.Argument()]) -> None:
    """Make new passwords or new certificates; a running stack is restarted with them."""
    from python_shipper.stack import certificates, elk, secrets

    settings = Settings.from_environment()
    if what == "passwords":
        secrets.rotate(settings.secrets_dir)
    else:
        certificates.rotate(settings.secrets_dir, certificates.names(settings.certificate_names))
    typer.echo(f"new {what} are in {settings.secrets_dir}")
    if elk.status(settings)["running"]:
        elk.up(settings, typer.echo, renew=True)


def backup() -> None:
    """Back all logs up now. Elasticsearch does so by itself every night."""
    from python_shipper.stack import backup, docker, elk

    settings = Settings.from_environment()
    backup.backup(elk.elasticsearch(settings.secrets_dir, docker.variables()), typer.echo)


def restore(name: Annotated[str | None, typer.Argument(help="Which backup; without it the newest.")] = None) -> None:
    """Restore a backup beside what is there, as indices named christmas-restored-… (S3's archive: shipper restore.)"""
    from python_shipper.stack import backup, docker, elk

    settings = Settings.from_environment()
    backup.restore(elk.elasticsearch(settings.secrets_dir, docker.variables()), name, typer.echo)


def erase(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove the ELK stack's containers and volumes. All its logs and backups are gone; asks first."""
    from python_shipper.stack import elk

    if elk.present():
        yes or typer.confirm("Remove the ELK stack with all its logs and backups?", abort=True)
        elk.erase(typer.echo)


def watch(every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 60) -> None:
    """Log how full Elasticsearch's disks are, until interrupted. The container `watch` runs this."""
    import python_shipper
    from python_shipper.stack import secrets
    from python_shipper.stack import watch as watcher
    from python_shipper.stack.api import Api

    settings = Settings.from_environment()
    password = secrets.read(settings.secrets_dir / secrets.PASSWORDS)["health_check"]
    url = address(settings.elasticsearch_url, "ELASTICSEARCH_PORT")
    python_shipper.configure(service=watcher.SERVICE)
    watcher.watch(Api(url, "health_check", password, settings.secrets_dir / "ca.crt"), every)
