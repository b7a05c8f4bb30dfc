"""SlackHandler against a real endpoint that answers 200, 429 and 500, hangs and drops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from python_shipper import SlackHandler, bound
from python_shipper.ads import courier
from python_shipper.errors import ConfigurationError
from tests.alerts.conftest import receiver  # noqa: F401  the fixture
from tests.alerts.receiver import Receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
Made = Callable[..., tuple[logging.Logger, SlackHandler]]


@pytest.fixture
def made(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:  # noqa: F811
    monkeypatch.setenv("TRACE_URL", "https://logs.example.com/t/{trace_id}")
    monkeypatch.setattr(courier, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(courier, "CLOSE_SECONDS", 0.5)
    logger, handlers = logging.getLogger("test.slack"), []
    logger.propagate = False

    def make(**options: Any) -> tuple[logging.Logger, SlackHandler]:
        handlers.append(SlackHandler(receiver.url, **options))
        logger.addHandler(handlers[-1])
        return logger, handlers[-1]

    yield make
    for handler in handlers:
        logger.removeHandler(handler)
        handler.close()


def fields(attachment: dict[str, Any]) -> dict[str, str]:
    return {field["title"]: field["value"] for field in attachment["fields"]}


def test_an_error_says_what_where_when_and_which_trace(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made()
    with bound(trace_id=TRACE):
        try:
            raise ValueError("no price for <KRW>")
        except ValueError:
            logger.exception("order %s failed", "o1")
    logger.warning("not this")
    assert handler.courier.flush(10)
    (post,) = receiver.got(1)
    (attachment,) = post.body["attachments"]
    found = fields(attachment)
    assert post.body["text"] == "[ERROR] test.slack: order o1 failed"
    assert attachment["color"] == "#d1242f" and "ValueError" in attachment["text"]
    assert found["Error"] == "ValueError: no price for &lt;KRW&gt;"
    assert found["Location"].startswith(("test_slack.py:", __file__))
    assert found["Function"] == "test_an_error_says_what_where_when_and_which_trace"
    assert found["Trace id"] == f"<https://logs.example.com/t/{TRACE}|{TRACE}>"
    assert found["Time"].endswith("Z")


def test_each_level_has_its_colour(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made(level="WARNING")
    for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(level, "at %s", level)
    assert handler.courier.flush(10)
    colours = [each["color"] for post in receiver.got(1) for each in post.body["attachments"]]
    assert colours == ["#d4a72c", "#d1242f", "#8b0000"]


def test_personal_data_is_masked(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made()
    logger.error("card 4111 1111 1111 1111 of kim@example.com declined")
    assert handler.courier.flush(10)
    text = str(receiver.got(1)[0].body)
    assert "declined" in text and "4111 1111" not in text and "kim@" not in text


def test_many_share_a_message(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers = ["drop"]  # while the first waits, the rest queue up
    logger, handler = made()
    for n in range(41):
        logger.error(f"different {n}")
    assert handler.courier.flush(10)
    sizes = [len(post.body["attachments"]) for post in receiver.got(2)]
    assert sum(sizes) == 41 and max(sizes) <= 20 and len(sizes) <= 4


def test_repeats_are_held_back_and_counted(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made(repeat_seconds=0.5)
    for n in range(10):
        logger.error("order %s failed", n)
    time.sleep(0.6)
    logger.error("order %s failed", 10)
    assert handler.courier.flush(10)
    first, second = (each for post in receiver.got(2) for each in post.body["attachments"])
    assert "Repeated" not in fields(first)
    assert fields(second)["Repeated"] == "9 times since the last message"


def test_too_many_requests_are_waited_for(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers, receiver.retry_after = [429, 500, "drop"], "1"
    logger, handler = made()
    began = time.monotonic()
    logger.error("declined")
    logging_took = time.monotonic() - began
    assert handler.courier.flush(20)
    assert time.monotonic() - began >= 1.0 > logging_took
    assert (len(receiver.posts), len(receiver.taken), handler.courier.failed) == (4, 1, 0)


def test_a_far_side_that_hangs_neither_blocks_nor_breaks(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers = ["hang"] * 100
    logger, handler = made(timeout=0.1)
    handler.courier.capacity = 5
    for n in range(50):
        logger.error(f"different {n}")
    assert handler.courier.dropped >= 25
    receiver.answers = []
    assert handler.courier.flush(20)
    assert f"{handler.courier.dropped} more were dropped" in str(receiver.got(1))


def test_a_record_that_cannot_be_formatted_is_counted(made: Made, receiver: Receiver) -> None:  # noqa: F811
    _, handler = made()

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    for message, arguments in (("value %s", (Bad(),)), ("%d", ("no number",)), (Bad(), ())):
        handler.handle(logging.LogRecord("test.slack", logging.ERROR, __file__, 1, message, arguments, None))
    assert handler.courier.flush(10)
    assert handler.courier.failed + handler.courier.sent == 3


@pytest.mark.parametrize("address", ["", "hooks.slack.com/x", "http://hooks.slack.com/x", "https://u:p@x/y", "ftp://x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^webhook_url: expected an https address"):
        SlackHandler(address)
