"""Our configuration on the real Filebeat: what it ships, what it leaves, and that nothing is lost on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import parsed_ms
from python_shipper.core.ulid import new_ulid
from tests.stack import obtain
from tests.stack.elasticsearch import Server
from tests.stack.filebeat import Filebeat
from tests.stack.lumberjack import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.needs("go")]
NOW = parsed_ms("2026-11-22T06:00:00Z")
DAY = "2026-11-22T05:00:00.000Z"


@pytest.fixture
def filebeat(tmp_path: Path) -> Iterator[Filebeat]:
    program = obtain.part("filebeat", lambda: obtain.go_program("filebeat"))
    filebeat = Filebeat(program, tmp_path)
    yield filebeat
    filebeat.kill()


@pytest.fixture
def receiver(filebeat: Filebeat) -> Iterator[Receiver]:
    with Receiver(filebeat.config / "secrets") as receiver:
        yield receiver


def line(message: str, **fields: Any) -> str:
    event = {"@timestamp": DAY, "log.level": "info", "message": message, "ecs.version": "9.4.0"}
    return json.dumps({**event, "service": {"name": "orders"}, "event": {"id": new_ulid(NOW)}, **fields}) + "\n"


def header(number: int, lines: int = 0) -> str:
    return line(f"segment {number} {new_ulid(NOW)}", christmas={"segment": {"number": number, "lines": lines}})


@pytest.mark.parametrize("enabled", ["", "container.yml", "plain_text.yml"])
def test_filebeat_accepts_our_configuration(filebeat: Filebeat, enabled: str) -> None:
    inputs = filebeat.config / "inputs.d"
    if enabled:
        (inputs / f"{enabled}.disabled").rename(inputs / enabled)
    assert filebeat.test_config() == "Config OK"


def test_a_file_that_holds_only_its_header_is_shipped_raw_with_identity_and_place(
    filebeat: Filebeat, receiver: Receiver
) -> None:
    filebeat.start(receiver.address)
    text = header(1)
    (filebeat.logs / "orders.ecs.log").write_text(text)
    receiver.wait(lambda: receiver.lines() == [text.rstrip()])
    (event,) = receiver.events
    assert event["log"]["file"]["path"] == str(filebeat.logs / "orders.ecs.log")
    assert event["log"]["file"]["fingerprint"] == hashlib.sha256(text.encode()[:128]).hexdigest()
    assert event["log"]["offset"] == 0


def test_only_ecs_files_and_their_closed_segments_are_shipped(filebeat: Filebeat, receiver: Receiver) -> None:
    shipped = ["orders.ecs.log", "orders.1.ecs.log", "orders.ecs.log.000007"]
    for name in [*shipped, "orders.daily.2026-11-22.log", "orders.error.log", "orders.ecs.log.gz", "orders.log"]:
        (filebeat.logs / name).write_text(header(1) + line(name))
    filebeat.start(receiver.address)
    receiver.wait(lambda: len(receiver.events) >= 6)
    assert {Path(event["log"]["file"]["path"]).name for event in receiver.events} == set(shipped)


def test_bytes_that_are_no_utf8_and_long_lines_arrive_as_the_agent_reads_them(
    filebeat: Filebeat, receiver: Receiver
) -> None:
    raw = b"a\xe2\x82b \xed\xa0\x80\xff NUL \x00 end"
    (filebeat.logs / "orders.ecs.log").write_bytes(header(1).encode() + raw + b"\r\n\n" + b"x" * 10_485_770 + b"\n")
    filebeat.start(receiver.address)
    receiver.wait(lambda: len(receiver.events) >= 3)
    _, odd, long = receiver.lines()
    assert odd == raw.decode("utf-8", "shipper-each-byte")
    assert long == "x" * 10_485_760


def write_with_rotation(filebeat: Filebeat, segments: int, lines: int, between: Any) -> list[str]:
    """Write segments as the rotating handler does, each renamed once, ``between`` called before each rename."""
    written = []
    current = filebeat.logs / "orders.ecs.log"
    for number in range(1, segments + 1):
        with current.open("a") as file:
            for text in [header(number, len(written)), *(line(f"line {n} of {number}") for n in range(lines))]:
                file.write(text)
                written.append(text.rstrip())
        between(number)
        if number < segments:
            current.rename(filebeat.logs / f"orders.ecs.log.{number:06d}")
    return written


def test_nothing_is_lost_through_rotation_and_kills(filebeat: Filebeat, receiver: Receiver) -> None:
    def kill_and_start(number: int) -> None:
        if number % 2:
            filebeat.kill()
            filebeat.start(receiver.address)

    filebeat.start(receiver.address)
    written = write_with_rotation(filebeat, segments=8, lines=400, between=kill_and_start)
    receiver.wait(lambda: set(receiver.lines()) == set(written), 60)


def test_every_line_is_one_document_and_a_resend_changes_nothing(
    filebeat: Filebeat, receiver: Receiver, elasticsearch: Server
) -> None:
    def kill_once(number: int) -> None:
        if number == 2:
            receiver.wait(lambda: len(receiver.events) > 0)
            filebeat.kill()
            # Where Filebeat was is forgotten: everything is sent once more.
            shutil.rmtree(filebeat.folder / "data")
            filebeat.start(receiver.address)

    filebeat.start(receiver.address)
    own = write_with_rotation(filebeat, segments=3, lines=50, between=kill_once)
    foreign = [json.dumps({"timestamp": DAY, "service": "billing", "message": f"no id {n}"}) for n in range(20)]
    with (filebeat.logs / "orders.ecs.log").open("a") as file:
        file.write("\n".join([*foreign, "no json"]) + "\n")
    receiver.wait(lambda: set(receiver.lines()) == {*own, *foreign, "no json"})
    statuses = store(receiver.events, elasticsearch)
    assert statuses.count(201) == len(own) + len(foreign) + 1
    assert set(statuses) <= {201, 409} and statuses.count(409) > 0, "the resend should have met its own ids"


def store(events: list[dict[str, Any]], server: Server) -> list[int]:
    """Normalise what Filebeat shipped and create the documents; the status of each."""
    pipeline, body = Pipeline(), ""
    for event in events:
        file = event["log"]["file"]
        source = Source(file["path"], file["fingerprint"], event["log"]["offset"])
        routed = pipeline.process(event["message"].encode(), source, NOW)
        create = {"create": {"_index": routed.index, "_id": routed.id}}
        body += f"{json.dumps(create)}\n{json.dumps(routed.document)}\n"
    answer = server.api().send("POST", "/_bulk", body.encode(), {"Content-Type": "application/x-ndjson"})
    return [item["create"]["status"] for item in answer["items"]]
