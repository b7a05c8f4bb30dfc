"""The quickest way as SQL: ordinary lines of nested ECS, as this project's services and most others write them.

Such a line needs no look at other places than the usual ones; whether it is one is found by as few comparisons a line
as will do, the most telling first. A row that is not stays without a time, as in
:mod:`~python_shipper.analyzers.batch_sql`.
"""

from __future__ import annotations

import re

import orjson

from python_shipper.analyzers.batch_sql import (
    ALL,
    ECS,
    FAILED,
    NUMBER,
    TEXTS,
    VALUES,
    as_columns,
    fractional,
    quoted,
    rare,
    read_json,
    text,
)
from python_shipper.contract import contract

# Whatever else may hold a fact makes a line unusual: the keys of `rare`, and those with a dot in here.
USUAL = ECS | {
    "service": "STRUCT(name VARCHAR)",
    "error": "STRUCT(type VARCHAR, message VARCHAR, stack_trace VARCHAR)",
    "christmas": 'STRUCT(operation VARCHAR, campaign STRUCT(id VARCHAR), "campaign.id" VARCHAR, '
    'bid STRUCT(price VARCHAR, win VARCHAR), "bid.price" VARCHAR, "bid.win" VARCHAR, '
    'conversion STRUCT("value" VARCHAR), "conversion.value" VARCHAR)',
}
PLACES = {column: ".".join(map(quoted, path.split("."))) for column, path in ALL.items()}
PLACES["level"] = f'lower(coalesce({PLACES["level"]}, "log.level"))'
DOTTED = ('christmas."campaign.id"', 'christmas."bid.price"', 'christmas."bid.win"', 'christmas."conversion.value"')
MOMENT = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")


def is_ordinary(line: bytes) -> bool:
    """Whether a line is one of those that this way is for."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(found, dict) or found.keys() & rare().keys():
        return False
    service, moment = found.get("service"), found.get("@timestamp")
    has_name = isinstance(service, dict) and bool(service.get("name"))
    return has_name and isinstance(moment, str) and MOMENT.fullmatch(moment) is not None


def ecs_facts() -> str:
    """The query that reads ``$file`` as rows of facts."""
    columns = VALUES | {
        "ts": f"CASE WHEN {' AND '.join(ordinary())} THEN epoch_ms(try_cast(moment AS TIMESTAMP)) END",
        "duration": "try_cast(duration AS BIGINT)",
    }
    unusual = f"coalesce({', '.join([*map(quoted, rare()), *DOTTED])})"
    reading = read_json(USUAL | dict.fromkeys(rare(), "VARCHAR"))
    return f"SELECT {as_columns(columns)} FROM (SELECT {as_columns(PLACES)}, {unusual} IS NULL AS usual FROM {reading})"


def ordinary() -> list[str]:
    """What holds of an ordinary line."""
    longest = contract().limits.keyword_characters
    return [
        "usual",
        "moment LIKE '____-__-__T__:__:__.___Z'",
        "NOT contains(moment, 'T24')",
        "moment >= '1970'",
        "service IS NOT NULL",
        *(plain(column, f"strlen({column}) <= {longest}") for column in TEXTS),
        plain("stack", "true"),
        f"(NOT {FAILED} OR ({plain('error_message', 'true')} AND {plain('line_message', 'true')}))",
        "(duration IS NULL OR try_cast(duration AS BIGINT)::VARCHAR = duration)",
        *(f"({column} IS NULL OR regexp_full_match({column}, {text(NUMBER)}))" for column in ("price", "value")),
        "(win IS NULL OR win IN ('true', 'false'))",
    ]


def plain(column: str, bounds: str) -> str:
    """That a text is null, or not empty and neither of an object, of a list, nor of a number with several forms."""
    letters = f"({column} >= '\\' AND {column} < '{{' OR {column} >= 'A' AND {column} < '[' OR {column} >= '|')"
    others = f"{column} < 'A' AND {column} <> '' AND NOT {fractional(column)}"
    return f"(({letters} AND {bounds}) OR {column} IS NULL OR ({others} AND {bounds}))"
