"""The web server's address: refused with the reason, the holder's name, and a way out."""

import os
import socket
from pathlib import Path

import pytest

from python_shipper.errors import StackError
from python_shipper.settings import Settings
from python_shipper.stack.ports import check_exposure, free_port, holder, listen, loopback


def test_a_taken_port_is_refused_with_its_holder_and_the_next_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        assert holder(port) == f"{name} (pid {os.getpid()})"
        with pytest.raises(StackError) as error:
            listen("127.0.0.1", port)
    assert f"the port is in use by {name} (pid {os.getpid()})" in str(error.value)
    assert str(error.value).endswith(f"API_PORT={port + 1}")


def test_the_last_port_has_no_next_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 65535))
        other.listen()
        with pytest.raises(StackError, match=r"API_PORT=8686$"):
            listen("127.0.0.1", 65535)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such name", "host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(StackError, match=f"^API_HOST={host}: not an address of this machine"):
        listen(host, 0)


def test_free_port_keeps_a_port_that_is_free_and_leaves_a_taken_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        other_port = free_port("127.0.0.1", taken)
        assert other_port != taken
    assert free_port("127.0.0.1", taken) == taken


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_only_loopback_addresses_are_local(host: str, local: bool) -> None:
    assert loopback(host) is local


def test_other_machines_are_served_only_with_token_certificate_and_key(tmp_path: Path) -> None:
    check_exposure(Settings(api_host="127.0.0.1"))
    with pytest.raises(StackError, match=r"needs API_TOKEN, API_TLS_CERT, API_TLS_KEY; set them, or use 127\.0\.0\.1"):
        check_exposure(Settings(api_host="0.0.0.0"))
    with pytest.raises(StackError, match="needs API_TLS_KEY;"):
        check_exposure(Settings(api_host="0.0.0.0", api_token="t" * 16, api_tls_cert=tmp_path))
    tls = {"api_tls_cert": tmp_path, "api_tls_key": tmp_path}
    with pytest.raises(StackError, match="needs an API_TOKEN of at least 16 characters;"):
        check_exposure(Settings(api_host="0.0.0.0", api_token="short", **tls))
    check_exposure(Settings(api_host="0.0.0.0", api_token="t" * 16, **tls))
