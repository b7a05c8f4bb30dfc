"""One line of whatever form, as the facts that a report counts: the careful way, and the meaning of the quick one.

A JSON line means here what it means to the agent and to Logstash (:mod:`python_shipper.core.normalize`), so that files
and the store they were shipped to tell the same story; a line of text is read by patterns into the same short names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, NamedTuple, NoReturn

from python_shipper.analyzers.batch_plain import read_plain
from python_shipper.contract import contract
from python_shipper.core import Event
from python_shipper.core.normalize import Given, keep_field, winners
from python_shipper.core.values import EPOCH, MISFIT, MOMENT, MS, keyword, moment_ms, moment_text

LONGEST_BYTES = 10_485_760  # what the agent and Filebeat read of a line
LONGEST_INTEGER = 400  # digits
NO_JSON, NO_TIME, BAD_TIME, NO_OBJECT = "not_recognised", "no_timestamp", "bad_timestamp", "not_object"
REASONS = (NO_JSON, NO_TIME, BAD_TIME, NO_OBJECT)
TIME_NAMES = ("@timestamp", "timestamp")
FLAT = ("timestamp", "level", "service", "module", "message", "trace_id", "user_id", "order_id", "duration")


class Fact(NamedTuple):
    """What a report counts of a line; times in ms since 1970, ``duration`` in ns; None where the line is silent."""

    ts: int
    service: str | None
    level: str | None
    action: str | None
    operation: str | None
    duration: int | None
    trace: str | None
    id: str | None
    error_type: str | None
    stack: str | None
    message: str | None  # of errors only
    campaign: str | None
    price: float | None
    win: bool | None
    value: float | None


# Column of a fact → the field that it is; `ts` and `message` are made from more than one.
FIELDS = {
    "service": "service.name",
    "level": "log.level",
    "action": "event.action",
    "operation": "christmas.operation",
    "duration": "event.duration",
    "trace": "trace.id",
    "id": "event.id",
    "error_type": "error.type",
    "stack": "error.stack_trace",
    "campaign": "christmas.campaign.id",
    "price": "christmas.bid.price",
    "win": "christmas.bid.win",
    "value": "christmas.conversion.value",
}
FAILURES = ("error", "critical", "fatal")
WANTED = frozenset((*FIELDS.values(), "@timestamp", "message", "error.message"))


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that tells nothing: why, one of :data:`REASONS`."""

    reason: str


def fact_of(line: bytes, zone: tzinfo = UTC) -> Fact | Unread:
    """The facts of one line; a time without a zone is one of ``zone``."""
    fields = fields_of(line[:LONGEST_BYTES], zone, WANTED)
    return fields if isinstance(fields, Unread) else fact(fields)


def fact(fields: Event) -> Fact:
    """The facts in the fields (by dotted path) of a line; its time has to be among them."""
    found: dict[str, Any] = {column: fields.get(path) for column, path in FIELDS.items()}
    found = {column: None if value == "" else value for column, value in found.items()}
    found |= {column: float(found[column]) for column in ("price", "value") if found[column] is not None}
    failed = found["error_type"] is not None or found["level"] in FAILURES
    message = (fields.get("error.message") or fields.get("message") or None) if failed else None
    return Fact(ts=moment_ms(fields["@timestamp"]) or 0, message=message, **found)


def fields_of(line: bytes, zone: tzinfo, wanted: frozenset[str] | None = None) -> Event | Unread:
    """The fields of a line by dotted path, those in ``wanted`` if given; ``@timestamp`` is there, in UTC."""
    text = line.decode("utf-8", "replace").strip()
    try:
        value = parsed(text)
    except ValueError:
        plain = read_plain(text, zone)
        if plain is None:
            return Unread(NO_JSON)
        value = plain
    if not isinstance(value, dict):
        return Unread(NO_OBJECT)
    fields = fitting(value, zone, wanted)
    if "@timestamp" in fields:
        return fields
    given = any(value.get(name) not in (None, {}) for name in TIME_NAMES)
    return Unread(BAD_TIME if given else NO_TIME)


def parsed(text: str) -> Any:
    """The JSON value of a line.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text, parse_constant=refused, parse_int=integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def integer(digits: str) -> int | str:
    """The integer with every digit, as the agent has it; one beyond any number type as its text."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else digits


def refused(constant: str) -> NoReturn:
    """NaN and the infinities are no JSON."""
    raise ValueError(f"{constant} is not JSON")


def fitting(line: Event, zone: tzinfo, wanted: frozenset[str] | None) -> Event:
    """The values of a line that fit their fields, by the agent's rules; an ``event.id`` of any form counts."""
    fields: Event = {}
    moved: list[Given] = []
    for given in winners(line, moved):
        if wanted is not None and given.path not in wanted:
            continue
        if given.path == "@timestamp":
            given = given._replace(value=in_zone(given.value, zone))
        if given.path == "event.id" and (identity := keyword(given.value)) is not MISFIT:
            fields["event.id"] = identity
        else:
            keep_field(fields, given, moved, ())
    return fields


def in_zone(value: Any, zone: tzinfo) -> Any:
    """A time without a zone with that of ``zone``; anything else as it is."""
    if zone is UTC or not isinstance(value, str):
        return value
    match, ms = MOMENT.fullmatch(value), moment_ms(value)
    if match is None or ms is None or match[9] or value.endswith("Z"):
        return value
    try:
        return moment_text(((EPOCH + ms * MS).replace(tzinfo=zone) - EPOCH) // MS)
    except OverflowError:
        return value


def flat(fields: Event) -> dict[str, Any]:
    """The fields under their short names: the nine flat keys always, then whatever else there is."""
    line: dict[str, Any] = dict.fromkeys(FLAT)
    for name, short in contract().short_names.items():
        if short.field in fields:
            value = fields[short.field]
            line[name] = shown(name, value) if short.scale == 1 else value / short.scale
    named = {short.field for short in contract().short_names.values()}
    return line | {path: value for path, value in fields.items() if path not in named}


def shown(name: str, value: Any) -> Any:
    """A value as the flat form has it: levels in capitals."""
    return value.upper() if name == "level" else value
