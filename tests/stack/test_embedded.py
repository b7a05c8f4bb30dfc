"""The embedded process: up, asked, down, nothing left; alone on its folder; refused in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from python_shipper.agent.verify import verify
from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack import certificates, embedded
from python_shipper.stack.client import ask
from python_shipper.stack.lock import ProcessLock
from python_shipper.store import open_store
from python_shipper.store.logs import Question, search_logs

pytestmark = pytest.mark.slow
WRITE = """
import sys
import python_shipper
python_shipper.configure(service=sys.argv[1], profile="production")
log = python_shipper.get_logger("test")
for number in range(int(sys.argv[2])):
    log.info("line %d" % number, order_id="o%d" % number)
"""
Up = Callable[..., Settings]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    found = Settings(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", api_port=free_port(), stack="embedded")
    yield found
    embedded.down(found, lambda _: None)


def write(settings: Settings, service: str, lines: int) -> None:
    subprocess.run([sys.executable, "-c", WRITE, service, str(lines)], env=embedded.environment(settings), check=True)


def count(settings: Settings, query: str) -> int:
    with closing(open_store(settings)) as store:
        return search_logs(store, Question(query, limit=0)).total


def test_a_line_is_found_and_nothing_is_left_after_down(settings: Settings) -> None:
    said: list[str] = []
    embedded.up(settings, said.append)
    status = embedded.status(settings)
    assert (status["running"], status["url"]) == (True, f"http://127.0.0.1:{settings.api_port}")
    write(settings, "orders", 50)
    assert embedded.wait_for(lambda: count(settings, "service:orders line") == 50, 60)
    found = ask(settings, status["url"], "/api/logs?q=order_id:o7")
    assert [hit["_source"]["message"] for hit in found["hits"]] == ["line 7"]
    embedded.up(settings, said.append)
    assert said[-1] == f"already running: {status['url']} (pid {status['pid']})"
    with closing(open_store(settings)) as store:
        rows = {row.service: row for row in verify(settings, store, 60)}
    assert (rows["orders"].written, rows["orders"].stored, rows["orders"].difference) == (51, 51, 0)
    embedded.down(settings, said.append)
    embedded.down(settings, said.append)
    assert said[-2:] == [f"embedded stack: stopped (pid {status['pid']})", "embedded stack: not running"]
    assert embedded.ended(status["pid"])
    assert embedded.status(settings) == {"running": False, "data_dir": str(settings.data_dir)}
    assert not (settings.data_dir / "embedded.lock").exists()
    socket.create_server(("127.0.0.1", settings.api_port)).close()


def test_killed_in_traffic_and_started_again_everything_is_there_once(settings: Settings) -> None:
    embedded.up(settings, lambda _: None)
    command = [sys.executable, "-c", WRITE, "orders", "20000"]
    with subprocess.Popen(command, env=embedded.environment(settings)) as writer:
        for _ in range(3):
            time.sleep(0.4)
            os.kill(embedded.status(settings)["pid"], signal.SIGKILL)
            assert embedded.wait_for(lambda: not embedded.running(settings), 60)
            embedded.up(settings, lambda _: None)
        writer.wait()
    with closing(open_store(settings)) as store:
        (row,) = [row for row in verify(settings, store, 60) if row.service == "orders"]
    assert (row.written - row.unread, row.difference, row.missing) == (row.stored, 0, ())
    assert row.stored > 1000
    assert count(settings, "service:orders") == row.stored


def test_it_serves_its_own_store_also_where_another_is_named(settings: Settings) -> None:
    elsewhere = replace(settings, stack=None, elasticsearch_url="http://127.0.0.1:1")
    embedded.up(elsewhere, lambda _: None)
    url = embedded.status(elsewhere)["url"]
    assert embedded.wait_for(lambda: ask(elsewhere, url, "/api/logs?q=service:shipper")["total"] > 0, 60)


def test_its_own_lines_are_ecs_and_searchable(settings: Settings) -> None:
    embedded.up(settings, lambda _: None)
    assert embedded.wait_for(lambda: count(settings, "service:shipper") > 0, 60)
    lines = (settings.data_dir / "logs" / "shipper.ecs.log").read_text().splitlines()
    assert {json.loads(line)["service"]["name"] for line in lines} == {"shipper"}


def test_a_taken_port_is_refused_and_nothing_stays(settings: Settings) -> None:
    in_use = pytest.raises(StackError, match=r"the port is in use by .* \(pid \d+\).*API_PORT=\d+$")
    with socket.create_server(("127.0.0.1", settings.api_port)), in_use:
        embedded.up(settings, lambda _: None)
    assert not embedded.running(settings)


def test_another_process_on_the_folder_is_left_alone(settings: Settings) -> None:
    settings.data_dir.mkdir()
    with ProcessLock(settings.data_dir) as lock:
        assert lock.take()
        said: list[str] = []
        embedded.up(settings, said.append)
        assert said == ["already running: starting (pid unknown)"]


def test_a_folder_that_cannot_be_made_is_refused(settings: Settings) -> None:
    settings.data_dir.write_text("a file")
    with pytest.raises(StackError, match=r"^DATA_DIR=.*: cannot be made \(File exists\); choose another folder$"):
        embedded.up(settings, lambda _: None)


@pytest.mark.parametrize("bad", ["/dev/null", "/dev/null/logs", "/proc/logs"])
def test_a_log_folder_that_cannot_be_is_refused(settings: Settings, bad: str) -> None:
    with pytest.raises(StackError, match=rf"^LOG_DIR={bad}: cannot be made \(.*\); choose another folder$"):
        embedded.up(replace(settings, log_dir=Path(bad)), lambda _: None)
    assert not embedded.running(settings)


def test_a_damaged_checkpoint_loses_nothing(settings: Settings) -> None:
    embedded.up(settings, lambda _: None)
    write(settings, "orders", 30)
    assert embedded.wait_for(lambda: count(settings, "service:orders line") == 30, 60)
    embedded.down(settings, lambda _: None)
    for part in settings.data_dir.glob("checkpoint.sqlite3*"):
        part.write_bytes(b"damaged" * 1000)
    write(settings, "orders", 30)
    embedded.up(settings, lambda _: None)
    assert embedded.wait_for(lambda: count(settings, "service:orders line") == 60, 60)


def test_off_loopback_without_token_and_tls_is_refused(settings: Settings) -> None:
    with pytest.raises(StackError, match=r"^API_HOST=0\.0\.0\.0: serving beyond this machine needs API_TOKEN"):
        embedded.up(replace(settings, api_host="0.0.0.0"), lambda _: None)


def test_with_token_and_tls_other_machines_are_served(settings: Settings, tmp_path: Path) -> None:
    certificates.make_authority(tmp_path)
    certificates.issue(tmp_path, "dashboard", ["localhost"])
    tls = {"api_tls_cert": tmp_path / "dashboard.crt", "api_tls_key": tmp_path / "dashboard.key"}
    secured = replace(settings, api_host="0.0.0.0", api_token="a token of some length", **tls)
    embedded.up(secured, lambda _: None)
    status = embedded.status(secured)
    assert status["url"] == f"https://127.0.0.1:{settings.api_port}"
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    request = urllib.request.Request(f"https://localhost:{settings.api_port}/api/indices")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, context=trusting, timeout=10)
    request.add_header("Authorization", "Bearer a token of some length")
    with urllib.request.urlopen(request, context=trusting, timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(StackError, match="answered 401; is API_TOKEN the one it was started with"):
        embedded.status(replace(secured, api_token="another token"))
    (tmp_path / "dashboard.key").write_text("damaged")
    embedded.down(secured, lambda _: None)
    with pytest.raises(StackError, match=r"^API_TLS_CERT=.*dashboard\.key: cannot be used \("):
        embedded.up(secured, lambda _: None)
