"""The embedded stack's one process: an agent's threads that fill the store, and a web server that answers from it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from types import FrameType
from typing import NoReturn

import uvicorn

import python_shipper
from python_shipper.agent import Agent
from python_shipper.alerts import Alerts
from python_shipper.core.clock import now_ms
from python_shipper.dashboard import create_app
from python_shipper.errors import ShipperError, StackError
from python_shipper.exporters.prometheus import PrometheusExporter
from python_shipper.exporters.prometheus_textfile import Textfile
from python_shipper.settings import Settings
from python_shipper.stack.analysis import Analysis
from python_shipper.stack.events import feed
from python_shipper.stack.lock import ProcessLock
from python_shipper.stack.ports import check_exposure, listen
from python_shipper.store.tantivy import TantivyStore


class Server(uvicorn.Server):
    """Uvicorn that says when it serves."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.announce()


def serve(settings: Settings) -> None:
    """Hold the lock, tail, store and serve until SIGTERM or SIGINT.

    Raises:
        StackError: another process holds the folder, or the port is taken.
        ShipperError: the agent or the store cannot be opened.
    """
    check_exposure(settings)
    with ProcessLock(settings.data_dir) as lock:
        if not lock.take():
            raise StackError(f"{lock.path}: another embedded process holds this folder; shipper status shows it")
        with listen(settings.api_host, settings.api_port) as listener:
            run(settings, lock, listener)


def run(settings: Settings, lock: ProcessLock, listener: socket.socket) -> None:
    """The agent, the analysis with its alerts, and the web server, side by side; all stopped in turn."""
    python_shipper.configure(service="shipper", log_dir=settings.data_dir / "logs", profile="production")
    with ExitStack() as stack:
        store = stack.enter_context(closing(TantivyStore.open(settings.data_dir)))
        prometheus = stack.enter_context(closing(PrometheusExporter(settings)))
        prometheus.catch_up(store)
        alerts = Alerts.open(settings)
        analysis = Analysis(settings, alerts, lambda: agent.status())
        agent = Agent(settings, committed=[prometheus.committed, analysis.listen])
        app = create_app(settings, store, agent.status, [prometheus, analysis], analysis)
        alerts.start()
        stack.callback(alerts.stop)
        analysis.start(store)
        stack.callback(analysis.stop)
        if events := feed(settings, analysis):
            events.start()
            stack.callback(events.stop)
        if settings.prometheus_textfile:  # its last content comes after the agent's end, before the alerts' file closes
            textfile = Textfile(settings.prometheus_textfile, lambda: app.state.service.metrics()[0])
            textfile.start()
            stack.callback(textfile.close)
        agent.start()
        stack.callback(agent.stop)
        stack.callback(signal.signal, signal.SIGTERM, signal.SIG_IGN)  # what follows is the way out
        Server(configuration(settings, app), lambda: lock.describe(note(settings))).run(sockets=[listener])


def configuration(settings: Settings, app: object) -> uvicorn.Config:
    """Uvicorn's settings: bounded connections and waits, our own log lines, no banner of versions."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        limit_concurrency=128,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=32_768,
        ws="none",
        ssl_certfile=settings.api_tls_cert,
        ssl_keyfile=settings.api_tls_key,
    )


def note(settings: Settings) -> dict[str, str | int]:
    """What other processes may know of this one."""
    scheme = "https" if settings.api_tls_cert else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.api_host, settings.api_host)  # noqa: S104  shown, not bound
    shown = f"[{host}]" if ":" in host else host
    return {"pid": os.getpid(), "url": f"{scheme}://{shown}:{settings.api_port}", "started_ms": now_ms()}


def end(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by way of every ``finally``."""
    sys.exit(0)


def main() -> int:
    """Serve; what is wrong is said in one line, which the parent shows."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        serve(Settings.from_environment())
    except ShipperError as error:
        sys.stderr.write(f"shipper: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
