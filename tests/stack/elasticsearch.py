"""A real Elasticsearch for tests: one that runs, else the official image, else the integration-test distribution.

The first is the one at ``ELASTICSEARCH_URL=https://user:password@host:9200`` (its authority in ``ELASTICSEARCH_CA``).
The last is published on Maven and started here with our configuration file and roles. It has security, templates,
queries and the core aggregations, and lacks what the tables ``LACKING_…`` name; what our files say of those is swapped
or left out by these tables, and is checked elsewhere (ILM by Elastic's own parser).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from python_shipper.stack import certificates
from python_shipper.stack.api import Api
from tests.stack import obtain, official

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "elasticsearch"
START_SECONDS = 120
PASSWORD = """a$b"c'd`e\\f #g%h:i{j}é"""  # what people choose; configuration languages trip over it
SERVICE_ROLE, ANY_SERVICE = "orders_viewer", r"[a-z0-9_\\-]+"
NOBODY = 65534

# What this distribution has no module for: field type -> the nearest one it has, and settings that it refuses.
LACKING_TYPES = {
    "match_only_text": {"type": "text"},
    "wildcard": {"type": "keyword", "ignore_above": 8191},
    "constant_keyword": {"type": "keyword"},
    "scaled_float": {"type": "double"},
}
LACKING_INDEX_SETTINGS = {"lifecycle"}
LACKING_NODE_SETTINGS = ("xpack.ml.enabled", "ingest.geoip.downloader.enabled")


@dataclass(frozen=True)
class Server:
    """A running server with our templates: its address and authority; every role has a user of the same name."""

    url: str
    authority: Path | None
    admin: str = "admin"
    password: str = PASSWORD
    complete: bool = False

    def api(self, user: str | None = None) -> Api:
        """The API as ``user``, by default one who may do everything."""
        own = user is None
        return Api(self.url, self.admin if own else user, self.password if own else PASSWORD, self.authority)

    def apply(self) -> None:
        """Put our component and index templates, on a complete server as they are and after our policies."""
        if self.complete:
            self.put("ilm_policies", "_ilm/policy")
        self.put("elasticsearch/component_templates", "_component_template")
        self.put("elasticsearch/index_templates", "_index_template")

    def put(self, folder: str, path: str) -> None:
        """Put every JSON file of ``folder`` under its stem."""
        for file in sorted((ROOT / folder).glob("*.json")):
            body = json.loads(file.read_text())
            self.api().call("PUT", f"/{path}/{file.stem}", body if self.complete else adapted(body))


@contextmanager
def any_server() -> Iterator[Server]:
    """The server of the first source that has one.

    Raises:
        MissingError: none has; the message holds the reason of each.
    """
    with ExitStack() as stack:
        yield first((named, contained, distributed), stack)


Source = Callable[[], AbstractContextManager[Server]]


def first(sources: Sequence[Source], stack: ExitStack) -> Server:
    """The server of the first of ``sources`` that has one, until ``stack`` is closed.

    Raises:
        MissingError: none has.
    """
    reasons = []
    for source in sources:
        try:
            return stack.enter_context(source())
        except obtain.MissingError as missing:
            reasons.append(str(missing))
    raise obtain.MissingError("; ".join(reasons))


@contextmanager
def named() -> Iterator[Server]:
    """The server that ``ELASTICSEARCH_URL`` names.

    Raises:
        MissingError: it names none.
    """
    if not os.environ.get("ELASTICSEARCH_URL"):
        raise obtain.MissingError("ELASTICSEARCH_URL is not set")
    url, authority = urlsplit(os.environ["ELASTICSEARCH_URL"]), os.environ.get("ELASTICSEARCH_CA")
    address = f"{url.scheme}://{url.hostname}:{url.port or 9200}"
    user, password = unquote(url.username or ""), unquote(url.password or "")
    yield provisioned(Server(address, Path(authority) if authority else None, user, password, complete=True))


@contextmanager
def contained() -> Iterator[Server]:
    """The official image.

    Raises:
        MissingError: it cannot be had.
    """
    with official.container() as started:
        server = Server(started.url, started.authority, "elastic", started.password, complete=True)
        wait_until_ready(server, lambda: official.docker("logs", "--tail=30", started.id))
        yield provisioned(server)


@contextmanager
def distributed() -> Iterator[Server]:
    """The distribution of Maven.

    Raises:
        MissingError: it cannot be had.
    """
    with running() as server:
        server.apply()
        yield server


def provisioned(server: Server) -> Server:
    """A complete server after our templates, roles and a user a role were put into it."""
    server.apply()
    server.put("elasticsearch/roles", "_security/role")
    server.api().call("PUT", f"/_security/role/{SERVICE_ROLE}", service_role())
    for role in (*role_names(), SERVICE_ROLE):
        server.api().call("PUT", f"/_security/user/{role}", {"password": PASSWORD, "roles": [role]})
    return server


