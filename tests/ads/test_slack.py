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
LIMIT = 60.0  # seconds for what is certain to happen
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
    assert handler.courier.flush(LIMIT)
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
    assert handler.courier.flush(LIMIT)
    colours = [each["color"] for post in receiver.got(1) for each in post.body["attachments"]]
    assert colours == ["#d4a72c", "#d1242f", "#8b0000"]


def test_personal_data_is_masked(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made()
    logger.error("card 4111 1111 1111 1111 of kim@example.com declined")
    assert handler.courier.flush(LIMIT)
    text = str(receiver.got(1)[0].body)
    assert "declined" in text and "4111 1111" not in text and "kim@" not in text


def test_many_share_a_message(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers = ["hang"]
    logger, handler = made(timeout=LIMIT)
    logger.error("different 0")
    receiver.asked(1)  # while the first waits, the rest queue up
    for n in range(1, 41):
        logger.error(f"different {n}")
    receiver.over.set()
    assert handler.courier.flush(LIMIT)
    assert [len(post.body["attachments"]) for post in receiver.got(3)] == [1, 20, 20]


def test_repeats_are_held_back_and_counted(made: Made, receiver: Receiver) -> None:  # noqa: F811
    logger, handler = made(repeat_seconds=3600)
    for n in range(10):
        logger.error("order %s failed", n)
    handler._repeats.seconds = 0  # the hour is over
    logger.error("order %s failed", 10)
    assert handler.courier.flush(LIMIT)
    first, second = (each for post in receiver.got(1) for each in post.body["attachments"])
    assert "Repeated" not in fields(first)
    assert fields(second)["Repeated"] == "9 times since the last message"


def test_too_many_requests_are_waited_for(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers, receiver.retry_after = [429, 500, "drop"], "1"
    logger, handler = made(timeout=LIMIT)
    began = time.monotonic()
    logger.error("declined")
    assert handler.courier.flush(LIMIT)
    assert time.monotonic() - began >= 1.0  # what the far side asked for
    assert (len(receiver.posts), len(receiver.taken), handler.courier.failed) == (4, 1, 0)


def test_a_far_side_that_hangs_neither_blocks_nor_breaks(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers = ["hang"]
    logger, handler = made(timeout=LIMIT)
    handler.courier.capacity = 5
    logger.error("different")
    receiver.asked(1)
    for n in range(50):
        logger.error(f"different {n}")
    assert handler.courier.dropped == 45 and receiver.taken == []
    receiver.over.set()
    assert handler.courier.flush(LIMIT)
    first, second = receiver.got(2)
    assert "45 more were dropped" in first.body["text"] and "dropped" not in second.body["text"]


def test_what_the_far_side_kept_too_long_is_posted_again(made: Made, receiver: Receiver) -> None:  # noqa: F811
    receiver.answers = ["hang"]
    logger, handler = made(timeout=1)
    logger.error("declined")
    assert handler.courier.flush(LIMIT)
    assert receiver.got(1)[0].body["text"].endswith("declined") and len(receiver.posts) >= 2


def test_a_record_that_cannot_be_formatted_is_counted(made: Made, receiver: Receiver) -> None:  # noqa: F811
    _, handler = made()

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    for message, arguments in (("value %s", (Bad(),)), ("%d", ("no number",)), (Bad(), ())):
        handler.handle(logging.LogRecord("test.slack", logging.ERROR, __file__, 1, message, arguments, None))
    assert handler.courier.flush(LIMIT)
    assert handler.courier.failed + handler.courier.sent == 3


@pytest.mark.parametrize(
    "address",
    ["", "hooks.slack.com/x", "http://hooks.slack.com/x", "https://u:p@x/y", "ftp://x", "https://x/y ", "https://x/é"],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^webhook_url: expected an https address"):
        SlackHandler(address)
