"""What is handed to Filebeat as its password is what the real Filebeat signs in with, whatever it holds."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from python_shipper.stack import handout, secrets
from tests.stack import obtain

pytestmark = [pytest.mark.slow, pytest.mark.needs("go")]
PASSWORDS = ["""a$b"c'd`e\\f #g%h&i{j},k${X}""", "000123456789", "[a list, of two]", "비밀번호는길어야합니다요"]

ANSWER = b'{"version": {"number": "9.5.3"}}'


class SignIn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Basic ")
        self.seen.append(base64.b64decode(token).decode())
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    SignIn.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), SignIn) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("password", PASSWORDS)
def test_filebeat_signs_in_with_the_password_as_it_is(
    password: str, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    filebeat = obtain.part("filebeat", lambda: obtain.go_program("filebeat"))
    (tmp_path / "filebeat.env").write_text(handout.beat_variable(dict.fromkeys(secrets.NAMES, password)))
    (tmp_path / "filebeat.yml").write_text(
        f"output.elasticsearch:\n  hosts: ['http://127.0.0.1:{server.server_address[1]}']\n"
        "  username: filebeat_monitor\n  password: ${FILEBEAT_MONITOR_PASSWORD}\n"
    )
    script = '. "$1/filebeat.env" && exec "$2" test output -c "$1/filebeat.yml" --path.home "$1" --strict.perms=false'
    done = subprocess.run(
        ["bash", "-c", script, "-", tmp_path, filebeat], capture_output=True, text=True, timeout=60, check=False
    )
    assert SignIn.seen, done.stdout + done.stderr
    assert set(SignIn.seen) == {f"filebeat_monitor:{password}"}
