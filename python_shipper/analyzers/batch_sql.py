"""The quick way as SQL, for JSON lines of any form: where a fact stands in a line, and how its text becomes a value.

Most lines hold nested ECS fields only; then the few nested places are looked at. A line with any dotted or short name
is looked at in every place, in the order in which :mod:`python_shipper.core.normalize` lets names win. What is not
ordinary (a value of another type than its field's, a time in a rare form, a text beyond its bounds) leaves its row
without a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from python_shipper.analyzers.batch_lines import FAILURES, FIELDS, LONGEST_BYTES, Fact
from python_shipper.contract import contract

TYPES = {"ts": "BIGINT", "duration": "BIGINT", "price": "DOUBLE", "win": "BOOLEAN", "value": "DOUBLE"}
COLUMNS = {name: TYPES.get(name, "VARCHAR") for name in Fact._fields}
TEXTS = [column for column in FIELDS if COLUMNS[column] == "VARCHAR" and column != "stack"]
ALL = FIELDS | {"moment": "@timestamp", "error_message": "error.message", "line_message": "message"}

# The keys of ordinary ECS lines that hold facts. `service` is an object in them and a text in flat lines.
ECS = {
    "@timestamp": "VARCHAR",
    "log": "STRUCT(level VARCHAR)",
    "log.level": "VARCHAR",
    "message": "VARCHAR",
    "event": "STRUCT(id VARCHAR, action VARCHAR, duration VARCHAR)",
    "trace": "STRUCT(id VARCHAR)",
    "service": "JSON",
    "error": "JSON",
    "christmas": "JSON",
}
MESSAGES = ("error_message", "line_message")
FAILED = f"(error_type IS NOT NULL OR level IN {FAILURES})"
VALUES = {column: column for column in COLUMNS} | {  # what becomes of columns whose texts are in order
    "price": "try_cast(price AS DOUBLE)",
    "win": "win = 'true'",
    "value": "try_cast(value AS DOUBLE)",
    "message": f"CASE WHEN {FAILED} THEN coalesce(error_message, line_message) END",
}
STRUCTS = ("log", "event", "trace")  # read as structs, without a look at the text
LONGEST_NUMBER = 25  # characters of a double in any form are fewer
NUMBER = "-?[0-9]{1,15}([.][0-9]{1,15})?"
DATE, HOUR, CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "([01][0-9]|2[0-3])", ":[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
LAST_MS = 253_402_300_799_999  # of the year 9999
OFFSET = "[+-]([01][0-9]|2[0-3]):[0-5][0-9]"


def quoted(key: str) -> str:
    """An SQL name."""
    return f'"{key}"'


def text(value: str) -> str:
    """An SQL text."""
    return "'" + value.replace("'", "''") + "'"


def spellings(path: str) -> list[tuple[str, ...]]:
    """The ways to write a path as keys within keys: nested, then those with dots, in the order in which they win."""
    parts = path.split(".")
    found = [spelling(parts, cut) for cut in range(2 ** (len(parts) - 1))]
    return sorted(found, key=lambda keys: (any("." in key for key in keys), keys))


def spelling(parts: list[str], cut: int) -> tuple[str, ...]:
    """``parts`` as keys, joined by a dot where a bit of ``cut`` is set."""
    keys = [parts[0]]
    for number, part in enumerate(parts[1:]):
        if cut >> number & 1:
            keys[-1] += f".{part}"
        else:
            keys.append(part)
    return tuple(keys)


def shorts(path: str) -> list[str]:
    """The short names of a path, the winning one first; those with a scale are numbers, and not among them."""
    return [short.name for short in contract().short_names.values() if short.field == path and short.scale == 1]


@cache
def rare() -> dict[str, str]:
    """The top-level keys that ordinary ECS lines do not have but that may hold a fact, with their types."""
    dotted = {keys[0] for path in ALL.values() for keys in spellings(path)} - set(ECS)
    named = {short for path in ALL.values() for short in shorts(path)} - set(ECS)
    return dict.fromkeys(sorted(dotted | named | {"duration", "duration_ms"}), "JSON") | dict.fromkeys(
        sorted(named), "VARCHAR"
    )


def place(keys: tuple[str, ...]) -> str:
    """The text at one place of a line."""
    head, below = keys[0], keys[1:]
    if head in STRUCTS and below:
        return ".".join(map(quoted, keys))
    if below:
        return f"{quoted(head)}->>{text('$' + ''.join(f'.{quoted(key)}' for key in below))}"
    return quoted(head) if ECS.get(head) == "VARCHAR" or rare().get(head) == "VARCHAR" else f"{quoted(head)}->>'$'"


def winner(path: str) -> str:
    """The text that wins for a path, by where it stands; null where none does, or an empty one."""
    spelled = [(keys[0], place(keys)) for keys in spellings(path)]
    usual = [where for head, where in spelled if head in ECS]
    flat = [FLAT_SERVICE if short == "service" else place((short,)) for short in shorts(path)]
    every = [where for _, where in spelled] + flat
    if usual == every:
        return f"nullif({first(usual)}, '')"
    return f"nullif(CASE WHEN unusual IS NULL THEN {first(usual)} ELSE {first(every)} END, '')"


FLAT_SERVICE = "CASE WHEN NOT starts_with(service, '{') THEN service->>'$' END"


def first(places: list[str]) -> str:
    """The first that is there."""
    return f"coalesce({', '.join(places)})" if len(places) > 1 else places[0]


def read_json(columns: Mapping[str, str]) -> str:
    """DuckDB's JSON reader over the file ``$file``: these keys, with their types."""
    chosen = ", ".join(f"{text(key)}: {text(kind)}" for key, kind in columns.items())
    return (
        "read_json($file, format = 'newline_delimited', ignore_errors = true, compression = $compression, "
        f"maximum_object_size = {LONGEST_BYTES}, columns = {{{chosen}}})"
    )


