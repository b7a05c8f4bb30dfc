"""@logged on functions, coroutines and methods."""

import asyncio
import logging

import pytest

from python_shipper import logged
from python_shipper.testing import capture


@logged
def pay(account_number: str, amount: int = 1) -> int:
    """Pay."""
    if amount < 0:
        raise ValueError("negative")
    return amount


@logged
async def pay_later(amount: int) -> int:
    await asyncio.sleep(0.01)
    return amount


class Till:
    @logged
    def open(self, key: str) -> str:
        return key


def test_entry_and_exit_with_masked_arguments_and_duration() -> None:
    with capture() as lines:
        assert pay("110-234-567890", amount=3) == 3
    entry, end = lines
    assert (entry["message"], end["message"]) == ("enter pay", "exit pay")
    assert entry["christmas"]["extra"]["arguments"] == {"account_number": "***7890", "amount": 3}
    assert entry["log.level"] == "debug" and entry["log"]["logger"] == __name__
    assert end["christmas"]["operation"] == "pay" and end["event"]["duration"] >= 0


def test_an_exception_passes_and_is_named() -> None:
    with capture() as lines, pytest.raises(ValueError, match="negative"):
        pay("110-234-567890", -1)
    assert lines[-1]["message"] == "exit pay by ValueError" and lines[-1]["error"]["type"] == "ValueError"
    assert "stack_trace" not in lines[-1]["error"]


def test_a_coroutine_is_timed_to_its_end() -> None:
    with capture() as lines:
        assert asyncio.run(pay_later(2)) == 2
    assert [line["message"] for line in lines if line["log"]["logger"] == __name__] == [
        "enter pay_later",
        "exit pay_later",
    ]
    assert lines[-1]["event"]["duration"] >= 9_000_000


def test_a_method_is_named_with_its_class_and_its_object_is_left_out() -> None:
    with capture() as lines:
        Till().open("k")
    assert lines[0]["christmas"]["operation"] == "Till.open"
    assert lines[0]["christmas"]["extra"]["arguments"] == {"key": "k"}


def test_nothing_above_debug_and_the_function_keeps_its_name() -> None:
    with capture(level=logging.INFO) as lines:
        pay("110-234-567890")
    assert lines == [] and pay.__name__ == "pay" and pay.__doc__ == "Pay."


def test_arguments_that_do_not_fit_are_the_functions_to_refuse() -> None:
    with capture() as lines, pytest.raises(TypeError, match="unexpected keyword"):
        pay("a", wrong=1)  # type: ignore[call-arg]
    assert lines[0]["christmas"]["extra"]["arguments"] == {"args": ["a"], "wrong": 1}
