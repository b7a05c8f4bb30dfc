"""The pipeline beside its golden cases (tests/pipeline): the quick way and the careful way give the same document."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_shipper.agent import decode
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import now_ms, parsed_ms
from python_shipper.core.ulid import is_ulid

NOW = parsed_ms("2026-11-22T06:00:00Z")
SOURCE = Source("/var/log/app/orders.ecs.log", "ab" * 32, 128)
EMITTED: dict[str, Any] = {
    "@timestamp": "2026-11-22T05:21:40.123Z",
    "log.level": "info",
    "message": "order executed for kim@example.com",
    "ecs.version": "9.4.0",
    "service": {"name": "orders"},
    "event": {"id": "01KAN0000000000000000000AB", "duration": 12},
    "labels": {"team": "a"},
    "christmas": {"bid": {"price": 1.5}, "extra": {"phone": "010-1234-5678", "n": 1, "deep": {"er": True}}},
}


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


def line(**changes: Any) -> bytes:
    return json.dumps({**EMITTED, **changes}, ensure_ascii=False).encode()


def test_both_ways_agree_on_a_line_of_ours(pipeline: Pipeline) -> None:
    assert pipeline._checked.todo(json.loads(line())) is not None
    quickly = pipeline.process(line(), SOURCE, NOW)
    assert quickly == pipeline._carefully(line(), SOURCE, NOW)
    assert quickly.document["message"] == "order executed for ***.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "bob"},
        {"christmas": {"bid": {"price": 10**30}}},
        {"christmas": {"extra": {"n": None}}},
        {"christmas": {"extra": {"n": 10**25}}},
        {"christmas": {"extra": {"n": "x" * 9000}}},
        {"log.level": "INFO"},
        {"log": {"offset": 7}},
        {"event": {"id": "no-ulid"}},
        {"tags": "one"},
        {"@timestamp": "2026-11-22 05:21"},
        {"@timestamp": "2026-02-30T00:00:00.000Z"},
    ],
)
def test_the_quick_way_leaves_anything_unusual_to_the_careful_one(pipeline: Pipeline, changes: dict[str, Any]) -> None:
    assert pipeline._checked.todo(json.loads(line(**changes))) is None


def test_every_invalid_byte_is_one_replacement_character() -> None:
    assert decode.line_text(b"a\xe2\x82b\xf0\x9f\x98c\xff") == "a\ufffd\ufffdb\ufffd\ufffd\ufffdc\ufffd"


KEYS = st.sampled_from(
    ["@timestamp", "message", "service", "event", "id", "name", "log", "level", "log.level", "labels", "christmas",
     "extra", "bid", "price", "duration", "user", "phone", "tags", "http", "response", "status_code",
     "ecs.version", "host", "ip"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(["2026-11-22T05:21:40.123Z", "9.4.0", "01KAN0000000000000000000AB", "kim@example.com", "10.0.0.1"]),
)  # fmt: skip
OBJECTS = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)),
    max_size=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(OBJECTS, st.booleans())
def test_any_object_gives_one_document_the_same_on_both_ways(given: dict[str, Any], on_top: bool) -> None:
    pipeline = Pipeline()
    raw = json.dumps({**EMITTED, **given} if on_top else given).encode()
    routed = pipeline.process(raw, SOURCE, NOW)
    assert routed == pipeline._carefully(raw, SOURCE, NOW)
    assert is_ulid(routed.id) and routed.document["event"]["id"] == routed.id
    orjson.dumps(routed.document)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_one_document(raw: bytes) -> None:
    routed = Pipeline().process(raw, SOURCE, NOW)
    assert routed.index == "christmas-dead-letters-2026.11.22"
    orjson.dumps(routed.document)


HOSTILE: dict[str, Any] = {
    "order_id": "o-1", "duration": 0.0123, "user": "bob", "http.response.status_code": "x", "n": 10**30,
    "f": float("inf"), "deep": {"a": {"b": [1, {"c": None}]}}, "phone": "010-1234-5678", "big": "x" * 9000,
    "trace_id": "abc123", "service": {"name": "other"}, "password": "hunter2", "tags": "one",
}  # fmt: skip


def test_what_emission_writes_passes_unchanged(pipeline: Pipeline, tmp_path: Path) -> None:
    script = (
        "import python_shipper, logging, sys; python_shipper.configure(service='orders', log_dir=sys.argv[1])\n"
        "log = logging.getLogger('a.b')\nlog.info('for kim@example.com', extra={'n': 1, 'd': {'phone': '010-1234'}})\n"
        "log.warning('hostile', extra=eval(sys.argv[2]))\n"
        "try: 1 / 0\nexcept ZeroDivisionError: log.exception('failed')\n"
    )
    extra = repr(HOSTILE).replace("inf", "float('inf')")
    subprocess.run([sys.executable, "-c", script, str(tmp_path), extra], check=True, timeout=60, capture_output=True)
    lines = (tmp_path / "orders.ecs.log").read_bytes().splitlines(keepends=True)
    assert len(lines) == 4, "the segment's header and three lines"
    for raw in lines:
        event = json.loads(raw)
        quickly = pipeline._checked.todo(json.loads(raw)) is not None
        assert quickly or event["message"] == "hostile", "only lists and very long texts go the careful way"
        stored = pipeline.process(raw, SOURCE, now_ms()).document
        del stored["log"]["file"], stored["log"]["offset"]
        event.setdefault("log", {})
        assert stored == event
