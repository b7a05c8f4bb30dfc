"""A Docker engine with Compose for the tests: the one that runs here, else one of our own; and stand-in images."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "python-shipper-tests"
COMPOSE_VERSION = "v2.40.3"
# Never a version that exists: the engine may hold the real images.
VERSION = "9.0.0-standin"
BASE = "debian-standin:base"
ROLES = {"elasticsearch": "elasticsearch", "logstash": "logstash", "kibana": "kibana", "filebeat": "elastic/filebeat"}
WRAPPER = {
    "go.mod": f"module composewrap\n\ngo 1.24\n\nrequire github.com/docker/compose/v2 {COMPOSE_VERSION}\n",
    "tools.go": '//go:build tools\n\npackage tools\n\nimport _ "github.com/docker/compose/v2/cmd"\n',
}


def compose_plugin() -> Path:
    """A folder for DOCKER_CONFIG that holds the Compose plugin, built once by Go from its module."""
    config = CACHE / "docker-config"
    plugin = config / "cli-plugins" / "docker-compose"
    if not plugin.exists():
        source = CACHE / "composewrap"
        source.mkdir(parents=True, exist_ok=True)
        for name, text in WRAPPER.items():
            (source / name).write_text(text)
        plugin.parent.mkdir(parents=True, exist_ok=True)
        flags = f"-s -w -X github.com/docker/compose/v2/internal.Version={COMPOSE_VERSION}"
        build = ["go", "build", "-mod=mod", "-trimpath", f"-ldflags={flags}", "-o", str(plugin) + ".new"]
        subprocess.run([*build, "github.com/docker/compose/v2/cmd"], cwd=source, check=True, capture_output=True)
        Path(str(plugin) + ".new").rename(plugin)
    return config


@contextmanager
def engine(folder: Path) -> Iterator[dict[str, str]]:
    """The environment variables that point the docker client at a running engine with Compose."""
    plain = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    variables = {} if plain else {"DOCKER_CONFIG": str(compose_plugin())}
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        yield variables
        return
    socket = f"unix://{folder}/docker.sock"
    # A smaller MTU for hosts that are virtual themselves; published ports on loopback only.
    options = [f"--host={socket}", f"--data-root={folder}/data", f"--exec-root={folder}/run", f"--pidfile={folder}/pid"]
    with (folder / "dockerd.log").open("wb") as log:
        command = ["dockerd", *options, "--mtu=1400", "--ip=127.0.0.1"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(socket, process, folder / "dockerd.log")
        yield {**variables, "DOCKER_HOST": socket}
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(socket: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while subprocess.run(["docker", "-H", socket, "info"], capture_output=True, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"dockerd did not start: {log.read_text()[-2000:]}")
        time.sleep(0.3)


def make_images(folder: Path) -> None:
    """Stand-ins under the names of the four official images, on one Debian made by debootstrap."""
    if has_image(BASE):
        build_roles()
        return
    root = folder / "rootfs"
    packages = "python3,python3-pip,python3-venv,curl,ca-certificates,procps"
    run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root))
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    # The packages' registry is reached through the same certificates as from this machine.
    shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archive:
        subprocess.run(["docker", "import", "-", BASE], stdin=archive.stdout, check=True)
    build_roles()


def build_roles() -> None:
    for role, image in ROLES.items():
        user = "0:0" if role == "filebeat" else "1000:0"
        arguments = [f"--build-arg=ROLE={role}", f"--build-arg=PRODUCT_USER={user}"]
        run("docker", "build", "--quiet", *arguments, f"--tag={image}:{VERSION}", str(HERE / "standins"))


def has_image(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
