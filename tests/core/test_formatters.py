"""The ECS form beside ecs-logging's, its constructor's arguments, the flat form, and the console."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import ecs_logging
import pytest

from python_shipper.core import context
from python_shipper.core.console import ConsoleFormatter, wants_colour
from python_shipper.core.flat import KEYS, FlatFormatter
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.ulid import is_ulid
from tests.spec.validator import checked


def record(message: str = "hello", *args: Any, level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    exc_info = fields.pop("exc_info", None)
    made = logging.LogRecord("shop.cart", level, "/srv/shop/cart.py", 17, message, args, exc_info, "add")
    made.created, made.msecs = 1_767_322_245.678, 678.0
    made.__dict__.update(fields)
    return made


def event(formatter: EcsFormatter, made: logging.LogRecord) -> dict[str, Any]:
    return checked(formatter.encode(made))


def raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as caught:
        return type(caught), caught, caught.__traceback__


def test_the_line_begins_as_the_field_contract_says() -> None:
    line = EcsFormatter(service="Shop 1", version="1.2.3", environment="test").format(record())
    assert line.startswith(
        '{"@timestamp":"2026-01-02T02:50:45.678Z","log.level":"info","message":"hello","ecs.version":"9.4.0",'
        '"service":{"name":"Shop 1","version":"1.2.3","environment":"test"},"log":{"logger":"shop.cart"}'
    )
    identity = json.loads(line)["event"]["id"]
    assert is_ulid(identity)
    # Time in the id is the time of the event: the ULID specification's first ten characters.
    assert identity[:10] == "01KDY9TPHE"


SHORT = {
    "trace_id": ("trace.id", "abc123"),
    "user_id": ("user.id", "kim"),
    "order_id": ("christmas.order.id", "o1"),
    "event_type": ("event.action", "impression"),
    "operation": ("christmas.operation", "macd"),
    "bid_price": ("christmas.bid.price", 1.25),
    "win": ("christmas.bid.win", True),
    "click_position": ("christmas.click.position", 3),
}


def at(found: dict[str, Any], path: str) -> Any:
    for part in path.split("."):
        found = found[part]
    return found


@pytest.mark.parametrize("name", SHORT)
def test_short_dotted_and_nested_names_lead_to_one_field(name: str) -> None:
    path, value = SHORT[name]
    nested: Any = value
    for part in reversed(path.split(".")):
        nested = {part: nested}
    formatter = EcsFormatter(service="shop")
    for fields in ({name: value}, {path: value}, nested):
        assert at(event(formatter, record(**fields)), path) == value


@pytest.mark.parametrize(
    ("fields", "nanoseconds"),
    [({"duration": 0.012}, 12_000_000), ({"duration": 2}, 2_000_000_000), ({"duration_ms": 1.5}, 1_500_000)],
)
def test_durations_become_nanoseconds(fields: dict[str, Any], nanoseconds: int) -> None:
    assert event(EcsFormatter(service="shop"), record(**fields))["event"]["duration"] == nanoseconds


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (["web", "session"], ["web", "session"]),
        ("web", ["web"]),
        (("web",), ["web"]),
        ([7, True], ["7", "true"]),
        (["\ud800"], ["\ufffd"]),
        ([], None),
        (["x" * 1025], None),
        ([["web"]], None),
    ],
)
@pytest.mark.parametrize("path", ["event.category", "tags"])
def test_lists_of_words_are_kept_as_lists(path: str, given: Any, stored: list[str] | None) -> None:
    formatter = EcsFormatter(service="shop")
    quick, careful = event(formatter, record(**{path: given})), formatter._placer.careful({path: given})
    assert careful == ({"event": {"category": stored}} if path != "tags" else {"tags": stored}) or stored is None
    assert {**careful.get("event", {}), "id": 0} == {**quick["event"], "id": 0}
    assert {name: quick[name] for name in careful if name != "event"} == {
        name: found for name, found in careful.items() if name != "event"
    }


def test_a_list_that_the_caller_goes_on_changing_stays_as_it_was() -> None:
    words = ["web"]
    made = EcsFormatter(service="shop").format_to_ecs(record(**{"event.category": words}))
    words.append("session")
    assert made["event"]["category"] == ["web"]


def test_bound_fields_lie_below_those_of_the_call_and_are_not_changed_by_them() -> None:
    formatter = EcsFormatter(service="shop", extra={"labels": {"zone": "a"}})
    with context.bound(order_id="bound", user_id="kim", zone="b"):
        first = event(formatter, record(order_id="call", note="x", **{"labels.cell": "c"}))
        second = event(formatter, record())
    assert first["christmas"] == {"order": {"id": "call"}, "extra": {"zone": "b", "note": "x"}}
    assert first["labels"] == {"zone": "a", "cell": "c"}
    assert second["christmas"] == {"order": {"id": "bound"}, "extra": {"zone": "b"}}
    assert second["labels"] == {"zone": "a"}
    assert first["user"] == second["user"] == {"id": "kim"}


def test_two_formatters_share_a_context() -> None:
    one, two = EcsFormatter(service="one"), EcsFormatter(service="two")
    with context.bound(user_id="kim"):
        names = [event(formatter, record())["service"]["name"] for formatter in (one, two, one)]
    assert names == ["one", "two", "one"]


def test_everything_is_masked() -> None:
    made = record("mail %s", "kim@example.com", mail="kim@example.com", exc_info=raised(ValueError("kim@example.com")))
    with context.bound(contact="kim@example.com"):
        line = EcsFormatter(service="shop", extra={"owner": "kim@example.com"}).format(made)
    assert "kim@" not in line
    assert line.count("***.com") == 6  # message, mail, contact, owner, error.message, error.stack_trace


def test_origin_is_opt_in() -> None:
    assert "origin" not in event(EcsFormatter(service="shop"), record())["log"]
    found = event(EcsFormatter(service="shop", origin=True), record())["log"]
    assert found == {
        "logger": "shop.cart", "origin": {"file": {"name": "cart.py", "line": 17}, "function": "add"},
    }  # fmt: skip


def test_the_arguments_of_ecs_logging() -> None:
    made = record("größer", exc_info=raised(ValueError("boom")), http={"request": {"method": "GET"}})
    formatter = EcsFormatter(
        "%(message)s", "%Y", "%", False, stack_trace_limit=0, extra={"labels": {"a": "b"}, "tags": ["x"]},
        exclude_fields=["http.request", "error.message", "log"], ensure_ascii=True,
    )  # fmt: skip
    line = formatter.format(made)
    assert line.isascii()
    found = json.loads(line)
    assert found["message"] == "größer"
    assert found["error"] == {"type": "ValueError"}
    assert (found["labels"], found["tags"]) == ({"a": "b"}, ["x"])
    assert not {"http", "log"} & set(found)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"stack_trace_limit": -1}, ValueError),
        ({"stack_trace_limit": "7"}, TypeError),
        ({"exclude_fields": "log"}, TypeError),
        ({"exclude_fields": [7]}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_as_ecs_logging_does(arguments: dict[str, Any], error: type[Exception]) -> None:
    for formatter in (EcsFormatter, ecs_logging.StdlibFormatter):
        with pytest.raises(error):
            formatter(**arguments)


def test_a_subclass_may_change_the_event() -> None:
    class Mine(EcsFormatter):
        def format_to_ecs(self, record: logging.LogRecord) -> dict[str, Any]:
            result = super().format_to_ecs(record)
            result["labels"] = {"mine": {1, 2}}
            return result

    assert json.loads(Mine(service="shop").format(record()))["labels"] == {"mine": [1, 2]}


def test_what_a_subclass_changes_stays_in_its_line() -> None:
    class Mine(EcsFormatter):
        def format_to_ecs(self, record: logging.LogRecord) -> dict[str, Any]:
            result = super().format_to_ecs(record)
            assert result["log"].pop("logger") == "shop.cart"
            assert result["service"].pop("environment") == "production"
            assert result["user"].pop("id") == "kim"
            return result

    formatter = Mine(service="shop")
    with context.bound(user_id="kim"):
        lines = [json.loads(formatter.format(record())) for _ in range(2)]
    assert [line["service"] for line in lines] == [{"name": "shop"}] * 2


def test_the_elastic_apm_agents_ids_are_taken() -> None:
    made = record(
        elasticapm_trace_id="t", elasticapm_transaction_id="x", elasticapm_span_id=None, elasticapm_labels={"a": 1}
    )
    found = event(EcsFormatter(service="shop"), made)
    assert (found["trace"], found["transaction"]) == ({"id": "t"}, {"id": "x"})
    assert not {"christmas", "span", "labels"} & set(found)


# What differs from ecs-logging on purpose, and how one form becomes the other.
INTENDED = {
    "ecs.version is the current one": lambda theirs, ours: theirs.pop("ecs.version") != ours.pop("ecs.version"),
    "log.original repeats the message and is left out": lambda theirs, ours: (
        theirs.pop("log.original", None) is not None
    ),
    "process fields are left out": lambda theirs, ours: bool(
        [theirs.pop(k, None) for k in ("process.pid", "process.name", "process.thread.id", "process.thread.name")]
    ),
    "every line has an id and its service": lambda theirs, ours: all(
        [ours.pop("event.id"), ours.pop("service.name"), ours.pop("service.environment")]
    ),
    "the stack trace has the exception and its causes, not only frames": lambda theirs, ours: _longer_trace(
        theirs, ours
    ),
    "a field that ECS does not know is kept in christmas.extra": lambda theirs, ours: _unknown(theirs, ours),
    "a number in a keyword field becomes text": lambda theirs, ours: _number(theirs, ours),
    "a text in a number field that is one becomes the number": lambda theirs, ours: _text(theirs, ours),
    "personal data is masked": lambda theirs, ours: _masked(theirs, ours),
    "dots in the keys of labels become underscores": lambda theirs, ours: _labels(theirs, ours),
}


def _longer_trace(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    frames, whole = theirs.pop("error.stack_trace", None), ours.pop("error.stack_trace", None)
    return bool(frames) and frames in whole and whole.startswith("Traceback") and frames != whole


def _unknown(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    moved = [key for key in ours if key.startswith("christmas.extra.")]
    return [theirs.pop(key.removeprefix("christmas.extra."), None) == ours.pop(key) for key in moved].count(True) > 0


def _number(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    return isinstance(theirs.get("user.id"), int) and str(theirs.pop("user.id")) == ours.pop("user.id")


def _text(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    key = "http.response.status_code"
    return isinstance(theirs.get(key), str) and int(theirs.pop(key)) == ours.pop(key)


def _masked(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    keys = [key for key, value in ours.items() if isinstance(value, str) and "***" in value]
    return [theirs.pop(key) != ours.pop(key) for key in keys].count(True) > 0


def _labels(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    key = "labels.a.b"
    return key in theirs and theirs.pop(key) == ours.pop("labels.a_b")


def flat(found: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from flat(value, here)
        else:
            yield here, value


def several_hundred_records() -> Iterator[logging.LogRecord]:
    choose = random.Random(7)
    fields: list[dict[str, Any]] = [
        {"trace.id": "t1"}, {"user": {"id": "kim", "name": "Kim"}}, {"user.id": 17}, {"http.request.method": "GET"},
        {"http": {"response": {"status_code": 200}}}, {"http.response.status_code": "404"}, {"tags": ["a", "b"]},
        {"event.duration": 12}, {"url.path": "/orders"}, {"labels": {"zone": "a"}}, {"labels": {"a.b": "c"}},
        {"client.ip": "127.0.0.1"}, {"weather": "fair"}, {"shop": {"aisle": 3}}, {"shelf.number": 4.5},
        {"user.email": "kim@example.com"}, {"error.code": "E7"}, {"event.outcome": "failure"}, {},
    ]  # fmt: skip
    messages = [("hello", ()), ("%s and %d", ("a", 7)), ("grüße 안녕", ()), ("mail %s", ("kim@example.com",)), ("", ())]
    for _ in range(400):
        message, args = choose.choice(messages)
        error = choose.choice([None, None, raised(ValueError("boom")), raised(KeyError("k"))])
        level = choose.choice([10, 20, 30, 40, 50])
        yield record(message, *args, level=level, exc_info=error, **choose.choice(fields), **{})


def test_only_the_intended_differs_from_ecs_logging() -> None:
    theirs, ours = ecs_logging.StdlibFormatter(), EcsFormatter(service="shop", origin=True)
    seen = dict.fromkeys(INTENDED, 0)
    for made in several_hundred_records():
        one = dict(flat(checked(ours.encode(made))))  # ours first: theirs writes into the record
        other = dict(flat(json.loads(theirs.format(made))))
        for name, explain in INTENDED.items():
            seen[name] += explain(other, one)
        assert one == other
    assert [name for name, count in seen.items() if count == 0] == []


def test_the_flat_form_has_the_nine_keys() -> None:
    with context.bound(trace_id="abc", user_id="kim"):
        made = record("executed", order_id="o1", duration=0.012, campaign_id="c", venue="KRX", level=logging.WARNING)
        found = json.loads(FlatFormatter("shop").format(made))
    assert tuple(found)[:9] == KEYS
    assert found == {
        "timestamp": "2026-01-02T02:50:45.678Z", "level": "WARNING", "service": "shop", "module": "shop.cart",
        "message": "executed", "trace_id": "abc", "user_id": "kim", "order_id": "o1", "duration": 0.012,
        "campaign_id": "c", "venue": "KRX", "service.environment": "production",
    }  # fmt: skip


def test_the_flat_form_names_what_is_missing_and_keeps_the_exception() -> None:
    found = json.loads(FlatFormatter("shop").format(record(exc_info=raised(ValueError("boom")))))
    assert [found[key] for key in ("trace_id", "user_id", "order_id", "duration")] == [None] * 4
    assert (found["error_type"], found["error_message"]) == ("ValueError", "boom")
    assert "ValueError: boom" in found["stack_trace"]


def test_the_console_shows_a_line_for_a_person() -> None:
    made = record("paid by kim@example.com", order_id="o1", venue="KRX", level=logging.ERROR)
    with context.bound(trace_id="abc"):
        plain = ConsoleFormatter(service="shop", colour=False).format(made)
        coloured = ConsoleFormatter(service="shop", colour=True).format(made)
    assert plain == "02:50:45.678 ERROR    shop.cart paid by ***.com trace.id=abc order.id=o1 venue=KRX"
    assert "\x1b[31mERROR   \x1b[0m" in coloured


def test_the_console_shows_a_stack_trace_and_no_control_characters() -> None:
    made = record("a\x1b[2Jb\nc", exc_info=raised(ValueError("b\x07oom")), evil="\x9b1m\r")
    text = ConsoleFormatter(service="shop", colour=False).format(made)
    assert "a\\x1b[2Jb\\nc" in text
    assert "evil=\\x9b1m\\r" in text
    assert text.endswith("ValueError: b\\x07oom")


def test_colour_follows_the_terminal_and_the_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert not wants_colour(None)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_colour(None)
