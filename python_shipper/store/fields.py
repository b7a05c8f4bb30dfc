"""How a query's literal becomes a condition on one field: the same rules as Elasticsearch's field types.

One function a kind of condition (``equal``, ``between``, ``starting``, ``like``, ``present``); each refuses what the
field's type does not offer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from python_shipper.errors import QueryError
from python_shipper.store import dates, patterns, schema
from python_shipper.store.nodes import Interval, Node, Nothing, Pattern, Present, Span, Terms, any_of

TEXTUAL = ("keyword", "wildcard", "flattened", "flattened_key", "match_only_text")
LEAST, MOST = -(2**63), 2**63 - 1
META = {"_index": schema.Field(schema.INDEX, "keyword"), "_id": schema.Field(schema.ID, "keyword")}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two ends of a range as given; None is open."""

    low: Any = None
    high: Any = None
    low_included: bool = True
    high_included: bool = True


@dataclass(frozen=True, slots=True)
class Dates:
    """How dates of one condition are read."""

    now_ms: int
    format: str | None = None
    zone: str | None = None

    def ms(self, value: Any, round_up: bool) -> int:
        """The milliseconds of ``value``."""
        return dates.parse(value, now_ms=self.now_ms, round_up=round_up, format=self.format, zone=self.zone)


def lookup(path: str) -> schema.Field | None:
    """The field that a query names, ``_index`` and ``_id`` among them; None if no document can have it."""
    return META.get(path) or schema.field(path)


def column(field: schema.Field) -> tuple[str, str]:
    """The text column of a field and what its values are prefixed with."""
    if field.type != "flattened_key":
        return field.path, ""
    keyed, key = schema.flattened_key(field.path)
    return keyed, f"{key}\0"


def equal(field: schema.Field, values: list[Any], when: Dates) -> Node:
    """Documents whose ``field`` has one of ``values``."""
    if field.type in TEXTUAL:
        name, prefix = column(field)
        return Terms(name, tuple(prefix + text(value, field) for value in values))
    return any_of(tuple(equal_number(field, value, when) for value in values))


def equal_number(field: schema.Field, value: Any, when: Dates) -> Node:
    """Documents whose number, date, boolean or address is ``value``; an address may be a network."""
    if field.type == "ip" and "/" in str(value):
        return network(field, str(value))
    return between(field, Bounds(value, value), when)


def network(field: schema.Field, value: str) -> Node:
    """Documents with an address in the network ``value``."""
    try:
        net = ip_network(value, strict=False)
    except ValueError as error:
        raise QueryError(f"{field.path}: '{value}' is not an IP string literal.") from error
    return Interval(field.path, "ip", str(net[0]), str(net[-1]))


def between(field: schema.Field, bounds: Bounds, when: Dates) -> Node:
    """Documents whose ``field`` lies within ``bounds``."""
    if field.type in TEXTUAL:
        return text_between(field, bounds)
    if field.type == "date":
        return date_between(field, bounds, when)
    return INTERVALS[field.type](field, bounds)


def text_between(field: schema.Field, bounds: Bounds) -> Node:
    """Documents with a text between two others, by Unicode code points."""
    if field.type == "flattened":
        raise QueryError(f"{field.path}: range needs a key inside the flattened field, such as {field.path}.key")
    name, prefix = column(field)
    low = None if bounds.low is None else text(bounds.low, field)
    high = None if bounds.high is None else text(bounds.high, field)
    if low is None and high is None:
        return present_in(field)
    return Span(name, low, high, bounds.low_included, bounds.high_included, prefix)


def date_between(field: schema.Field, bounds: Bounds, when: Dates) -> Node:
    """Documents with a date in a span; a bound without its small parts stands for its first or last millisecond."""
    low = high = None
    if bounds.low is not None:
        low = when.ms(bounds.low, round_up=not bounds.low_included) + (not bounds.low_included)
    if bounds.high is not None:
        high = when.ms(bounds.high, round_up=bounds.high_included) - (not bounds.high_included)
    return interval(field, "integer", low, high)


def long_between(field: schema.Field, bounds: Bounds) -> Node:
    """Documents with a whole number in a span whose ends may be fractions."""
    low = high = None
    if bounds.low is not None:
        value = number(bounds.low, field)
        low = math.ceil(value) if bounds.low_included else math.floor(value) + 1
    if bounds.high is not None:
        value = number(bounds.high, field)
        high = math.floor(value) if bounds.high_included else math.ceil(value) - 1
    if (low is not None and low > MOST) or (high is not None and high < LEAST):
        return Nothing()
    return interval(
        field, "integer", None if low is None else max(low, LEAST), None if high is None else min(high, MOST)
    )


def double_between(field: schema.Field, bounds: Bounds) -> Node:
    """Documents with a double in a span; an excluded end is moved to the next double."""
    low = high = None
    if bounds.low is not None:
        low = float(number(bounds.low, field))
        low = low if bounds.low_included else -next_below(-low)
    if bounds.high is not None:
        high = float(number(bounds.high, field))
        high = high if bounds.high_included else next_below(high)
    return interval(field, "float", low, high)


def next_below(value: float) -> float:
    """The double before ``value`` in the engines' order, in which -0.0 comes right before 0.0."""
    return -0.0 if value == 0 and math.copysign(1, value) > 0 else math.nextafter(value, -math.inf)


