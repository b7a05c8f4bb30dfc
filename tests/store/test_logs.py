"""The query language's short names and units, and the times that people type."""

import pytest

from python_shipper.errors import QueryError
from python_shipper.store.logs import Question, condition, in_field_names, moment, value

NOW = 1_795_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("level:ERROR service:orders timeout", "log.level:error service.name:orders timeout"),
        ("level:(ERROR OR WARNING) x", "log.level:(error OR warning) x"),
        ("-level:error", "-log.level:error"),
        ("log.level:ERROR", "log.level:error"),
        ('"level:ERROR" level:ERROR', '"level:ERROR" log.level:error'),
        (r'"a \" level:X" level:X', r'"a \" level:X" log.level:x'),
        ("duration:>0.5", "event.duration:>500000000"),
        ("duration_ms:[5 TO 10]", "event.duration:[5000000 TO 10000000]"),
        ("event.duration:>5", "event.duration:>5"),
        ("my.level:ERROR http://level:80", "my.level:ERROR http://level:80"),
        ("(user_id:u1 OR order_id:o1)", "(user.id:u1 OR christmas.order.id:o1)"),
    ],
)
def test_short_names_stand_for_their_fields(typed: str, meant: str) -> None:
    assert in_field_names(typed) == meant


def test_a_question_is_a_conjunction_of_filters() -> None:
    asked = condition(Question("boom", since_ms=0, until_ms=1, terms=(("service.name", "orders"),)))
    assert asked["bool"]["filter"] == [
        {"term": {"service.name": "orders"}},
        {"range": {"@timestamp": {"gte": "1970-01-01T00:00:00.000Z", "lt": "1970-01-01T00:00:00.001Z"}}},
        {"query_string": {"query": "boom", "default_field": "message", "default_operator": "AND"}},
    ]
    assert condition(Question("  ")) == {"match_all": {}}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1h", NOW - HOUR),
        ("90s", NOW - 90_000),
        ("2d", NOW - 48 * HOUR),
        ("999999999w", 0),
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T09:30:00Z", 1_769_851_800_000),
        ("2026-01-31T09:30:00+09:00", 1_769_819_400_000),
    ],
)
def test_moments(text: str, ms: int) -> None:
    assert moment(text, NOW) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "1x", "-1h", "2026-13-01", "1h ago", "0001-01-01T00:00:00+23:59"])
def test_a_wrong_moment_names_its_option_and_what_is_expected(text: str) -> None:
    with pytest.raises(QueryError, match=r"^--since: expected a span such as 15m"):
        moment(text, NOW, "--since")


def test_value_finds_a_path_however_it_is_dotted() -> None:
    event = {"log.level": "info", "a": {"b.c": {"d": 1}}, "x": 2}
    assert [value(event, path) for path in ("log.level", "a.b.c.d", "x", "x.y", "a.b", "none")] == [
        "info",
        1,
        2,
        None,
        None,
        None,
    ]
