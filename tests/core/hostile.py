"""What a logging call may be handed at its worst: a name, and what to log; each must give exactly one good line."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import logging
import pathlib
import sys
import threading
import types
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic


class Rude:
    """Everything about it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        return 7


class RudeMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 3


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class TextOfWrongType:
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class Colour(enum.Enum):
    RED = "red"
    RUDE = Rude


class Shade(enum.StrEnum):
    DARK = "dark"


class Level(enum.IntEnum):
    HIGH = 3


class Model(pydantic.BaseModel):
    name: str
    price: decimal.Decimal


@dataclasses.dataclass
class Order:
    number: int
    lines: list[Any]


@dataclasses.dataclass(slots=True)
class HalfMade:
    a: int
    b: int = dataclasses.field(init=False)


Point = collections.namedtuple("Point", "x y")


class Shouting(str):
    def __str__(self) -> str:
        return "SHOUT"

    def __len__(self) -> int:
        raise RuntimeError("no length")


def cycle() -> dict[str, Any]:
    a: dict[str, Any] = {"list": []}
    a["list"].append(a)
    return a


def deep(levels: int, kind: type = dict) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"d": value} if kind is dict else [value]
    return value


def chained(length: int) -> BaseException:
    error: BaseException = ValueError("first")
    for number in range(length):
        following = ValueError(f"link {number}")
        following.__cause__ = error
        error = following
    return error


def circular_cause() -> BaseException:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def recursion_error() -> BaseException:
    def descend() -> None:
        descend()

    try:
        descend()
    except RecursionError as error:
        return error
    raise AssertionError("unreachable")


def extra(**fields: Any) -> dict[str, Any]:
    return {"msg": "hostile", "extra": fields}


def named(fields: Any) -> dict[str, Any]:
    return {"msg": "hostile", "extra": fields}


