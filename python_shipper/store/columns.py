"""A stored document as tantivy columns: the schema of a day's index, and the walk that fills it from a document."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import orjson
import tantivy

from python_shipper.store import analysis, schema

Put = Callable[[tantivy.Document, Any], None]
LONGEST_TERM = 65_530  # bytes; tantivy drops a longer term without a word
LONGEST_WILDCARD = 16_000  # characters of a wildcard field that are searchable: at most 64,000 bytes


@cache
def tantivy_schema() -> tantivy.Schema:
    """The schema of a new day: one column (two for some types) a mapped field, and our own."""
    builder = tantivy.SchemaBuilder()
    for name in (schema.INDEX, schema.PRESENT):
        builder.add_text_field(name, stored=name == schema.INDEX, fast=True, tokenizer_name="raw", index_option="basic")
    for name in (schema.SEGMENT, schema.OFFSET):
        builder.add_integer_field(name, fast=True)
    builder.add_bytes_field(schema.SOURCE, stored=True)
    for field in schema.mapping().values():
        add_field(builder, field)
    return builder.build()


def add_field(builder: tantivy.SchemaBuilder, field: schema.Field) -> None:
    """The columns of one mapped field."""
    path = field.path
    if field.type in ("keyword", "wildcard"):
        builder.add_text_field(path, fast=True, tokenizer_name="raw", index_option="basic")
    elif field.type == "match_only_text":
        builder.add_text_field(path, tokenizer_name=analysis.NAME, index_option="position")
    elif field.type == "flattened":
        for column in (path, path + schema.KEYED):
            builder.add_text_field(column, fast=True, tokenizer_name="raw", index_option="basic")
    elif field.type == "ip":
        builder.add_ip_addr_field(path, fast=True)
    elif field.type == "double":
        builder.add_float_field(path, fast=True)
    else:
        builder.add_integer_field(path, fast=True)
    if field.type in ("long", "double"):
        builder.add_integer_field(path + schema.BUCKET, fast=True)


@cache
def plan() -> dict[str, Any]:
    """For each name of the mapping, nested as documents are: how its value is put into a tantivy document."""
    root: dict[str, Any] = {}
    for field in schema.mapping().values():
        *parents, leaf = field.path.split(".")
        node = root
        for name in parents:
            node = node.setdefault(name, {})
        node[leaf] = PUTTERS[field.type](field)
    return root


def columns(index: str, document: dict[str, Any], source: bytes, segment: int, offset: int) -> tantivy.Document:
    """The tantivy document for ``document``, kept as its JSON ``source``; unmapped fields are kept, not indexed."""
    row = tantivy.Document()
    row.add_text(schema.INDEX, index)
    row.add_integer(schema.SEGMENT, segment)
    row.add_integer(schema.OFFSET, offset)
    row.add_bytes(schema.SOURCE, source)
    fill(row, document, plan())
    return row


def fill(row: tantivy.Document, node: dict[str, Any], names: dict[str, Any]) -> None:
    """Put the values of ``node`` whose names the mapping knows; a dotted name means the same as nested objects."""
    for name, value in node.items():
        target = names.get(name)
        if target is None:
            if "." in name:
                head, _, tail = name.partition(".")
                fill(row, {head: {tail: value}}, names)
        elif type(target) is dict:
            if type(value) is dict:
                fill(row, value, target)
        elif type(value) is list:
            for element in value:
                target(row, element)
        elif value is not None:
            target(row, value)


def keyword(field: schema.Field) -> Put:
    """Puts a string whole, unless it is longer than the mapping indexes."""
    path, longest = field.path, field.ignore_above or LONGEST_TERM

    def put(row: tantivy.Document, value: Any) -> None:
        text = value if type(value) is str else as_text(value)
        if len(text) <= longest:
            row.add_text(path, text)

    return put


def wildcard(field: schema.Field) -> Put:
    """Puts the first :data:`LONGEST_WILDCARD` characters of a string."""

    def put(row: tantivy.Document, value: Any) -> None:
        row.add_text(field.path, (value if type(value) is str else as_text(value))[:LONGEST_WILDCARD])

    return put


def words(field: schema.Field) -> Put:
    """Puts a text to be analysed, and the fact that the document has it."""

    def put(row: tantivy.Document, value: Any) -> None:
        row.add_text(field.path, analysis.prepared(value if type(value) is str else as_text(value)))
        row.add_text(schema.PRESENT, field.path)

    return put


def number(field: schema.Field) -> Put:
    """Puts a number, and the bucket that percentiles count it in."""
    path, histogram, whole = field.path, field.path + schema.BUCKET, field.type == "long"

    def put(row: tantivy.Document, value: Any) -> None:
        if whole:
            row.add_integer(path, int(value))
        else:
            row.add_float(path, float(value))
        row.add_integer(histogram, bucket(float(value)))

    return put


def integer(convert: Callable[[Any], int]) -> Callable[[schema.Field], Put]:
    """Puts what ``convert`` makes of a value."""

    def make(field: schema.Field) -> Put:
        return lambda row, value: row.add_integer(field.path, convert(value))

    return make


def address(field: schema.Field) -> Put:
    """Puts an IP address."""
    return lambda row, value: row.add_ip_addr(field.path, value)


def flattened(field: schema.Field) -> Put:
    """Puts every leaf of an object as its text, and as ``key NUL text``."""
    path, keyed, longest = field.path, field.path + schema.KEYED, field.ignore_above or LONGEST_TERM

    def put(row: tantivy.Document, value: Any, key: str = "") -> None:
        if type(value) is dict:
            for name, inner in value.items():
                put(row, inner, f"{key}.{name}" if key else name)
        elif type(value) is list:
            for inner in value:
                put(row, inner, key)
        elif value is not None:
            text = value if type(value) is str else as_text(value)
            if len(text) <= longest:
                row.add_text(path, text)
                row.add_text(keyed, f"{key}\0{text}")

    return put


PUTTERS: dict[str, Callable[[schema.Field], Put]] = {
    "keyword": keyword,
    "wildcard": wildcard,
    "match_only_text": words,
    "long": number,
    "double": number,
    "boolean": integer(lambda value: 1 if value in (True, "true") else 0),
    "date": integer(lambda value: milliseconds(value)),
    "ip": address,
    "flattened": flattened,
}


def identity(document: dict[str, Any]) -> str:
    """``event.id`` of a document."""
    event = document.get("event")
    return str(event["id"] if isinstance(event, dict) and "id" in event else document[schema.ID])


def as_text(value: Any) -> str:
    """A leaf that is no string, as the JSON text that Elasticsearch would index."""
    return orjson.dumps(value).decode()


def milliseconds(value: Any) -> int:
    """Milliseconds since 1970 of a stored date: ISO 8601 text, or already a number of them."""
    if type(value) is int:
        return value
    moment = datetime.fromisoformat(value)
    return int(moment.timestamp() // 1) * 1000 + moment.microsecond // 1000


STEPS = 64  # buckets an octave: a value lies within 0.8 % of the middle of its bucket


def bucket(value: float) -> int:
    """The logarithmic bucket of a number; order is kept, and whole numbers below 128 have one each."""
    if value == 0:
        return 0
    mantissa, exponent = math.frexp(abs(value))
    index = (exponent + 1100) * STEPS + int((mantissa - 0.5) * 2 * STEPS) + 1
    return index if value > 0 else -index


def bucket_bounds(index: int) -> tuple[float, float]:
    """The least value of a bucket and the least of the next one outward, as magnitudes with the bucket's sign."""
    if index == 0:
        return 0.0, 0.0
    exponent, step = divmod(abs(index) - 1, STEPS)
    sign = 1 if index > 0 else -1
    scale = math.ldexp(1.0, exponent - 1100)
    return sign * scale * (0.5 + step / (2 * STEPS)), sign * scale * (0.5 + (step + 1) / (2 * STEPS))
