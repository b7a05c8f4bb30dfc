"""Services started as people start them: the `uvicorn` command in a process of its own, lines read from the files."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import python_shipper

pytestmark = pytest.mark.slow
CONFIG = Path(python_shipper.__file__).parent / "logging_config.yaml"

# Only asgi-correlation-id's middleware, and our dictConfig: no install().
CORRELATED = """
import logging
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from python_shipper.core import tracing

app = FastAPI()
app.add_middleware(CorrelationIdMiddleware, header_name="X-Trace-ID", validator=tracing.is_trace_id)

@app.get("/")
async def root():
    logging.getLogger("shop").info("here")

@app.get("/sync")
def sync():
    logging.getLogger("shop").info("in a thread")
"""

INSTALLED = """
import logging
import python_shipper
from fastapi import FastAPI
from python_shipper.integrations import fastapi

python_shipper.configure(service="shop")
app = FastAPI()
fastapi.install(app)

@app.get("/")
async def root():
    logging.getLogger("shop").info("here")

@app.get("/boom")
async def boom():
    raise ValueError("boom")
"""


@contextmanager
def uvicorn(folder: Path, source: str, *options: str, **environ: str) -> Iterator[str]:
    """The `uvicorn` command with ``options`` on a module of this ``source``; its address."""
    (folder / "main.py").write_text(source)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", port, *options]
    env = {**os.environ, "SERVICE_NAME": "shop", "LOG_DIR": str(folder / "logs"), **environ}
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=printed, stderr=printed)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(f"{url}/up")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("uvicorn did not come up")


def lines(folder: Path) -> list[dict[str, Any]]:
    text = "".join(path.read_text() for path in sorted((folder / "logs").glob("*.ecs.log")))
    return [json.loads(line) for line in text.splitlines()]


def of(found: list[dict[str, Any]], logger: str) -> list[dict[str, Any]]:
    return [line for line in found if line.get("log", {}).get("logger") == logger]


def test_their_middleware_and_our_dictconfig_suffice_for_trace_ids(tmp_path: Path) -> None:
    with uvicorn(tmp_path, CORRELATED, "--log-config", str(CONFIG)) as url:
        assert httpx.get(url, headers={"X-Trace-ID": "abc123"}).headers["x-trace-id"] == "abc123"
        generated = httpx.get(f"{url}/sync").headers["x-trace-id"]
        replaced = httpx.get(url, headers={"X-Trace-ID": "not valid"}).headers["x-trace-id"]
    found = lines(tmp_path)
    assert [line["trace"]["id"] for line in of(found, "shop")] == ["abc123", generated, replaced]
    started = [line for line in of(found, "uvicorn.error") if line["message"] == "Application startup complete."]
    assert len(started) == 1 and started[0]["service"]["name"] == "shop"
    assert len(of(found, "uvicorn.access")) >= 3  # without install() uvicorn's own access lines stay, as ECS


@pytest.mark.parametrize("options", [(), ("--reload",), ("--log-config", str(CONFIG))])
def test_uvicorns_own_loggers_come_out_once_as_ecs_at_the_level_asked_for(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with uvicorn(tmp_path, INSTALLED, "--log-level", "debug", *options) as url:
        assert httpx.get(url, headers={"X-Trace-ID": "abc123"}).status_code == 200
        assert httpx.get(f"{url}/boom").status_code == 500
    found = lines(tmp_path)
    messages = [line["message"] for line in of(found, "uvicorn.error")]
    assert messages.count("Application startup complete.") == 1
    assert of(found, "uvicorn.access") == []
    assert len([line for line in found if line["log.level"] == "error"]) == 1
    assert "GET / HTTP" not in (tmp_path / "printed").read_text()
    assert "Traceback" not in (tmp_path / "printed").read_text()
    assert of(found, "shop")[0]["trace"]["id"] == "abc123"


def test_uvicorns_debug_lines_come_out_when_asked_for(tmp_path: Path) -> None:
    with uvicorn(tmp_path, INSTALLED, "--log-level", "trace", LOG_LEVEL="DEBUG"):
        pass
    assert any(line["log.level"] in ("trace", "debug") for line in lines(tmp_path) if "logger" in line.get("log", {}))


def test_two_workers_write_to_slots_of_their_own_and_lose_nothing(tmp_path: Path) -> None:
    with uvicorn(tmp_path, INSTALLED, "--workers", "2") as url:
        for n in range(60):
            httpx.get(url, headers={"X-Trace-ID": f"t{n}"})
    found = of(lines(tmp_path), "shop")
    assert sorted(line["trace"]["id"] for line in found) == sorted(f"t{n}" for n in range(60))
    assert {path.name for path in (tmp_path / "logs").glob("*.ecs.log")} >= {"shop.ecs.log", "shop.1.ecs.log"}
