"""The requests of the conformance suite: (index pattern, body) by name, answered by both engines and compared."""

from __future__ import annotations

from tests.store.aggregations import AGGREGATIONS, HOURS, SERVICE
from tests.store.queries import ERROR, QUERIES, Q, bool_, query_string

LOGS = "christmas-logs-*"
NEWEST, OLDEST = [{"event.id": "desc"}], [{"@timestamp": "asc"}, {"event.id": "asc"}]
BODIES: dict[str, tuple[str, Q]] = {
    "size 0": (LOGS, {"size": 0}),
    "page": (LOGS, {"from": 20, "size": 5, "sort": OLDEST}),
    "sort downwards": (LOGS, {"sort": [{"@timestamp": {"order": "desc"}}, {"event.id": {"order": "asc"}}], "size": 30}),
    "sort upwards by name": (LOGS, {"sort": ["event.id"], "size": 3}),
    "search_after id": (LOGS, {"sort": NEWEST, "size": 7, "search_after": ["01KDWQ6BC0M6F9AM8F03Q33NEG"]}),
    "search_after both": (
        LOGS,
        {"sort": OLDEST, "size": 7, "search_after": [1767225600000, "01KDWQ6BC0M6F9AM8F03Q33NEG"]},
    ),
    "total exact": (LOGS, {"size": 1, "track_total_hits": True, "sort": OLDEST}),
    "total none": (LOGS, {"size": 1, "track_total_hits": False, "sort": OLDEST}),
    "total up to": (LOGS, {"size": 1, "track_total_hits": 100, "sort": OLDEST}),
    "source none": (LOGS, {"size": 2, "_source": False, "sort": OLDEST}),
    "source one": (LOGS, {"size": 2, "_source": "message", "sort": OLDEST}),
    "source patterns": (LOGS, {"size": 4, "_source": ["event.*", "log.level", "user"], "sort": OLDEST}),
    "source excludes": (
        LOGS,
        {
            "size": 4,
            "_source": {"includes": ["event", "error.*", "christmas.extra"], "excludes": ["*.stack_trace", "event.id"]},
            "sort": OLDEST,
        },
    ),
    "one index": ("christmas-logs-orders-2026.01.02", {"sort": OLDEST, "size": 5}),
    "one service": ("christmas-logs-orders-*", {"sort": OLDEST, "size": 5}),
    "one day": ("christmas-logs-*-2026.01.01", {"sort": OLDEST, "size": 5}),
    "two patterns": ("christmas-logs-ads-*,christmas-logs-billing-2026.01.01", {"sort": OLDEST, "size": 5}),
    "an exclusion": ("christmas-logs-*,-christmas-logs-orders-*", {"sort": OLDEST, "size": 5}),
    "no index": ("christmas-logs-nothing-*", {"size": 5}),
    "absent name": ("christmas-logs-nothing-2026.01.01", {"size": 5}),
    "nothing with aggs": ("christmas-logs-nothing-*", {"size": 0, "aggs": {"s": SERVICE, "h": HOURS}}),
    "deep page": (LOGS, {"from": 900, "size": 40, "sort": OLDEST}),
}

MESSAGE = {"fields": {"message": {}}}
HIGHLIGHTS: dict[str, tuple[Q, Q]] = {
    "match": ({"match": {"message": "timeout cache"}}, MESSAGE),
    "phrase": ({"match_phrase": {"message": "connection reset"}}, MESSAGE),
    "phrase slop": ({"match_phrase": {"message": {"query": "connection by", "slop": 1}}}, MESSAGE),
    "prefix": ({"prefix": {"message": "time"}}, {"fields": {"message": {"number_of_fragments": 0}}}),
    "query string": (query_string("error.type:Time* charge"), {"fields": {"*": {}}}),
    "korean": ({"match": {"message": "결제 체결되었습니다"}}, MESSAGE),
    "must not": (
        bool_(must={"match": {"message": "timeout"}}, must_not={"match": {"message": "cache"}}),
        {"fields": [{"message": {"pre_tags": ["[["], "post_tags": ["]]"]}}], "encoder": "html"},
    ),
    "any field": ({"term": {"error.type": "TimeoutError"}}, {"fields": {"error.*": {}}, "require_field_match": False}),
    "nothing to mark": (ERROR, MESSAGE),
    "no match": (ERROR, {"fields": {"message": {"no_match_size": 12}}}),
    "small fragments": ({"match": {"message": "3 timeout"}}, {"fields": {"message": {"fragment_size": 18}}}),
}


def requests() -> dict[str, tuple[str, Q]]:
    """All requests by name."""
    found = {f"query: {name}": (LOGS, {"query": query, "size": 25}) for name, query in QUERIES.items()}
    for name, (query, aggs) in AGGREGATIONS.items():
        found[f"aggs: {name}"] = (LOGS, {"size": 0, "query": query or {"match_all": {}}, "aggs": {"a": aggs}})
    for name, (query, highlight) in HIGHLIGHTS.items():
        found[f"highlight: {name}"] = (LOGS, {"size": 200, "query": query, "highlight": highlight})
    return found | {f"body: {name}": given for name, given in BODIES.items()}
