"""Starts and stops the three services as processes of their own; the demo, the tests and the load benchmark use it.

``python -m examples.run`` runs them until Ctrl-C or SIGTERM and prints their addresses as one JSON line. `LOG_DIR`,
`APP_ENV` and every other setting reach the services through the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
SERVICES = ("analysis_engine", "orders", "gateway")  # in the order of starting: a service after the one it calls
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class NotStartedError(Exception):
    """A service did not come up; the message holds the end of what it printed."""


class Service:
    """One running service: its name, address, and process."""

    def __init__(self, name: str, port: int, environ: Mapping[str, str]) -> None:
        self.name = name
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # The child gets the listening socket itself, so that nobody can take the port in between.
        with socket.create_server(("127.0.0.1", port)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            command = [sys.executable, "-m", "examples.run", "--serve", name, "--fd", str(listener.fileno())]
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environ),
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,  # closes when this process is gone, however it ended
                stdout=self.output,
                stderr=self.output,
            )

    def wait(self) -> None:
        """Return when the service answers.

        Raises:
            NotStartedError: it ended, or did not answer in time.
        """
        until = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < until:
            if answers(self.url):
                return
            time.sleep(0.05)
        self.stop()
        self.output.seek(0)
        raise NotStartedError(
            f"{self.name} did not start: {self.output.read().decode(errors='replace')[-2000:].strip()}"
        )

    def stop(self) -> None:
        """End the process with SIGTERM, after a while with SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


def answers(url: str) -> bool:
    """Whether the service at ``url`` is healthy."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:  # noqa: S310 - an address made here
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def running(
    ports: Mapping[str, int] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """The three services, healthy, for a `with` block: name → address. A service without a port gets a free one.

    ``environ`` is added to this process's environment.

    Raises:
        NotStartedError: a service did not come up; those before it are stopped.
        OSError: a given port is taken.
    """
    services: list[Service] = []
    env = {**os.environ, **(environ or {})}
    try:
        for name in SERVICES:
            services.append(Service(name, (ports or {}).get(name, 0), env))
            services[-1].wait()
            env[f"{name.upper()}_URL"] = services[-1].url
        yield {service.name: service.url for service in services}
    finally:
        for service in reversed(services):  # a caller before the one it calls
            service.stop()


def serve(name: str, fd: int) -> None:
    """Be the service ``name`` on the listening socket ``fd``, until told to stop or the parent is gone."""
    import uvicorn

    threading.Thread(target=stop_with_parent, daemon=True).start()
    config = uvicorn.Config(f"examples.{name}:app", log_config=None, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


def stop_with_parent() -> None:
    """Standard input ends when the parent does."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Parse, run, and wait for a signal."""
    parser = argparse.ArgumentParser(prog="python -m examples.run", description="Run the three example services.")
    for name in SERVICES:
        parser.add_argument(f"--{name.replace('_', '-')}-port", type=int, default=0, help="default: a free port")
    parser.add_argument("--serve", choices=SERVICES, help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.fd)
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running({name: getattr(args, f"{name}_port") for name in SERVICES}) as urls:
            print(json.dumps(urls), flush=True)  # noqa: T201
            stop.wait()
    except (NotStartedError, OSError) as error:
        sys.exit(f"examples: {error}")


if __name__ == "__main__":
    main()
