"""Watches what no log line tells, how full Elasticsearch's disks are, and says so in log lines: for the alerts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from python_shipper.errors import StackError
from python_shipper.stack.api import Api
from python_shipper.stack.doctor import FLOOD, GIB, HIGH, room_needed

SERVICE = "stack-watch"
ACTION = "disk-usage"
log = logging.getLogger(__name__)


def watch(api: Api, every_seconds: float) -> None:
    """Log each node's disk again and again; returns only by being interrupted."""
    while True:
        look(api)
        time.sleep(every_seconds)


def look(api: Api) -> None:
    """One line a node, or one that says that Elasticsearch does not answer."""
    try:
        for level, message in disks(api):
            log.log(level, message, extra={"event_type": ACTION})
    except StackError as error:
        log.error("disks cannot be asked for: %s", error, extra={"event_type": ACTION})


def disks(api: Api) -> Iterator[tuple[int, str]]:
    """Level and message a node: WARNING above Elasticsearch's high watermark, ERROR above the flood stage.

    Raises:
        StackError: Elasticsearch does not answer.
    """
    for node in api.call("GET", "/_nodes/stats/fs")["nodes"].values():
        total, free = node["fs"]["total"]["total_in_bytes"], node["fs"]["total"]["available_in_bytes"]
        level = logging.WARNING if free < room_needed(HIGH, total) else logging.INFO
        level = logging.ERROR if free < room_needed(FLOOD, total) else level
        yield level, f"{node['name']}: {free / GIB:.1f} of {total / GIB:.1f} GiB free"