def as_columns(expressions: Mapping[str, str]) -> str:
    """Expressions as columns of these names."""
    return ", ".join(f"{expression} AS {quoted(column)}" for column, expression in expressions.items())


def facts(utc: bool) -> str:
    """The query that reads ``$file`` as rows of facts; a time without a zone is UTC, or the careful way's."""
    columns = VALUES | {"ts": f"CASE WHEN {doubtful()} THEN NULL ELSE ts END", "duration": DURATION}
    return f"SELECT {as_columns(columns)} FROM (SELECT *, {moment_ms(utc)} AS ts FROM ({texts()}))"


def texts() -> str:
    """The texts that win, by column."""
    unusual = first([f"{quoted(key)}{'' if kind == 'VARCHAR' else '::VARCHAR'}" for key, kind in rare().items()])
    unusual = f"CASE WHEN starts_with(service, '{{') THEN {unusual} ELSE 'flat' END"
    chosen = {column: winner(path) for column, path in ALL.items()}
    chosen |= {
        "level": f"lower({chosen['level']})",
        "seconds": "duration::VARCHAR",
        "milliseconds": "duration_ms::VARCHAR",
    }
    return f"SELECT {as_columns(chosen)} FROM (SELECT *, {unusual} AS unusual FROM {read_json(ECS | rare())})"


def moment_ms(utc: bool) -> str:
    """The time as ms since 1970 where it is in a usual form."""
    form = f"{DATE}[T ]{HOUR}{CLOCK}(Z|{OFFSET}){'?' if utc else ''}"
    local = "epoch_ms(try_cast(regexp_extract(moment, '^.{10}[T ][0-9:.]+') AS TIMESTAMP))"
    minutes = "(moment[-6] || '1')::INT * (moment[-5:-4]::INT * 60 + moment[-2:]::INT)"
    return f"""CASE
        WHEN moment LIKE '____-__-__T__:__:__.___Z' AND NOT contains(moment, 'T24')
        THEN epoch_ms(try_cast(moment AS TIMESTAMP))
        WHEN regexp_full_match(moment, {text(form)})
        THEN {local} - CASE WHEN moment[-3] = ':' AND moment[-6] IN ('+', '-') THEN {minutes} * 60000 ELSE 0 END
    END"""


def scaled(column: str, scale: int) -> str:
    """A number times ``scale``, rounded, halves up."""
    return f"floor(try_cast({column} AS DOUBLE) * {scale} + 0.5)"


SCALED = {"seconds": scaled("seconds", 1_000_000_000), "milliseconds": scaled("milliseconds", 1_000_000)}
DURATION = f"""CASE WHEN duration IS NOT NULL THEN try_cast(duration AS BIGINT)
    WHEN seconds IS NOT NULL THEN try_cast({SCALED["seconds"]} AS BIGINT)
    WHEN milliseconds IS NOT NULL THEN try_cast({SCALED["milliseconds"]} AS BIGINT) END"""


def doubtful() -> str:
    """Whether a row may mean something else than its texts say; null, which is no, where nothing is unusual."""
    longest = contract().limits.keyword_characters
    numbers = [
        f"(duration IS NULL AND {column} IS NOT NULL"
        f" AND coalesce(abs({product}) > 9e15 OR starts_with({column}, '\"'), true))"
        for column, product in SCALED.items()
    ]
    doubts = [
        f"ts NOT BETWEEN 0 AND {LAST_MS}",
        *(f"strlen({column}) > {longest}" for column in TEXTS),
        *(structured(column) for column in (*TEXTS, "stack")),
        *(fractional(column) for column in (*TEXTS, "stack")),
        "try_cast(duration AS BIGINT)::VARCHAR IS DISTINCT FROM duration",
        *numbers,
        *(f"NOT regexp_full_match({column}, {text(NUMBER)})" for column in ("price", "value")),
        "win NOT IN ('true', 'false')",
        f"({FAILED} AND ({' OR '.join(doubt(each) for doubt in (structured, fractional) for each in MESSAGES)}))",
    ]
    return f"({' OR '.join(doubts)})"


def fractional(column: str) -> str:
    """Whether a text may be that of a number with a fraction or an exponent, which has several forms."""
    has = f"(contains({column}, '.') OR contains({column}, 'e')) AND try_cast({column} AS DOUBLE) IS NOT NULL"
    return f"(strlen({column}) < {LONGEST_NUMBER} AND {column} < ':' AND {has})"


def structured(column: str) -> str:
    """Whether a text may be that of an object or a list."""
    return f"starts_with({column}, '[') OR starts_with({column}, '{{')"
