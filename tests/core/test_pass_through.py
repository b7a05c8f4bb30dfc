"""What emission writes, the agent stores as it stands: normalising and masking a line of ours changes nothing."""

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.records import make_record, never_raise
from tests.core.hostile import CASES
from tests.core.test_hostile import keys, record_of, values

never_raise()
ENCODER = EcsFormatter(service="orders")
SOURCE = Source("/var/log/orders.ecs.log", "f" * 64, 17)


def check(record: logging.LogRecord) -> None:
    line = ENCODER.encode(record)
    event = json.loads(line)
    routed = Pipeline().process(line.rstrip(b"\n"), SOURCE, int(record.created * 1000))
    stored = dict(routed.document)
    stored["log"] = {key: value for key, value in stored["log"].items() if key not in ("file", "offset")}
    assert routed.index.startswith("christmas-logs-")
    assert stored == event
    assert routed.id == event["event"]["id"]


@pytest.mark.parametrize("name", CASES)
def test_hostile_input(name: str) -> None:
    check(record_of(CASES[name]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters()), st.dictionaries(keys, values, max_size=6))
def test_any_message_and_extra(message: str, extra: dict[str, Any]) -> None:
    check(make_record(logging.getLogger("h"), "h", 20, "f.py", 1, message, (), None, "f", extra))
