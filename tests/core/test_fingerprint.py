"""The same error has the same fingerprint after a restart, on another machine, and in the next release."""

from __future__ import annotations

import logging

import orjson
import pytest

from python_shipper.core.fingerprint import fingerprint, fingerprint_of, frames, same
from python_shipper.core.formatters import EcsFormatter

SOURCE = """
def inner(n):
    raise ValueError(f"no price for order {n}")

def outer(n):
    try:
        inner(n)
    except ValueError as error:
        raise RuntimeError(f"order {n} failed") from error

def deep(n):
    return deep(n - 1) if n else inner(0)

def group(n):
    raise ExceptionGroup("both", [caught("inner", 1), caught("outer", 2)])

def caught(name, *arguments):
    try:
        globals()[name](*arguments)
    except Exception as error:
        return error
"""


def caught(name: str, *arguments: object, folder: str = "/srv/app/releases/41/shop", above: str = "") -> Exception:
    """What ``name`` raises, in a module that stands in ``folder`` below some further lines."""
    module: dict[str, object] = {}
    exec(compile(above + SOURCE, f"{folder}/orders/prices.py", "exec"), module)  # noqa: S102
    try:
        module[name](*arguments)  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError(f"{name} raised nothing")


def emitted(error: Exception) -> dict[str, str]:
    """The error as a log line has it."""
    record = logging.LogRecord("t", 40, "f", 1, "m", (), (type(error), error, error.__traceback__))
    return orjson.loads(EcsFormatter().encode(record))["error"]


@pytest.mark.parametrize("name", ["inner", "outer", "group"])
def test_an_exception_and_its_line_have_the_same(name: str) -> None:
    line = emitted(error := caught(name, 7))
    assert fingerprint_of(error) == fingerprint(line["type"], line["stack_trace"], line["message"])


@pytest.mark.parametrize("name", ["inner", "outer", "group"])
def test_ids_line_numbers_and_the_folder_of_a_release_do_not_count(name: str) -> None:
    moved = caught(name, 8812, folder="/opt/releases/42/shop", above="import os\nimport sys\n")
    assert fingerprint_of(caught(name, 7)) == fingerprint_of(moved)


def test_the_depth_of_a_recursion_does_not_count() -> None:
    assert fingerprint_of(caught("deep", 2)) == fingerprint_of(caught("deep", 50))


def test_type_way_and_file_count() -> None:
    found = {fingerprint_of(caught(name, 1)) for name in ("inner", "outer", "deep", "group")}
    found.add(fingerprint("KeyError", emitted(caught("inner", 1))["stack_trace"]))
    found.add(fingerprint_of(caught("inner", 1, folder="/srv/app/releases/41/bids")))
    assert len(found) == 6


def test_a_library_is_the_same_wherever_it_is_installed() -> None:
    line = 'File "{}/site-packages/redis/client.py", line {}, in get'
    assert frames(line.format("/usr/lib/python3.11", 4)) == frames(line.format("/home/u/.venv/lib/python3.13", 9))


def test_without_a_stack_the_message_counts_but_not_what_differs() -> None:
    assert fingerprint("Timeout", None, "order o-17 after 30 s") == fingerprint("Timeout", None, "order o-9 after 3 s")
    assert fingerprint("Timeout", None, "order o-17 after 30 s") != fingerprint("Timeout", None, "refund o-17 refused")
    assert fingerprint("a.b.Timeout") == fingerprint("Timeout")
    assert fingerprint(None) == fingerprint("", "", "")


def test_another_languages_stack_counts_without_its_line_numbers() -> None:
    stack = "java.lang.IllegalStateException: {}\n\tat shop.Orders.place(Orders.java:{})\n\tat shop.Main.run(M.java:8)"
    assert fingerprint("E", stack.format("id 7", 12)) == fingerprint("E", stack.format("id 9", 44))
    assert fingerprint("E", stack) != fingerprint("E", stack.replace("place", "cancel"))


def test_addresses_and_quoted_text_are_left_out() -> None:
    assert same("<Order object at 0x7f31aa> lacks 'price'") == "<Order object at …> lacks …"


def test_hostile_text_takes_linear_time_and_never_raises() -> None:
    for text in ("a" * 1_000_000, "'" * 1_000_000, "-" * 1_000_000, 'File "' * 100_000, "\ud800 1"):
        assert len(fingerprint("E", text)) == 16


def test_an_exception_that_was_never_raised_or_has_no_text() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert len({fingerprint_of(MuteError()), fingerprint_of(ValueError("a")), fingerprint_of(ValueError("b"))}) == 3
