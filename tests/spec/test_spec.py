"""The transcription of the specification is true, the validator finds faults, and our field table is ECS's."""

import json

import pytest

from python_shipper.contract import contract
from tests.spec import validator

GOOD = {
    "@timestamp": "2026-01-02T03:04:05.678Z",
    "log.level": "info",
    "message": "hello",
    "ecs.version": "9.4.0",
    "service": {"name": "orders"},
    "labels": {"zone": "a"},
}


@pytest.mark.needs("reference-data")
def test_the_transcription_is_the_official_specification() -> None:
    official = json.loads((validator.OFFICIAL / "ecs_logging_spec.json").read_text())["fields"]
    assert {
        name: validator.Fact(
            spec["type"], spec.get("required", False), spec.get("index"), spec.get("top_level_field", False)
        )
        for name, spec in official.items()
    } == validator.SPEC


@pytest.mark.needs("reference-data")
def test_our_fields_have_the_official_types() -> None:
    official = validator.official_types()
    # The flattened type keeps labels from making a mapping a key: Elastic's own advice for them.
    expected = {**official, "labels": ("flattened", False)}
    ours = {p: (f.type, f.array) for p, f in contract().fields.items() if not p.startswith("christmas.")}
    assert {path: kind for path, kind in ours.items() if expected.get(path) != kind} == {"log.offset": ("long", False)}
    # log.offset is Filebeat's, not ECS's.


def test_a_good_event_passes() -> None:
    assert validator.problems(GOOD) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"@timestamp": "2026-01-02 03:04:05"}, "@timestamp"),
        ({"message": 7}, "message is a int"),
        ({"ecs.version": None}, "ecs.version is missing"),
        ({"log": {"level": "info"}}, "log.level is nested"),
        ({"labels": {"a.b": "c"}}, "label 'a.b'"),
        ({"event": {"duration": 1.5}}, "event.duration"),
        ({"event": {"duration": True}}, "event.duration"),
        ({"user": {"id": 7}}, "user.id"),
        ({"user": {"shoe": "7"}}, "user.shoe is in no field table"),
        ({"christmas": {"new": 1}}, "christmas.new is in no field table"),
        ({"trace": {"id": "x" * 1025}}, "trace.id"),
    ],
)
def test_a_fault_is_found(change: dict[str, object], problem: str) -> None:
    assert any(problem in found for found in validator.problems({**GOOD, **change}))


def test_the_order_of_the_first_keys_counts() -> None:
    assert validator.problems(dict(reversed(GOOD.items()))) != []


@pytest.mark.parametrize("line", [b'{"a":NaN}\n', b'{"a":1,"a":2}\n', b'{"a":1}\n\n', b'{"a":1}', b"[1]\n"])
def test_what_is_not_one_line_of_strict_json_is_refused(line: bytes) -> None:
    with pytest.raises((AssertionError, ValueError)):
        validator.event_of(line)
