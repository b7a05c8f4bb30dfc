"""A logging call never raises and never loses the record, whatever it is handed: one good line each."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_shipper.core import counts
from python_shipper.core.console import ConsoleFormatter
from python_shipper.core.flat import FlatFormatter
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.logger import get_logger
from python_shipper.core.records import make_record
from tests.core.hostile import CASES, log
from tests.spec.validator import checked, event_of

Lines = Callable[[], list[bytes]]


@pytest.mark.parametrize("name", CASES)
def test_the_stock_api_writes_one_good_line(name: str, logger: logging.Logger, written: Lines) -> None:
    before = counts.current()
    log(logger, CASES[name])
    (line,) = written()
    event = checked(line)
    assert event["log.level"] == "error"
    assert "formatting_error" not in event.get("christmas", {}).get("extra", {})
    assert counts.current() == before


@pytest.mark.parametrize("name", CASES)
def test_get_logger_writes_one_good_line(name: str, logger: logging.Logger, written: Lines) -> None:
    case = CASES[name]
    fields = case.get("extra", {})
    fields = {k: v for k, v in fields.items() if isinstance(k, str)} if isinstance(fields, dict) else {"extra": fields}
    fields |= {key: case[key] for key in ("exc_info", "stack_info") if key in case}
    for reserved in ("self", "message"):  # names of the method's own parameters
        fields.pop(reserved, None)
    get_logger(logger.name).error(case["msg"], *case.get("args", ()), **fields)
    (line,) = written()
    checked(line)


@pytest.mark.parametrize("name", CASES)
def test_flat_and_console_forms_write_one_line(name: str, logger: logging.Logger) -> None:
    record = record_of(CASES[name])
    flat = event_of(FlatFormatter("orders").format(record).encode() + b"\n")
    assert flat["level"] == "ERROR"
    assert ConsoleFormatter(service="orders", colour=False).format(record).encode()


def record_of(case: dict[str, Any]) -> logging.LogRecord:
    caught: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            caught.append(record)
            return True

    logger = logging.Logger("hostile", logging.DEBUG)
    logger.addHandler(Keep())
    log(logger, case)
    return caught[0]


def test_nothing_of_a_clash_is_lost(logger: logging.Logger, written: Lines) -> None:
    log(logger, CASES["clash with the record"])
    log(logger, CASES["clash with the spec"])
    log(logger, CASES["three names of one field"])
    log(logger, CASES["scalar where ECS has an object"])
    clash, spec, three, scalars = (checked(line) for line in written())
    assert clash["christmas"]["extra"] == {
        "name": 1, "args": 2, "msg": 3, "message": "4", "asctime": 5, "levelname": 6,
    }  # fmt: skip
    assert spec["christmas"]["extra"] == {
        "@timestamp": "x", "log": {"level": "y"}, "ecs": {"version": "z"}, "event.id": "w",
    }  # fmt: skip
    assert three["trace"] == {"id": "nested"}
    assert three["christmas"]["extra"] == {"trace.id": "dotted", "trace_id": "short"}
    assert scalars["christmas"]["extra"] == {"user": "bob", "log": "x", "event": [1], "error": False}
    assert scalars["service"]["name"] == "7"


def test_what_is_moved_is_masked_although_it_was_exempt(logger: logging.Logger, written: Lines) -> None:
    log(logger, CASES["personal data in the machinery's fields"])
    assert checked(written()[0])["christmas"]["extra"] == {"ecs": {"version": "***"}, "log": {"level": "***5678"}}


def test_values_keep_their_meaning(logger: logging.Logger, written: Lines) -> None:
    for name in ("pydantic model", "time differences", "identifiers", "decimals", "surrogate pair", "dataclass"):
        log(logger, CASES[name])
    model, durations, identifiers, decimals, pair, dataclass = (checked(line) for line in written())
    assert model["christmas"]["extra"]["x"] == {"name": "a", "price": "1.5"}
    assert durations["event"]["duration"] == 2_000_000_000
    assert identifiers["user"]["id"] == "7"
    assert identifiers["christmas"]["order"]["id"] == "00000000-0000-0000-0000-000000000008"
    assert decimals["christmas"]["bid"]["price"] == 0.5
    assert decimals["christmas"]["extra"] == {"a": "1.10", "b": "NaN"}
    assert pair["christmas"]["extra"]["x"] == "😀"
    assert dataclass["christmas"]["extra"]["x"] == {"number": 1, "lines": [{"number": 2, "lines": []}]}


def test_a_chained_cause_is_kept(logger: logging.Logger, written: Lines) -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        logger.exception("failed")
    error = checked(written()[0])["error"]
    assert (error["type"], error["message"]) == ("ValueError", "outer")
    assert "KeyError: 'inner'" in error["stack_trace"]
    assert "direct cause" in error["stack_trace"]


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.decimals()
    | st.datetimes() | st.timedeltas() | st.uuids() | st.complex_numbers()
)  # fmt: skip
names = st.sampled_from(
    ["trace_id", "trace.id", "trace", "user", "user.id", "duration", "labels", "labels.a", "event", "id", "error.type",
     "http", "christmas", "christmas.extra", "extra", "bid_price", "win", "tags", "service", "name", "message", ""]
)  # fmt: skip
keys = names | st.text(st.characters(), max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys | st.integers() | st.booleans() | st.floats() | st.uuids(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=12,
)


arbitrary = given(st.text(st.characters()), st.lists(values, max_size=3), st.dictionaries(keys, values, max_size=6))
quiet = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=100, **quiet)
@arbitrary
def test_any_message_arguments_and_extra_give_a_good_line(message: str, args: list[Any], extra: dict[str, Any]) -> None:
    check(message, args, extra)


@pytest.mark.slow
@settings(max_examples=5000, **quiet)
@arbitrary
def test_a_great_many_of_them_do(message: str, args: list[Any], extra: dict[str, Any]) -> None:
    check(message, args, extra)


ENCODER = EcsFormatter(service="orders")


def check(message: str, args: list[Any], extra: dict[str, Any]) -> None:
    """One record gives one good line, and is left as it was for other handlers."""
    record = make_record(logging.getLogger("h"), "h", 20, "f.py", 1, message, tuple(args), None, "f", extra)
    before = list(record.__dict__)
    event = checked(ENCODER.encode(record))
    assert "formatting_error" not in event.get("christmas", {}).get("extra", {})
    assert list(record.__dict__) == before
