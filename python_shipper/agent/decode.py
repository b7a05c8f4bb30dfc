"""A raw line becomes text and JSON here, with one strictness for both stacks: what Jackson refuses is refused, no more.

orjson does the usual line; what it refuses or would round (big integers, lone surrogates, ``1e400``) goes the slower
way through the standard library, which keeps every digit.
"""

from __future__ import annotations

import codecs
import json
import math
from typing import Any, NoReturn

import orjson

from python_shipper.core.values import text_of

MAX_BYTES = 10_485_760  # Filebeat's message_max_bytes: a longer line arrives cut there
MAX_DEPTH = 500  # half of what Jackson reads, and Python's recursion carries it whoever calls
LONGEST_INTEGER = 400  # digits; a longer one is no double either, and is kept as its text


def each_byte(error: UnicodeError) -> tuple[str, int]:
    """One U+FFFD for each invalid byte, as Go's encoder (so Filebeat) has it; Python's own handler makes fewer."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("shipper-each-byte", each_byte)


def line_bytes(raw: bytes) -> bytes:
    r"""The line without its end, cut where Filebeat cuts; all ``\r`` go, so that taking the end off twice is once."""
    return raw.removesuffix(b"\n").rstrip(b"\r")[:MAX_BYTES]


def line_text(line: bytes) -> str:
    """The line as text; an invalid byte is U+FFFD."""
    return line.decode("utf-8", "shipper-each-byte")


def parse(text: str) -> Any:
    """The JSON value in ``text``, every digit kept.

    Raises:
        ValueError: not strict JSON, or nested deeper than 500.
    """
    try:
        value = json.loads(text, parse_constant=refuse, parse_int=integer, parse_float=real)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("{") + text.count("[") > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return scrubbed(value) if has_lone_surrogate(value) else value


def refuse(constant: str) -> NoReturn:
    """NaN and the infinities are no JSON."""
    raise ValueError(f"{constant} is not JSON")


def integer(digits: str) -> int | str:
    """The integer, or its text when no number type could hold it."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else digits


def real(digits: str) -> float | str:
    """The number, or ``Infinity`` with its sign where no double holds it."""
    number = float(digits)
    return number if math.isfinite(number) else text_of(number)


def depth(value: Any) -> int:
    """How many containers lie within each other, found without recursion."""
    level, layer = 0, [value]
    while layer := [item for item in layer if isinstance(item, dict | list)]:
        level += 1
        layer = [inner for item in layer for inner in (item.values() if isinstance(item, dict) else item)]
    return level


def has_lone_surrogate(value: Any) -> bool:
    """Whether a string in ``value`` cannot be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def scrubbed(value: Any) -> Any:
    """The value with U+FFFD where a string holds half a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    return value


def quick(line: bytes) -> Any:
    """The JSON value in ``line`` by orjson, integers beyond 64 bits rounded to floats; None where orjson refuses."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
