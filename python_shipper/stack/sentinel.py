"""One test line through the whole stack: written to a log file, then asked for by its id until it is found."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from python_shipper.core.clock import iso, now_ms
from python_shipper.core.names import log_index
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import StackError
from python_shipper.stack.api import Api

SERVICE = "shipper-check"
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.25


def send_and_find(log_dir: Path, elasticsearch: Api, patience_seconds: float = PATIENCE_SECONDS) -> float:
    """Seconds from writing the line to finding exactly one document of it.

    Raises:
        StackError: it is not found in time, or found more than once.
    """
    started = time.monotonic()
    ms = now_ms()
    identity = send(log_dir, ms)
    while time.monotonic() - started < patience_seconds:
        if found := count(elasticsearch, log_index(SERVICE, ms), identity):
            if found > 1:
                raise StackError(f"test line {identity}: {found} documents instead of one")
            return time.monotonic() - started
        time.sleep(PAUSE_SECONDS)
    raise StackError(
        f"test line {identity}: not searchable within {patience_seconds:g} s; "
        "see docker compose logs filebeat logstash, and the dead letters (christmas-dead-letters-*)"
    )


def send(log_dir: Path, ms: int) -> str:
    """Append one ECS line to the log file of the service ``shipper-check``; its id.

    Raises:
        StackError: the log folder cannot be written.
    """
    identity = new_ulid(ms)
    # The id stands within the first 128 bytes, by which Filebeat tells files apart.
    line = {
        "@timestamp": iso(ms),
        "log.level": "info",
        "message": f"stack check {identity}",
        "ecs.version": "9.4.0",
        "service": {"name": SERVICE},
        "event": {"id": identity, "action": "stack-check"},
    }
    path = log_dir / f"{SERVICE}.ecs.log"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(f"{path}: cannot be written ({error.strerror}); set LOG_DIR to a folder that can") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return identity


def count(elasticsearch: Api, index: str, identity: str) -> int:
    """How many documents of ``index`` have that id; an index that does not exist yet has none."""
    body = {"query": {"term": {"event.id": identity}}}
    return int(elasticsearch.call("POST", f"/{index}/_count?ignore_unavailable=true", body)["count"])