NAIVE = datetime.datetime(2026, 1, 2, 3, 4, 5, 678900)
CASES: dict[str, dict[str, Any]] = {
    # values
    "not a number": extra(x=float("nan"), y=float("inf"), z=-float("inf")),
    "not a number in a typed field": extra(bid_price=float("nan"), duration=float("inf")),
    "70-digit integer": extra(x=10**70, duration_ms=10**70, click_position=-(10**70)),
    "5000-digit integer": extra(x=10**5000),
    "64-bit edges": extra(a=2**63 - 1, b=2**63, c=-(2**63), d=-(2**63) - 1),
    "lone surrogate": extra(x="a\ud800b", order_id="\udfff"),
    "surrogate pair": extra(x="\ud83d\ude00"),
    "surrogate as key": named({"k\ud800": "v"}),
    "NUL and control characters": extra(x="a\x00b\x1b[31m\x7f\u2028\r\n"),
    "cycle": extra(x=cycle()),
    "dict 300 deep": extra(x=deep(300)),
    "list 300 deep": extra(x=deep(300, list)),
    "dict 20000 deep": extra(x=deep(20_000)),
    "set": extra(x={1, 2, 3}, y=frozenset("ab")),
    "set of mixed types": extra(x={1, "a", None, (2,)}),
    "bytes": extra(x=b"\xff\x00abc", y=bytearray(b"k"), z=memoryview(b"m"), order_id=b"ord-1"),
    "text that raises": extra(x=Rude(), order_id=Rude()),
    "text of the wrong type": extra(x=TextOfWrongType()),
    "mapping that raises": extra(x=RudeMapping()),
    "str subclass that raises": extra(x=Shouting("quiet"), order_id=Shouting("o")),
    "enumerations": extra(a=Colour.RED, b=Shade.DARK, c=Level.HIGH, d=Colour.RUDE, order_id=Shade.DARK),
    "enumerations as keys": named({"x": {Colour.RED: 1, Level.HIGH: 2}}),
    "decimals": extra(a=decimal.Decimal("1.10"), b=decimal.Decimal("NaN"), bid_price=decimal.Decimal("0.5")),
    "fraction and complex": extra(a=fractions.Fraction(1, 3), b=1 + 2j),
    "times": extra(a=NAIVE, b=NAIVE.date(), c=NAIVE.time(), d=NAIVE.replace(tzinfo=datetime.UTC)),
    "time differences": extra(a=datetime.timedelta(days=-1, microseconds=1), duration=datetime.timedelta(seconds=2)),
    "extreme times": extra(a=datetime.datetime.min.replace(tzinfo=datetime.UTC), b=datetime.datetime.max),
    "identifiers": extra(a=uuid.UUID(int=7), order_id=uuid.UUID(int=8), user_id=7),
    "paths and addresses": extra(a=pathlib.Path("/tmp/x"), b=ipaddress.ip_address("::1"), c=pathlib.PurePath()),
    "dataclass": extra(x=Order(1, [Order(2, [])])),
    "dataclass with a hole": extra(x=HalfMade(1)),
    "named tuple": extra(x=Point(1, 2)),
    "pydantic model": extra(x=Model(name="a", price=decimal.Decimal("1.5"))),
    "deque, array, range": extra(a=collections.deque([1]), b=array.array("i", [1, 2]), c=range(3)),
    "generator and iterator": extra(a=(n for n in [1]), b=iter([1])),
    "function, class, module": extra(a=len, b=int, c=sys, d=lambda: 1),
    "lock and thread": extra(a=threading.Lock(), b=threading.current_thread()),
    "mapping proxy and chain map": extra(a=types.MappingProxyType({"b": 1}), c=collections.ChainMap({"d": 2})),
    "default dict": extra(a=collections.defaultdict(list, {"k": [1]}), b=collections.Counter("aab")),
    "exception as value": extra(a=ValueError("x"), b=RudeError()),
    "megabyte text": extra(x="x" * 1_000_000),
    "wide object": extra(x={f"k{n}": n for n in range(5_000)}),
    "object of the class object": extra(x=object()),
    "ellipsis, not implemented": extra(x=..., y=NotImplemented),
    # keys
    "integer, none, tuple, bytes keys": extra(x={1: "a", None: "b", (1, 2): "c", b"k": "d", 1.5: "e", False: "f"}),
    "keys of one text": extra(x={1: "a", "1": "b"}),
    "rude key": extra(x={Rude(): 1}),
    "empty and dotted keys": named({"": 1, ".": 2, "a.": 3, ".b": 4, "a..b": 5, "x": {"": {"": 1}}}),
    "very long key": named({"k" * 100_000: 1}),
    "non-text keys of extra": named({1: "a", None: "b", (1,): "c"}),
    # clashes
    "clash with the record": named({"name": 1, "args": 2, "msg": 3, "message": 4, "asctime": 5, "levelname": 6}),
    "clash with the spec": named({"@timestamp": "x", "log.level": "y", "ecs.version": "z", "event.id": "w"}),
    "scalar where ECS has an object": extra(user="bob", service=7, log="x", event=[1], trace=None, error=False),
    "object where ECS has a scalar": extra(trace_id={"a": 1}, order_id={"b": [2]}, labels="x", tags={"c": 3}),
    "parent and child": named({"a": 1, "a.b": 2, "a.b.c": 3, "labels": {"x": 1}, "labels.x": 2, "labels.x.y": 3}),
    "three names of one field": named({"trace_id": "short", "trace.id": "dotted", "trace": {"id": "nested"}}),
    "two short names of one field": extra(duration=1.5, duration_ms=3),
    "our own namespace": named({"christmas": {"order": {"id": 1}, "nonsense": 2, "extra": {"a": 1}}, "christmas.x": 3}),
    "christmas as a scalar": extra(christmas=7),
    "personal data in the machinery's fields": named({"ecs.version": "a@b.co", "log.level": "010-1234-5678"}),
    "the machinery's fields": named({"event": {"id": "nope"}, "log": {"logger": 3}, "log.file.path": "/etc/passwd"}),
    "wrong types": named({"http": {"response": {"status_code": "abc"}}, "client.ip": "localhost", "url.port": 1.5}),
    "wrong types in lists": named({"tags": [1, {"a": 2}], "event.category": "web", "host.ip": ["::1", "x"]}),
    "keyword too long": extra(order_id="x" * 2000, trace_id="y" * 100_000),
    "extra is a list": named([1, 2]),
    "extra is a text": named("abc"),
    "extra is a number": named(7),
    # messages and arguments
    "too few arguments": {"msg": "%s %s", "args": ("a",)},
    "too many arguments": {"msg": "%s", "args": ("a", "b")},
    "argument of a wrong type": {"msg": "%d", "args": ("a",)},
    "bad format": {"msg": "100% sure %z %(x)s", "args": ("a",)},
    "rude argument": {"msg": "%s", "args": (Rude(),)},
    "mapping argument": {"msg": "%(a)s", "args": ({"a": 1},)},
    "mapping argument that lacks the key": {"msg": "%(b)s", "args": ({"a": 1},)},
    "message is none": {"msg": None},
    "message is an object": {"msg": {"a": {1, 2}}},
    "message is bytes": {"msg": b"\xff"},
    "message is rude": {"msg": Rude()},
    "message is an exception": {"msg": RudeError()},
    "message is empty": {"msg": ""},
    "message holds a line end": {"msg": 'a\nb\r\n{"log.level":"x"}\u2028\u0085'},
    "message of two megabytes": {"msg": "m" * 2_000_000},
    "message with a lone surrogate": {"msg": "\ud800"},
    # exceptions
    "no exception being handled": {"msg": "x", "exc_info": True},
    "exception": {"msg": "x", "exc_info": ValueError("boom")},
    "rude exception": {"msg": "x", "exc_info": RudeError()},
    "chain of 500 causes": {"msg": "x", "exc_info": chained(500)},
    "cause in a circle": {"msg": "x", "exc_info": circular_cause()},
    "exception group": {"msg": "x", "exc_info": ExceptionGroup("g", [ValueError("a"), RudeError()])},
    "recursion error": {"msg": "x", "exc_info": recursion_error()},
    "exception and its own fields": {"msg": "x", "exc_info": ValueError("a"), "extra": {"error": {"type": 7}}},
    "bad triple": {"msg": "x", "exc_info": (None, None, None)},
    "wrong triple": {"msg": "x", "exc_info": (1, 2, 3)},
    "stack": {"msg": "x", "stack_info": True},
}


def log(logger: logging.Logger, case: dict[str, Any]) -> None:
    """Log a case at ERROR through the stock API."""
    options = {name: case[name] for name in ("exc_info", "extra", "stack_info") if name in case}
    logger.error(case["msg"], *case.get("args", ()), **options)