def boolean_between(field: schema.Field, bounds: Bounds) -> Node:
    """Documents with a boolean between two others; false is less than true."""
    low = None if bounds.low is None else boolean(bounds.low, field) + (not bounds.low_included)
    high = None if bounds.high is None else boolean(bounds.high, field) - (not bounds.high_included)
    return interval(field, "integer", low, high)


def ip_between(field: schema.Field, bounds: Bounds) -> Node:
    """Documents with an address in a span; IPv4 counts as IPv6 from ``::ffff:0:0`` on."""
    low = None if bounds.low is None else address(bounds.low, field) + (not bounds.low_included)
    high = None if bounds.high is None else address(bounds.high, field) - (not bounds.high_included)
    if (low is not None and low >= 2**128) or (high is not None and high < 0):
        return Nothing()
    if low is not None and high is not None and low > high:
        return Nothing()
    texts = [None if value is None else shown(value) for value in (low, high)]
    return Interval(field.path, "ip", *texts)


INTERVALS = {"long": long_between, "double": double_between, "boolean": boolean_between, "ip": ip_between}


def interval(field: schema.Field, kind: Any, low: Any, high: Any) -> Node:
    """An interval, or nothing if it is empty; one open at both ends asks for any value."""
    if low is None and high is None:
        return Present(field.path)
    if low is not None and high is not None and low > high:
        return Nothing()
    return Interval(field.path, kind, low, high)


def starting(field: schema.Field, value: Any, ignore_case: bool = False) -> Node:
    """Documents with a text in ``field`` that starts with ``value``."""
    expression = patterns.escaped(text(value, field), ignore_case) + patterns.ANYTHING
    return matching(field, expression, "prefix")


def same_letters(field: schema.Field, value: Any) -> Node:
    """Documents with the text ``value`` in ``field``, ASCII letters in either case."""
    return matching(field, patterns.escaped(text(value, field), ignore_case=True), "case-insensitive term")


def like(field: schema.Field, value: str, ignore_case: bool = False) -> Node:
    """Documents with a text in ``field`` that fits ``value``: ``*`` is any text, ``?`` any character."""
    return matching(field, patterns.wildcard(value, ignore_case), "wildcard")


def matching(field: schema.Field, expression: str, kind: str) -> Node:
    """Documents with a text in ``field`` that ``expression`` matches whole."""
    if field.type not in TEXTUAL:
        raise QueryError(
            f"Can only use {kind} queries on keyword, text and wildcard fields - "
            f"not on [{field.path}] which is of type [{field.type}]"
        )
    name, prefix = column(field)
    return Pattern(name, patterns.escaped(prefix) + expression)


def present(path: str) -> Node:
    """Documents that have a value at ``path``, which may be an object, a pattern, or a key of a flattened field."""
    if path in META:
        return Present(META[path].path)
    found = tuple(present_in(field) for field in expanded(path))
    return any_of(found)


def expanded(path: str) -> list[schema.Field]:
    """The fields that ``path`` means: itself, those below it, or those its ``*`` pattern matches."""
    if "*" in path:
        return [field for name, field in schema.mapping().items() if patterns.simple_match(path, name)]
    field = schema.field(path)
    if field:
        return [field]
    return [inner for name, inner in schema.mapping().items() if name.startswith(f"{path}.")]


def present_in(field: schema.Field) -> Node:
    """Documents that have a value in one field."""
    if field.type == "match_only_text":
        return Terms(schema.PRESENT, (field.path,))
    if field.type == "flattened_key":
        name, prefix = column(field)
        return Pattern(name, patterns.escaped(prefix) + patterns.ANYTHING)
    return Present(field.path)


def text(value: Any, field: schema.Field) -> str:
    """A literal as a keyword holds it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise QueryError(f"{field.path}: expected a text, a number or a boolean, got {value!r}")


def number(value: Any, field: schema.Field) -> int | float:
    """A literal as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QueryError(f"{field.path}: expected a number, got {value!r}")
    try:
        found = exact(value) if isinstance(value, str) else value
    except ValueError as error:
        raise QueryError(f'failed to create query: For input string: "{value}" (field {field.path})') from error
    if isinstance(found, float) and not math.isfinite(found):
        raise QueryError(f"{field.path}: [{value}] is not a finite number")
    return found


def exact(value: str) -> int | float:
    """The number that a text holds, whole where it is."""
    try:
        return int(value)
    except ValueError:
        return float(value)


def boolean(value: Any, field: schema.Field) -> int:
    """A literal as 0 or 1."""
    known = {"true": 1, "false": 0, "": 0}
    shown = str(value).lower() if isinstance(value, bool) else value
    if not isinstance(shown, str) or shown not in known:
        raise QueryError(f"{field.path}: Can't parse boolean value [{value}], expected [true] or [false]")
    return known[shown]


def address(value: Any, field: schema.Field) -> int:
    """A literal as the number of its IPv6 form."""
    try:
        found = ip_address(str(value))
    except ValueError as error:
        raise QueryError(f"{field.path}: '{value}' is not an IP string literal.") from error
    return int(found) + (0xFFFF << 32 if found.version == 4 else 0)


def shown(number: int) -> str:
    """An address from the number of its IPv6 form."""
    return str(ip_address(number.to_bytes(16)))
