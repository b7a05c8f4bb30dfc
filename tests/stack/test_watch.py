"""Disk lines: the level follows Elasticsearch's watermarks, and a silent server is said so."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from python_shipper.stack import watch
from python_shipper.stack.api import Api
from python_shipper.stack.doctor import GIB
from tests.stack.elasticsearch import Server


class Disks(Api):
    """Answers with the disks that it is given as (free, total) in GiB."""

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        assert (method, path) == ("GET", "/_nodes/stats/fs")
        free, total = (float(part) * GIB for part in self.url.split("/"))
        return {
            "nodes": {"a": {"name": "es01", "fs": {"total": {"total_in_bytes": total, "available_in_bytes": free}}}}
        }


@pytest.mark.parametrize(
    ("disk", "level"), [("50/100", logging.INFO), ("9/100", logging.WARNING), ("4/100", logging.ERROR)]
)
def test_the_level_follows_the_watermarks(disk: str, level: int) -> None:
    free, total = disk.split("/")
    assert list(watch.disks(Disks(disk))) == [(level, f"es01: {free}.0 of {total}.0 GiB free")]


def test_a_server_that_does_not_answer_is_an_error_line(caplog: pytest.LogCaptureFixture) -> None:
    watch.look(Api("http://127.0.0.1:9"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("disks cannot be asked for: GET http://127.0.0.1:9/_nodes/stats/fs: ")
    assert record.__dict__["event_type"] == watch.ACTION


@pytest.mark.slow
@pytest.mark.needs("maven")
def test_the_health_check_user_may_ask_a_real_elasticsearch(elasticsearch: Server) -> None:
    ((level, message),) = watch.disks(elasticsearch.api("health_check"))
    assert level in (logging.INFO, logging.WARNING, logging.ERROR)
    assert message.endswith(" GiB free")
