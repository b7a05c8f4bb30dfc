"""enable_remote_logging: lines go out without Filebeat and without a disk, once, whatever happens to the far side."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper import AdLoggingSystem
from python_shipper.core import counts
from python_shipper.errors import ConfigurationError
from python_shipper.exporters.memory import MemorySpool
from python_shipper.exporters.remote import RemoteHandler
from python_shipper.exporters.spool import SpoolFullError
from tests.ads.system import Root
from tests.exporters.cluster import Cluster
from tests.stack.elasticsearch import Server
from tests.stack.lumber import LumberServer

REMOTE = {"enable_remote_logging": True}


@pytest.fixture
def lumber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Root) -> Iterator[LumberServer]:
    """A server that the environment names, not started yet."""
    made = LumberServer(tmp_path)
    monkeypatch.setenv("SECRETS_DIR", str(made.secrets))
    monkeypatch.setenv("REMOTE_LOG_URL", made.url)
    yield made
    made.kill()


def handler() -> RemoteHandler:
    (found,) = [each for each in logging.getLogger().handlers if isinstance(each, RemoteHandler)]
    return found


def messages(server: LumberServer) -> list[str]:
    return [json.loads(event["message"])["message"] for event in server.events()]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.needs("go")
def test_a_line_goes_out_and_into_the_files_with_one_id(lumber: LumberServer, root: Root) -> None:
    lumber.start()
    log = AdLoggingSystem(REMOTE).get_logger("bids")
    log.info("bid of kim@example.com", order_id="o1")
    until(lambda: len(messages(lumber)) == 1)
    (written,) = root.events()
    assert json.loads(lumber.events()[0]["message"]) == written and "kim@" not in written["message"]


@pytest.mark.slow
@pytest.mark.needs("go")
def test_while_nobody_answers_lines_wait_on_disk_and_the_next_process_sends_them(
    lumber: LumberServer, root: Root
) -> None:
    code = """
import os
from python_shipper import AdLoggingSystem
log = AdLoggingSystem({"enable_remote_logging": True}).get_logger("bids")
for number in range(500):
    log.info("line %d" % number)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == -9
    lumber.start()
    AdLoggingSystem(REMOTE).get_logger("bids").info("after")
    until(lambda: "after" in messages(lumber))
    sent = [text for text in messages(lumber) if text.startswith(("line", "after"))]
    assert sent == [*(f"line {n}" for n in range(500)), "after"]


@pytest.mark.slow
@pytest.mark.needs("go")
def test_without_a_disk_lines_wait_in_memory(
    lumber: LumberServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_DIR", "/proc/logs")
    monkeypatch.setenv("DATA_DIR", "/proc/data")
    log = AdLoggingSystem(REMOTE).get_logger("bids")
    for number in range(100):
        log.info(f"line {number}")
    assert isinstance(handler().delivery.spool, MemorySpool)  # type: ignore[union-attr]
    lumber.start()
    until(lambda: "line 99" in messages(lumber))
    sent = [text for text in messages(lumber) if text.startswith("line")]
    assert sent == [f"line {n}" for n in range(100)]
    assert "LOG_DIR: cannot write to /proc/logs" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.needs("go")
def test_a_forked_child_sends_its_own_lines(lumber: LumberServer, root: Root) -> None:
    lumber.start()
    log = AdLoggingSystem(REMOTE).get_logger("bids")
    log.info("parent")
    child = os.fork()
    if not child:
        log.info("child")
        logging.shutdown()
        os._exit(0)
    os.waitpid(child, 0)
    log.info("parent again")
    until(lambda: len(messages(lumber)) >= 3)
    assert sorted(messages(lumber)) == ["child", "parent", "parent again"]


@pytest.mark.slow
def test_into_elasticsearch_each_line_is_one_document_and_causes_none(
    elasticsearch: Server, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(elasticsearch, "remote-ads")
    url = cluster.address(elasticsearch.url)
    if elasticsearch.authority:
        monkeypatch.setenv("SECRETS_DIR", str(elasticsearch.authority.parent))
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    log = AdLoggingSystem({**REMOTE, "app_name": "remote-ads", "remote_url": url}).get_logger("bids")
    try:
        for number in range(300):
            log.info(f"line {number}")
        until(lambda: handler().status()["stored_total"] >= 300)
        time.sleep(1)  # the client's own lines about each request must not bring forth further requests
        assert handler().status()["stored_total"] == 300
        documents = cluster.documents()
        written = {e["event"]["id"]: e["message"] for e in root.events("remote-ads.ecs.log")}
        assert {id: document["message"] for id, (_, document) in documents.items()}.items() <= written.items()
        assert len(documents) == 300
    finally:
        handler().close()
        cluster.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "set REMOTE_LOG_URL or remote_url"),
        ("redis://x", "expected beats://host:5044"),
        ("logstash:5044", "expected beats://host:5044"),
        ("beats://", "expected beats://host:5044"),
        ("beats://me:secret@logs", "^an address with a user or password: expected beats://host:5044"),
        ("https://", "ELASTICSEARCH_URL"),
    ],
)
def test_a_wrong_destination_is_named(url: str, said: str, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REMOTE_LOG_URL", "ELASTICSEARCH_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=said):
        AdLoggingSystem({**REMOTE, "remote_url": url})


def test_the_queue_in_memory_is_bounded_and_gives_again_what_was_not_settled() -> None:
    spool = MemorySpool(most_bytes=100)
    for number in range(10):
        spool.append(b"%010d" % number)
    with pytest.raises(SpoolFullError):
        spool.append(b"x")
    first, position = spool.take(3, 1_000)
    assert len(first) == 3
    assert [len(spool.take(10, 25)[0]), len(spool.take(10, 1)[0])] == [2, 1]
    spool.settle(position)
    spool.back()
    again, end = spool.take(100, 1_000)
    assert again == [b"%010d" % number for number in range(3, 10)]
    spool.settle(end)
    assert spool.waiting == 0 and spool.take(1, 1) == ([], end)


def test_what_finds_no_room_is_counted(root: Root, tmp_path: Path) -> None:
    def away() -> Any:
        raise OSError("no such destination")

    made = RemoteHandler("orders", tmp_path / "logs", destination=away, spool=tmp_path / "spool", files=False)
    before = counts.current()["dropped"]
    made.emit(logging.LogRecord("x", 20, "", 0, "line", (), None))
    made.close()
    assert counts.current()["dropped"] == before + 1 and not (tmp_path / "logs").exists()
