"""The quick way: says in a few microseconds that a line is already in stored form, and masks it in place.

What passes :meth:`Checked.check` is exactly what :mod:`~python_shipper.core.normalize` would leave unchanged but for
masking; any doubt is answered with no, and costs only time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from python_shipper.contract import Field, contract
from python_shipper.core import Event
from python_shipper.core.extra import is_plain
from python_shipper.core.masking import Masker, untouched
from python_shipper.core.normalize import OF_THE_FILE, SPEC_DOTTED
from python_shipper.core.ulid import is_ulid
from python_shipper.core.values import LONG_MAX, LONG_MIN, ip, moment_ms

Test = Callable[[Any], bool]
Todo = list[tuple[Event, str, Field]]
KEYWORD = object()  # most leaves: a keyword that masking leaves alone, tested without a call
CHARACTERS = contract().limits.keyword_characters
MINUTE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
MINUTE_CHARACTERS = 16
SECONDS = re.compile(r":[0-5][0-9]\.[0-9]{3}Z")


def is_keyword(value: Any) -> bool:
    return type(value) is str and len(value) <= CHARACTERS


def is_keywords(value: Any) -> bool:
    return type(value) is list and all(map(is_keyword, value))


def is_text(value: Any) -> bool:
    return type(value) is str


def is_long(value: Any) -> bool:
    return type(value) is int and LONG_MIN <= value <= LONG_MAX


def is_double(value: Any) -> bool:
    # orjson rounds an integer beyond 64 bits to a float; the careful way sees its digits.
    return type(value) in (float, int) and -9e15 < value < 9e15


def is_boolean(value: Any) -> bool:
    return type(value) is bool


def is_date(value: Any) -> bool:
    if type(value) is not str or not SECONDS.fullmatch(value, MINUTE_CHARACTERS):
        return False
    return minute_ms(value[:MINUTE_CHARACTERS]) >= 0


def is_level(value: Any) -> bool:
    return type(value) is str and len(value) <= 64 and value == value.lower()


def is_tree(value: Any) -> bool:
    return type(value) is dict and is_plain(value)


TESTS: dict[str, Test] = {
    "keyword": is_keyword,
    "match_only_text": is_text,
    "wildcard": is_text,
    "long": is_long,
    "double": is_double,
    "boolean": is_boolean,
    "ip": lambda value: type(value) is str and ip(value) is value,
    "date": is_date,
    "flattened": is_tree,
}
SPECIAL: dict[str, Test] = {"log.level": is_level, "event.id": is_ulid}


def never(value: Any) -> bool:
    return False


class Checked:
    """The contract as a tree of tests, walked beside the line; safe to share between threads."""

    def __init__(self, masker: Masker) -> None:
        """Build the tree for the fields of the contract; ``masker`` is what :meth:`mask` applies."""
        self._masker = masker
        self._plan: dict[str, Any] = {}
        for path, field in contract().fields.items():
            if path not in OF_THE_FILE:
                self._add(path, field)

    def _add(self, path: str, field: Field) -> None:
        *folders, last = (path,) if path in SPEC_DOTTED else path.split(".")
        node = self._plan
        for folder in folders:
            node = node.setdefault(folder, {})
        test = test_of(field)
        node[last] = KEYWORD if test is is_keyword and untouched(field) else (test, None if untouched(field) else field)

    def todo(self, line: Event) -> Todo | None:
        """What masking must look at, when the line is in stored form, has its id and its version; else None."""
        todo: Todo = []
        try:
            complete = line["@timestamp"] and line["event"]["id"] and line["ecs.version"]
        except (KeyError, TypeError):
            return None
        return todo if complete and fits(line, self._plan, todo) else None

    def mask(self, todo: Todo) -> None:
        """Mask the places of :meth:`todo` where they stand."""
        for node, key, field in todo:
            node[key] = self._masker.field(field, node[key])


def test_of(field: Field) -> Test:
    """The test of one field, by its path where it has a rule of its own, else by its type."""
    if field.array:
        return is_keywords if field.type == "keyword" else never
    return SPECIAL.get(field.path) or TESTS[field.type]


def fits(node: Event, plan: dict[str, Any], todo: Todo) -> bool:
    """Whether every key of ``node`` is in ``plan`` and its value in stored form; fills ``todo``."""
    for key, value in node.items():
        want = plan.get(key)
        if want is KEYWORD:
            if type(value) is not str or len(value) > CHARACTERS:
                return False
        elif type(want) is dict:
            if type(value) is not dict or not value or not fits(value, want, todo):
                return False
        elif want is None or not want[0](value):
            return False
        elif want[1] is not None:
            todo.append((node, key, want[1]))
    return True


def stored_ms(text: str) -> int:
    """Milliseconds since 1970 of a time in stored form (``YYYY-MM-DDTHH:MM:SS.mmmZ``)."""
    return minute_ms(text[:MINUTE_CHARACTERS]) + int(text[17:19] + text[20:23])


@lru_cache(maxsize=4096)
def minute_ms(text: str) -> int:
    """Milliseconds since 1970 of ``YYYY-MM-DDTHH:MM``; -1 if that is no time since then."""
    ms = moment_ms(text) if MINUTE.fullmatch(text) else None
    return -1 if ms is None else ms
