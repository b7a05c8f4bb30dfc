"""Lines to Elastic's own Lumberjack server: what arrives, windows, acknowledgements, kills, and who is not believed."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import ExportError, Line, UnavailableError
from python_shipper.exporters.beats import FIRST_WINDOW, BeatsExporter, hosts_of, tls_of
from python_shipper.exporters.delivery import Deliverer, Limits
from python_shipper.stack import certificates
from tests.stack.lumber import LumberServer

needs_go = pytest.mark.needs("go")
NOW = now_ms()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LumberServer]:
    made = LumberServer(tmp_path)
    made.start()
    yield made
    made.kill()


def exporter(server: LumberServer, answer_seconds: float = 30.0) -> BeatsExporter:
    return BeatsExporter(hosts_of(server.url), tls_of(server.secrets), answer_seconds)


def lines(count: int, first: int = 0) -> list[Line]:
    made = []
    for number in range(first, first + count):
        event = {"@timestamp": iso(NOW), "log.level": "info", "message": f"line {number} 주문", "ecs.version": "9.4.0"}
        event |= {"service": {"name": "orders"}, "event": {"id": new_ulid(NOW)}}
        source = Source("host/orders.ecs.log", "", number * 100)
        made.append(Line(json.dumps(event, ensure_ascii=False).encode(), source, NOW))
    return made


@pytest.mark.slow
@needs_go
def test_what_arrives_is_what_filebeat_would_send_and_becomes_the_same_document(server: LumberServer) -> None:
    given = [*lines(2), Line(b"no json \xff", Source("host/orders.ecs.log", "", 7), NOW)]
    sender = exporter(server)
    parcels = [sender.encode(line) for line in given]
    assert [*sender.export(parcels).stored] == parcels
    sender.close()
    for line, event, parcel in zip(given, server.events(), parcels, strict=True):
        assert event["log"] == {"file": {"path": line.source.path}, "offset": line.source.offset}
        assert event["@metadata"]["type"] == "_doc" and event["@timestamp"] == iso(NOW)
        expected = Pipeline().process(line.raw, line.source, NOW)
        assert Pipeline().process(event["message"].encode(), line.source, NOW) == expected
        assert parcel.id == expected.id


@pytest.mark.slow
@needs_go
def test_windows_grow_and_every_line_arrives_once_and_in_order(server: LumberServer) -> None:
    sender = exporter(server)
    deliverer = Deliverer(sender, Limits(items=5_000))
    given = lines(12_000)
    deliverer.deliver(map(sender.encode, given))
    sender.close()
    assert [event["message"].encode() for event in server.events()] == [line.raw for line in given]
    assert deliverer.counts["stored"] == 12_000 and sender._window > FIRST_WINDOW


@pytest.mark.slow
@needs_go
def test_killed_servers_and_held_up_acknowledgements_lose_nothing(server: LumberServer) -> None:
    sender = exporter(server, answer_seconds=3)
    quick = Limits(items=300, first_pause_seconds=0.05, most_pause_seconds=0.2)
    deliverer = Deliverer(sender, quick)
    given = lines(20_000)
    thread = threading.Thread(target=deliverer.deliver, args=(map(sender.encode, given),))
    thread.start()
    for part in (2_000, 5_000, 8_000):
        until(lambda part=part: len(server.events()) >= part)
        server.kill()
        server.start()
    server.hold()
    time.sleep(4)  # longer than the answer may take: keep-alives say that it is only busy
    server.release()
    thread.join(60)
    sender.close()
    assert not thread.is_alive() and deliverer.counts["stored"] == 20_000
    arrived = [event["message"].encode() for event in server.events()]
    assert set(arrived) == {line.raw for line in given}
    # Whole windows come again, never more than one a kill; their ids make them one document each.
    assert len(arrived) - len(given) <= 3 * 300


@pytest.mark.slow
@needs_go
def test_another_authority_is_not_believed(server: LumberServer, tmp_path: Path) -> None:
    certificates.ensure(tmp_path / "others")
    sender = BeatsExporter(hosts_of(server.url), tls_of(tmp_path / "others"))
    with pytest.raises(ExportError, match=r"unable to get local issuer|self.signed|signature") as caught:
        sender.export([sender.encode(lines(1)[0])])
    assert not isinstance(caught.value, UnavailableError)
    assert server.events() == []


@pytest.mark.slow
@needs_go
def test_the_next_host_is_taken_where_one_does_not_answer(server: LumberServer) -> None:
    sender = BeatsExporter([("localhost", 1), *hosts_of(server.url)], tls_of(server.secrets))
    assert len(sender.export([sender.encode(line) for line in lines(3)]).stored) == 3
    sender.close()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    certificates.ensure(tmp_path / "secrets")
    return tmp_path / "secrets"


def speaking(secrets: Path, answer: bytes) -> int:
    """The port of a server that answers the first bytes with ``answer`` and hangs up."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(secrets / "logstash.crt", secrets / "logstash.key")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening, tls.wrap_socket(listening.accept()[0], server_side=True) as connection:
            connection.recv(65_536)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ExportError, "no Beats input"),
        (b"2A\x00\x00\x00\x09", ExportError, "no Beats input"),
        (b"2A\x00\x00", UnavailableError, "closed the connection"),
        (b"2A\x00\x00\x00\x00", UnavailableError, "closed the connection"),
    ],
)
def test_what_is_no_acknowledgement(secrets: Path, answer: bytes, error: type[Exception], said: str) -> None:
    sender = BeatsExporter([("localhost", speaking(secrets, answer))], tls_of(secrets))
    with pytest.raises(error, match=said):
        sender.export([sender.encode(line) for line in lines(3)])


def test_what_was_acknowledged_before_the_end_is_not_sent_again(secrets: Path) -> None:
    sender = BeatsExporter([("localhost", speaking(secrets, b"2A\x00\x00\x00\x02"))], tls_of(secrets))
    answer = sender.export([sender.encode(line) for line in lines(3)])
    assert (len(answer.stored), len(answer.again)) == (2, 1)


def test_nobody_there_is_a_reason_to_try_again(secrets: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnavailableError, match="refused"):
        sender = BeatsExporter([("localhost", port)], tls_of(secrets))
        sender.export([sender.encode(lines(1)[0])])


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("beats://one", [("one", 5044)]),
        ("beats://one:1/", [("one", 1)]),
        ("beats://one:1,two,[::1]:3", [("one", 1), ("two", 5044), ("::1", 3)]),
    ],
)
def test_addresses(url: str, hosts: list[tuple[str, int]]) -> None:
    assert hosts_of(url) == hosts


@pytest.mark.parametrize("url", ["beats://", "beats://one,,two", "beats://one:many", "beats://me@one", "beats://one/x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected beats://host:5044"):
        hosts_of(url)


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.crt"):
        tls_of(tmp_path)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
