"""get_logger beside stock logging: the same lines, the same listeners, fields as keywords; context, adapter, filter."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from python_shipper import bind, bound, get_logger, unbind
from python_shipper.core import context
from python_shipper.core.adapters import ContextFilter, FieldsAdapter
from python_shipper.core.console import ConsoleFormatter
from python_shipper.core.context import ContextExecutor, carry
from python_shipper.core.handlers import FilesHandler
from tests.spec.validator import checked

Lines = Callable[[], list[bytes]]


def without_time(line: bytes) -> dict[str, Any]:
    event = checked(line)
    del event["@timestamp"], event["event"]["id"]
    return event


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_both_apis_write_the_same(level: str, logger: logging.Logger, written: Lines) -> None:
    fields = {"order_id": "o1", "duration": 0.5, "venue": "KRX", "user": {"email": "kim@example.com"}, "odd": {1, 2}}
    getattr(get_logger(logger.name), level)("%s paid %d", "kim", 7, **fields)
    getattr(logger, level)("%s paid %d", "kim", 7, extra=fields)
    one, other = written()
    assert without_time(one) == without_time(other)
    assert checked(one)["log.level"] == level


def test_a_level_of_ones_own(logger: logging.Logger, written: Lines) -> None:
    get_logger(logger.name).log(25, "between")
    logger.log(25, "between")
    assert [checked(line)["log.level"] for line in written()] == ["level 25", "level 25"]


def test_records_below_the_level_are_not_written(logger: logging.Logger, written: Lines, files: FilesHandler) -> None:
    logger.setLevel(logging.WARNING)
    log = get_logger(logger.name)
    log.info("no")
    assert not log.is_enabled_for(logging.INFO)
    log.warning("yes")
    files.setLevel(logging.ERROR)
    log.warning("no")
    assert [checked(line)["message"] for line in written()] == ["yes"]


def test_fields_of_the_logger_and_of_the_call(logger: logging.Logger, written: Lines) -> None:
    log = get_logger(logger.name, venue="KRX").bind(desk=1)
    log.info("x", desk=2)
    log.error("y", exc_info=ValueError("boom"), extra={"order_id": "o1"}, name="kim", message="m", self="s", level="l")
    first, second = map(checked, written())
    assert first["christmas"]["extra"] == {"venue": "KRX", "desk": 2}
    assert second["christmas"]["order"] == {"id": "o1"}
    assert second["christmas"]["extra"] == {
        "venue": "KRX", "desk": 1, "name": "kim", "message": "m", "self": "s", "log": {"level": "l"},
    }  # fmt: skip
    assert second["error"]["type"] == "ValueError"


def test_exception_takes_the_one_being_handled(logger: logging.Logger, written: Lines) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        get_logger(logger.name).exception("failed", order_id="o1")
    event = checked(written()[0])
    assert (event["error"]["message"], event["christmas"]["order"]) == ("boom", {"id": "o1"})
    assert "raise ValueError" in event["error"]["stack_trace"]


class Keep(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_another_handler_gets_a_stock_record(logger: logging.Logger, written: Lines) -> None:
    keep = Keep()
    logger.handlers.append(keep)
    get_logger(logger.name).info("%s paid", "kim", order_id="o1")
    (record,) = keep.records
    assert (record.getMessage(), record.__dict__["order_id"]) == ("kim paid", "o1")
    assert (record.funcName, record.filename) == ("test_another_handler_gets_a_stock_record", "test_logger.py")
    assert checked(written()[0])["christmas"]["order"] == {"id": "o1"}


def test_filters_of_logger_and_handler_apply(logger: logging.Logger, files: FilesHandler, written: Lines) -> None:
    log = get_logger(logger.name)
    for holder in (logger, files):
        holder.addFilter(no_secrets)
        log.info("secret")
        log.info("public")
        holder.removeFilter(no_secrets)
    log.info("secret")
    assert [checked(line)["message"] for line in written()] == ["public", "public", "secret"]


def no_secrets(record: logging.LogRecord) -> bool:
    return record.getMessage() != "secret"


def test_whoever_replaces_call_handlers_sees_every_record(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    stock = logging.Logger.callHandlers

    def patched(self: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.getMessage())
        stock(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", patched)
    get_logger(logger.name).info("seen")
    assert seen == ["seen"]


def test_caplog_sees_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        get_logger("tests.caplog").info("paid", order_id="o1")
    assert caplog.messages == ["paid"]


def test_a_record_is_not_changed_for_the_handlers_after_ours(logger: logging.Logger) -> None:
    keep = Keep()
    logger.handlers.append(keep)
    console = logging.StreamHandler(io.StringIO())
    console.setFormatter(ConsoleFormatter(service="shop"))
    logger.handlers.insert(0, console)
    try:
        raise ValueError("kim@example.com")
    except ValueError:
        logger.exception("mail %s", "kim@example.com", extra={"mail": "kim@example.com"})
    (record,) = keep.records
    assert record.args == ("kim@example.com",)
    assert record.__dict__["mail"] == "kim@example.com"
    assert record.exc_text is None
    assert "message" not in record.__dict__


def test_binding_and_unbinding() -> None:
    bind(trace_id="a", user_id="kim")
    with bound(trace_id="b", order_id="o"):
        assert dict(context.current()) == {"trace_id": "b", "user_id": "kim", "order_id": "o"}
        unbind("user_id", "never bound")
        assert dict(context.current()) == {"trace_id": "b", "order_id": "o"}
    assert dict(context.current()) == {"trace_id": "a", "user_id": "kim"}
    with pytest.raises(TypeError):
        context.current()["x"] = 1  # type: ignore[index]


def test_tasks_see_their_own_context() -> None:
    async def task(name: str) -> str:
        with bound(trace_id=name):
            await asyncio.sleep(0)
            return await asyncio.create_task(read())

    async def read() -> str:
        await asyncio.sleep(0)
        return str(context.current()["trace_id"])

    async def both() -> list[str]:
        return await asyncio.gather(*(task(str(n)) for n in range(20)))

    assert asyncio.run(both()) == [str(n) for n in range(20)]
    assert dict(context.current()) == {}


def test_threads_see_the_context_where_asked() -> None:
    seen: dict[str, Any] = {}

    def look(name: str) -> None:
        seen[name] = context.current().get("trace_id")
        bind(trace_id="changed in a thread")

    with bound(trace_id="a"):
        threads = [
            threading.Thread(target=look, args=("alone",)),
            threading.Thread(target=carry(look), args=("carried",)),
        ]
        for thread in threads:
            thread.start()
            thread.join()
        with ThreadPoolExecutor(1) as stock, ContextExecutor(1) as ours:
            stock.submit(look, "stock pool").result()
            ours.submit(look, "our pool").result()
            assert list(ours.map(lambda _: context.current()["trace_id"], range(2))) == ["a", "a"]
        assert context.current()["trace_id"] == "a"
    assert seen == {"alone": None, "carried": "a", "stock pool": None, "our pool": "a"}


def test_the_adapter_keeps_the_fields_of_both(logger: logging.Logger, written: Lines) -> None:
    adapter = FieldsAdapter(logger, venue="KRX", desk=1)
    adapter.info("x", extra={"desk": 2})
    adapter.info("y")
    assert [checked(line)["christmas"]["extra"] for line in written()] == [
        {"venue": "KRX", "desk": 2}, {"venue": "KRX", "desk": 1},
    ]  # fmt: skip


def test_the_filter_gives_other_formatters_the_bound_fields() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ContextFilter())
    handler.setFormatter(logging.Formatter("%(message)s %(trace_id)s", defaults={"trace_id": "-"}))
    logger = logging.Logger("filtered")
    logger.addHandler(handler)
    with bound(trace_id="abc", name="not overwritten"):
        logger.warning("inside")
        logger.warning("own", extra={"trace_id": "own"})
    logger.warning("outside")
    assert stream.getvalue() == "inside abc\nown own\noutside -\n"


def test_a_formatter_that_is_not_ours_writes_one_line_a_record(files: FilesHandler, logger: logging.Logger) -> None:
    files.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    get_logger(logger.name).info("a\nb")
    assert (files.directory / "orders.ecs.log").read_text().endswith("INFO a\\nb\n")


def test_a_formatter_that_fails_loses_nothing(files: FilesHandler, logger: logging.Logger, written: Lines) -> None:
    class Failing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError("no")

    files.setFormatter(Failing())
    logger.info("kept")
    assert json.loads(written()[0])["message"] == "kept"
