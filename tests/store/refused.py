"""Requests outside the subset, or malformed: refused before any engine is asked."""

from __future__ import annotations

from typing import Any

from tests.store.queries import ERROR, Q, between, bool_, query_string

NEWEST, OLDEST = [{"event.id": "desc"}], [{"@timestamp": "asc"}, {"event.id": "asc"}]


def aggs(kind: str, **options: Any) -> Q:
    return {"aggs": {"a": {kind: options}}}


REFUSED: dict[str, Q] = {
    "unknown parameter": {"quary": {}},
    "script": {"script_fields": {}},
    "two kinds in one query": {"query": {"term": {"a": 1}, "match": {"b": 2}}},
    "wildcard query": {"query": {"wildcard": {"message": "x*"}}},
    "nested query": {"query": {"nested": {"path": "a", "query": {}}}},
    "fuzzy match": {"query": {"match": {"message": {"query": "timeout", "fuzziness": 1}}}},
    "two fields in a match": {"query": {"match": {"message": "a", "error.message": "b"}}},
    "range of a word on a number": {"query": between("event.duration", gte="soon")},
    "range of a word on a date": {"query": between("@timestamp", gte="yesterday")},
    "range of an unknown parameter": {"query": between("@timestamp", from_="now")},
    "unit of date math": {"query": between("@timestamp", gte="now-1x")},
    "unknown zone": {"query": between("@timestamp", gte="now", time_zone="Mars/Base")},
    "bad boolean": {"query": {"term": {"christmas.bid.win": "maybe"}}},
    "bad address": {"query": {"term": {"client.ip": "10.0.0"}}},
    "prefix on a number": {"query": {"prefix": {"event.duration": "1"}}},
    "null term": {"query": {"term": {"log.level": None}}},
    "terms without a list": {"query": {"terms": {"log.level": "error"}}},
    "terms lookup": {"query": {"terms": {"user.id": {"index": "users"}}}},
    "minimum should match": {"query": bool_(should=[ERROR], minimum_should_match="most")},
    "unclosed quote": {"query": query_string('"timeout')},
    "unclosed group": {"query": query_string("(timeout")},
    "closing without opening": {"query": query_string("timeout)")},
    "lone operator": {"query": query_string("AND")},
    "only signs": {"query": query_string("---")},
    "regular expression": {"query": query_string("/time.*/")},
    "fuzzy word": {"query": query_string("timeuot~")},
    "unclosed range": {"query": query_string("event.duration:[1 TO")},
    "word on a number": {"query": query_string("event.duration:abc")},
    "deep nesting": {"query": query_string("(" * 60 + "a" + ")" * 60)},
    "window": {"from": 9_990, "size": 11},
    "negative size": {"size": -1},
    "sort by message": {"sort": ["message"]},
    "sort by score": {"sort": ["_score"]},
    "search_after of another length": {"sort": OLDEST, "search_after": [1]},
    "search_after with from": {"sort": NEWEST, "search_after": ["x"], "from": 2},
    "calendar interval": aggs("date_histogram", field="@timestamp", calendar_interval="month"),
    "interval of no unit": aggs("date_histogram", field="@timestamp", fixed_interval="5"),
    "interval of zero": aggs("histogram", field="event.duration", interval=0),
    "date histogram of a keyword": aggs("date_histogram", field="log.level", fixed_interval="1h"),
    "too many buckets": {
        "query": {"match_all": {}},
        **aggs("date_histogram", field="@timestamp", fixed_interval="1ms"),
    },
    "terms of a text": aggs("terms", field="message"),
    "terms by an unknown metric": aggs("terms", field="log.level", order={"nothing": "asc"}),
    "terms of size zero": aggs("terms", field="log.level", size=0),
    "average of a keyword": aggs("avg", field="log.level"),
    "percentile over 100": aggs("percentiles", field="event.duration", percents=[101]),
    "percentiles of a keyword": aggs("percentiles", field="log.level"),
    "top hits": aggs("top_hits", size=1),
    "composite": aggs("composite", sources=[]),
    "scripted": aggs("terms", script="doc"),
    "nested in a metric": {"aggs": {"a": {"avg": {"field": "event.duration"}, "aggs": {"b": {"avg": {"field": "x"}}}}}},
    "highlight of an unknown type": {"highlight": {"type": "fvh", "fields": {"message": {}}}},
    "source of a number": {"_source": 7},
}