def service_role() -> Any:
    """Our viewer, narrowed to the service `orders` in the way that our documentation gives."""
    text = (CONFIG / "roles" / "logs_viewer.json").read_text()
    assert ANY_SERVICE in text
    return json.loads(text.replace(ANY_SERVICE, "orders"))


def role_names() -> list[str]:
    """The roles of ``elasticsearch/roles``."""
    return sorted(file.stem for file in (CONFIG / "roles").glob("*.json"))


def adapted(value: Any) -> Any:
    """A template without what this distribution lacks."""
    if isinstance(value, list):
        return [adapted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("type"), str) and value["type"] in LACKING_TYPES:
        return dict(LACKING_TYPES[value["type"]])
    kept = {key: adapted(item) for key, item in value.items()}
    if isinstance(kept.get("index"), dict):
        kept["index"] = {key: item for key, item in kept["index"].items() if key not in LACKING_INDEX_SETTINGS}
    return kept


@contextmanager
def running(java_options: str = "") -> Iterator[Server]:
    """A node with our elasticsearch.yml, TLS, and a user for each of our roles; by default with little of a machine.

    Raises:
        MissingError: the distribution or a Java cannot be had.
        AssertionError: it did not start.
    """
    archive, java = obtain.maven(obtain.ELASTICSEARCH), obtain.java()
    with tempfile.TemporaryDirectory(prefix="es-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        home = unpacked(archive, folder)
        configure(home / "config", folder)
        process = launch(home, java, folder, java_options)
        try:
            server = Server(f"https://localhost:{port(folder, process)}", home / "config" / "secrets" / "ca.crt")
            wait_until_ready(server, lambda: (folder / "output").read_text()[-3000:])
            yield server
        finally:
            process.terminate()
            process.wait(30)


def unpacked(archive: Path, folder: Path) -> Path:
    """The distribution's files in ``folder``."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    home = next(folder.glob("elasticsearch-*"))
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    return home


def configure(config: Path, folder: Path) -> None:
    """Our elasticsearch.yml without what is lacking, certificates, roles, and a user a role in files."""
    lines = (CONFIG / "elasticsearch.yml").read_text().splitlines()
    (config / "elasticsearch.yml").write_text("\n".join(x for x in lines if not x.startswith(LACKING_NODE_SETTINGS)))
    options = (config / "jvm.options").read_text().replace("-XX:+UseG1GC", "")
    (config / "jvm.options").write_text(options + "\n-Xms512m\n-Xmx512m\n-XX:+UseSerialGC\n-XX:TieredStopAtLevel=1\n")
    certificates.ensure(config / "secrets")
    roles = {name: json.loads((CONFIG / "roles" / f"{name}.json").read_text()) for name in role_names()}
    roles[SERVICE_ROLE] = service_role()
    (config / "roles.yml").write_text(yaml.safe_dump(roles))
    names = ["admin", *roles]
    (config / "users").write_text("".join(f"{name}:{hashed(PASSWORD)}\n" for name in names))
    granted = {"superuser": "admin", **{name: name for name in roles}}
    (config / "users_roles").write_text("".join(f"{role}:{user}\n" for role, user in granted.items()))
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)


def hashed(password: str) -> str:
    """The form of Elasticsearch's file realm: PBKDF2 with HMAC-SHA-512."""
    salt, rounds = os.urandom(32), 1000
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def launch(home: Path, java: Path, folder: Path, java_options: str) -> subprocess.Popen[bytes]:
    """The node's process, not as root, on free ports of this machine only."""
    settings = {
        "network.host": "127.0.0.1", "http.port": "0", "transport.port": "0", "node.portsfile": "true",
        "discovery.type": "single-node", "bootstrap.memory_lock": "false", "path.repo": folder / "backups",
        "path.data": folder / "data", "path.logs": folder / "logs",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"], "ES_JAVA_HOME": str(java),
        "HOME": str(folder / "home"), "ES_TMPDIR": str(folder / "tmp"), "ES_JAVA_OPTS": java_options,
    }  # fmt: skip
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [home / "bin" / "elasticsearch", *(f"-E{name}={value}" for name, value in settings.items())],
            env=environment, stdout=output, stderr=output, cwd=folder, **other,
        )  # fmt: skip


def port(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """The HTTP port once it is bound."""
    file, deadline = folder / "logs" / "http.ports", time.monotonic() + START_SECONDS
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None and time.monotonic() < deadline, (folder / "output").read_text()[-3000:]
        time.sleep(0.1)
    return file.read_text().splitlines()[0].rpartition(":")[2]


def wait_until_ready(server: Server, said: Callable[[], str]) -> None:
    """Wait for a master; ``said`` gives the end of the server's output."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.api().call("GET", "/_cluster/health?wait_for_status=yellow&timeout=10s")
            return
        except Exception as error:
            assert time.monotonic() < deadline, f"{error}\n{said()}"
            time.sleep(0.2)
