"""A stored document as tantivy columns: the schema of a day's index, and the walk that fills it from a document."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
import tantivy

from python_shipper.contract import contract
from python_shipper.store import analysis, schema

Put = Callable[[tantivy.Document, Any], None]
AddText = Callable[[str, str], None]
FUNCTION = type(lambda: None)
KEYWORD_CHARACTERS = contract().limits.keyword_characters
LONGEST_TERM = 65_530  # bytes; tantivy drops a longer term without a word
STORED_BLOCK_BYTES = 65_536
LONGEST_WILDCARD = 16_000  # characters of a wildcard field that are searchable: at most 64,000 bytes


@cache
def tantivy_schema() -> tantivy.Schema:
    """The schema of a new day: one column (two for some types) a mapped field, and our own."""
    builder = tantivy.SchemaBuilder()
    for name in (schema.INDEX, schema.PRESENT):
        builder.add_text_field(name, stored=name == schema.INDEX, fast=True, tokenizer_name="raw", index_option="basic")
    for name in (schema.SEGMENT, schema.OFFSET, schema.ORDER):
        builder.add_integer_field(name, fast=True)
    builder.add_bytes_field(schema.SOURCE, stored=True)
    for field in schema.mapping().values():
        add_field(builder, field)
    return builder.build()


def begin(folder: Path) -> tantivy.Index:
    """A new, empty index in ``folder``, without the scoring norms that tantivy keeps for every text column.

    They are a byte a column and document, whether the document has the column or not: a quarter of the raw lines. Hits
    are never scored. tantivy-py cannot say so when it makes a schema, the index's own ``meta.json`` can. Larger blocks
    of stored documents compress better, and a page of hits is still read in less than a millisecond.
    """
    tantivy.Index(tantivy_schema(), str(folder))
    meta = json.loads((folder / "meta.json").read_bytes())
    meta["index_settings"]["docstore_blocksize"] = STORED_BLOCK_BYTES
    for column in meta["schema"]:
        if column["type"] == "text":
            column["options"]["indexing"]["fieldnorms"] = False
    written = folder / "meta.json.new"
    written.write_text(json.dumps(meta))
    written.replace(folder / "meta.json")
    return tantivy.Index.open(str(folder))


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
    if schema.has_percentiles(field):
        builder.add_integer_field(path + schema.BUCKET, fast=True)


@cache
def plan() -> dict[str, Any]:
    """For each name of the mapping, nested as documents are: how its value is put into a tantivy document.

    A keyword is a plain path, for most fields are keywords and a call a value would cost more than all else here.
    """
    root: dict[str, Any] = {}
    for field in schema.mapping().values():
        *parents, leaf = field.path.split(".")
        node = root
        for name in parents:
            node = node.setdefault(name, {})
        plain = field.type == "keyword" and field.ignore_above == KEYWORD_CHARACTERS
        node[leaf] = field.path if plain else PUTTERS[field.type](field)
        if "." in field.path:
            root[field.path] = node[leaf]  # `log.level` stays dotted in stored documents
    return root


def columns(
    index: str, document: dict[str, Any], source: bytes, segment: int, offset: int, place: int
) -> tantivy.Document:
    """The tantivy document for ``document``, kept as its JSON ``source``; unmapped fields are kept, not indexed.

    ``place`` is the :func:`order` of its id.
    """
    row = tantivy.Document()
    row.add_text(schema.INDEX, index)
    row.add_integer(schema.SEGMENT, segment)
    row.add_integer(schema.OFFSET, offset)
    row.add_integer(schema.ORDER, place)
    row.add_bytes(schema.SOURCE, source)
    fill(row, document, plan(), row.add_text)
    return row


def fill(row: tantivy.Document, node: dict[str, Any], names: dict[str, Any], add_text: AddText) -> None:
    """Put the values of ``node`` whose names the mapping knows; a dotted name means the same as nested objects."""
    for name, value in node.items():
        target: Any = names.get(name)
        kind = type(target)
        if kind is str and type(value) is str and len(value) <= KEYWORD_CHARACTERS:
            add_text(target, value)
        elif kind is dict:
            if type(value) is dict:
                fill(row, value, target, add_text)
        elif kind is FUNCTION and type(value) is not list and value is not None:
            target(row, value)
        elif target is not None:
            put_values(row, target, value)
        elif "." in name:
            head, _, tail = name.partition(".")
            fill(row, {head: {tail: value}}, names, add_text)


def put_values(row: tantivy.Document, target: Any, value: Any) -> None:
    """Put a value, or each of a list; a null is no value."""
    put = put_keyword(target, KEYWORD_CHARACTERS) if type(target) is str else target
    for element in value if type(value) is list else (value,):
        if element is not None:
            put(row, element)


@cache
def put_keyword(path: str, longest: int) -> Put:
    """Puts a string whole, unless it is longer than the mapping indexes."""

    def put(row: tantivy.Document, value: Any) -> None:
        text = value if type(value) is str else as_text(value)
        if len(text) <= longest:
            row.add_text(path, text)

    return put


def keyword(field: schema.Field) -> Put:
    """Puts a string whole, unless it is longer than the mapping indexes."""
    return put_keyword(field.path, field.ignore_above or LONGEST_TERM)


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
    if not schema.has_percentiles(field):
        return lambda row, value: row.add_integer(path, int(value))

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


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DIGITS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")
LETTERS = frozenset(ALPHABET)
ORDER_CHARACTERS = 10  # a ULID's time; more would cost more bytes than looking the ids of one millisecond up


def order(identity: str) -> int:
    """A number that is not greater than another's if the id is not: the first characters of a ULID as a number."""
    head = identity[:ORDER_CHARACTERS]
    if LETTERS.issuperset(head) and len(head) == ORDER_CHARACTERS:
        return int(head.translate(DIGITS), 32)
    number = 0
    for place, char in enumerate(head):
        below = bisect_right(ALPHABET, char)
        if char not in ALPHABET:  # after all that go on from the character below it, or before all
            bits = 5 * (ORDER_CHARACTERS - place)
            return (number << bits) + ((below << (bits - 5)) - 1 if below else 0)
        number = number << 5 | (below - 1)
    return number << 5 * (ORDER_CHARACTERS - len(head))


def as_text(value: Any) -> str:
    """A leaf that is no string, as the JSON text that Elasticsearch would index."""
    return orjson.dumps(value).decode()


def milliseconds(value: Any) -> int:
    """Milliseconds since 1970 of a stored date: ISO 8601 text, or already a number of them."""
    if type(value) is int:
        return value
    if len(value) == 24 and value[23] == "Z" and (past := int(value[17:19] + value[20:23])) < 60_000:
        return minute(value[:16]) + past
    moment = datetime.fromisoformat(value)
    return int(moment.timestamp() // 1) * 1000 + moment.microsecond // 1000


@lru_cache(maxsize=4096)
def minute(text: str) -> int:
    """Milliseconds since 1970 of ``YYYY-MM-DDTHH:MM`` in UTC."""
    return int(datetime.fromisoformat(f"{text}Z").timestamp()) * 1000


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
