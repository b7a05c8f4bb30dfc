"""Aggregations of every kind in the subset, for the conformance suite: a query, or None for all documents, and one."""

from __future__ import annotations

from typing import Any

from tests.store.queries import ERROR, Q, between

ALL = 60_000  # a shard gives all its values, so that Elasticsearch's answer over several indices is exact like ours
DURATION = {"field": "event.duration"}
SERVICE = {"terms": {"field": "service.name"}}
FIVE_MINUTES = {"date_histogram": {"field": "@timestamp", "fixed_interval": "5m"}}
HOURS = {"date_histogram": {"field": "@timestamp", "fixed_interval": "6h"}}
Aggs = dict[str, Any]
AGGREGATIONS: dict[str, tuple[Q | None, Aggs]] = {
    "terms": (None, SERVICE),
    "terms size": (None, {"terms": {"field": "user.id", "size": 7, "shard_size": ALL}}),
    "terms by key": (None, {"terms": {"field": "user.id", "size": 7, "order": {"_key": "desc"}, "shard_size": ALL}}),
    "terms by count upwards": (None, {"terms": {"field": "service.name", "order": {"_count": "asc"}}}),
    "terms by metric": (
        None,
        {**{"terms": {"field": "service.name", "order": {"d": "desc"}}}, "aggs": {"d": {"avg": DURATION}}},
    ),
    "terms by stats": (
        None,
        {
            "terms": {"field": "service.name", "order": [{"d.max": "asc"}, {"_key": "asc"}]},
            "aggs": {"d": {"stats": DURATION}},
        },
    ),
    "terms min_doc_count": (
        None,
        {"terms": {"field": "user.id", "size": 1000, "min_doc_count": 10, "shard_size": ALL}},
    ),
    "terms missing": (None, {"terms": {"field": "error.type", "missing": "none"}}),
    "terms include": (None, {"terms": {"field": "service.name", "include": ["orders", "ads"]}}),
    "terms exclude": (None, {"terms": {"field": "service.name", "exclude": ["orders", "ads"]}}),
    "terms array": (None, {"terms": {"field": "tags"}}),
    "terms long": (None, {"terms": {"field": "http.response.status_code"}}),
    "terms long missing": (None, {"terms": {"field": "http.response.status_code", "missing": 0}}),
    "terms double": (None, {"terms": {"field": "christmas.bid.price", "size": 3, "order": {"_key": "asc"}}}),
    "terms boolean": (None, {"terms": {"field": "christmas.bid.win"}}),
    "terms ip": (None, {"terms": {"field": "client.ip"}}),
    "terms date": (None, {"terms": {"field": "@timestamp", "size": 3, "shard_size": ALL}}),
    "terms _index": (None, {"terms": {"field": "_index", "size": 50}}),
    "terms flattened key": (None, {"terms": {"field": "christmas.extra.foo"}}),
    "terms flattened": (None, {"terms": {"field": "labels"}}),
    "terms wildcard field": (None, {"terms": {"field": "url.path", "size": 5, "shard_size": ALL}}),
    "terms unmapped": (None, {"terms": {"field": "no.such"}}),
    "terms of nothing": ({"match_none": {}}, SERVICE),
    "terms in terms": (ERROR, {**SERVICE, "aggs": {"types": {"terms": {"field": "error.type"}}}}),
    "terms with query": ({"match": {"message": "timeout"}}, {"terms": {"field": "log.level"}}),
    "date_histogram": (None, HOURS),
    "date_histogram errors by service": (
        {"bool": {"filter": [ERROR, between("@timestamp", gte="2026-01-01", lt="2026-01-01T06")]}},
        {**FIVE_MINUTES, "aggs": {"by": SERVICE}},
    ),
    "date_histogram zone": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "time_zone": "+09:00"}},
    ),
    "date_histogram named zone": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "12h", "time_zone": "Asia/Seoul"}},
    ),
    "date_histogram offset": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "offset": "+6h"}},
    ),
    "date_histogram format": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "format": "yyyy-MM-dd"}},
    ),
    "date_histogram epoch": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "format": "epoch_millis"}},
    ),
    "date_histogram extended": (
        ERROR,
        {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": "12h",
                "extended_bounds": {"min": "2025-12-30", "max": "2026-01-04"},
            }
        },
    ),
    "date_histogram extended of nothing": (
        {"match_none": {}},
        {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": "1d",
                "extended_bounds": {"min": 1767139200000, "max": 1767312000000},
            },
            "aggs": {"by": SERVICE, "avg": {"avg": DURATION}, "p": {"cardinality": {"field": "user.id"}}},
        },
    ),
    "date_histogram hard": (
        None,
        {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": "6h",
                "hard_bounds": {"min": "2026-01-01", "max": "2026-01-01T12:00:00Z"},
            }
        },
    ),
    "date_histogram min_doc_count": (
        {"term": {"error.type": "ValueError"}},
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m", "min_doc_count": 2}},
    ),
    "date_histogram keyed": (None, {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "keyed": True}}),
    "date_histogram by count": (
        None,
        {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "order": {"_count": "desc"}}},
    ),
    "date_histogram of nothing": ({"match_none": {}}, HOURS),
    "histogram": (None, {"histogram": {"field": "christmas.bid.price", "interval": 5}}),
    "histogram offset": (None, {"histogram": {"field": "christmas.bid.price", "interval": 10, "offset": 3}}),
    "histogram fraction": (
        between("christmas.bid.price", gte=1, lt=2),
        {"histogram": {"field": "christmas.bid.price", "interval": 0.25, "min_doc_count": 1}},
    ),
    "histogram long": (None, {"histogram": {"field": "event.duration", "interval": 100_000_000, "min_doc_count": 1}}),
    "histogram hard": (
        None,
        {
            "histogram": {
                "field": "christmas.click.position",
                "interval": 2,
                "offset": 1,
                "hard_bounds": {"min": 3, "max": 7},
            }
        },
    ),
    "histogram hard fraction": (
        None,
        {"histogram": {"field": "christmas.bid.price", "interval": 5, "hard_bounds": {"min": 3.5, "max": 22}}},
    ),
    "date_histogram hard unaligned": (
        None,
        {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": "6h",
                "hard_bounds": {"min": "2026-01-01T02:00:00Z", "max": "2026-01-01T14:00:00Z"},
            }
        },
    ),
    "date_histogram hard inside": (
        None,
        {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": "6h",
                "offset": "1h",
                "hard_bounds": {"min": "2026-01-01T02:00:00Z", "max": "2026-01-01T14:00:00Z"},
            }
        },
    ),
    "histogram extended": (
        None,
        {"histogram": {"field": "christmas.click.position", "interval": 2, "extended_bounds": {"min": -3, "max": 15}}},
    ),
    "stats": (None, {"stats": DURATION}),
    "stats of nothing": ({"match_none": {}}, {"stats": DURATION}),
    "stats date": (None, {"stats": {"field": "@timestamp"}}),
    "stats date of nothing": ({"match_none": {}}, {"stats": {"field": "@timestamp"}}),
    "stats double": (None, {"stats": {"field": "christmas.bid.price"}}),
    "min": (None, {"min": DURATION}),
    "max date": (None, {"max": {"field": "@timestamp"}}),
    "avg": (None, {"avg": DURATION}),
    "avg missing": (None, {"avg": {"field": "event.duration", "missing": 0}}),
    "avg of nothing": ({"match_none": {}}, {"avg": DURATION}),
    "avg boolean": (None, {"avg": {"field": "christmas.bid.win"}}),
    "avg unmapped": (None, {"avg": {"field": "no.such"}}),
    "sum": (None, {"sum": DURATION}),
    "sum of nothing": ({"match_none": {}}, {"sum": DURATION}),
    "value_count": (None, {"value_count": {"field": "tags"}}),
    "value_count unmapped": (None, {"value_count": {"field": "no.such"}}),
    "cardinality": (None, {"cardinality": {"field": "user.id"}}),
    "cardinality long": (None, {"cardinality": {"field": "http.response.status_code"}}),
    "cardinality ids": (None, {"cardinality": {"field": "trace.id"}}),
    "cardinality missing": (None, {"cardinality": {"field": "error.type", "missing": "none"}}),
    "percentiles": (None, {"percentiles": DURATION}),
    "percentiles chosen": (None, {"percentiles": {"field": "event.duration", "percents": [50, 95, 99.9]}}),
    "percentiles list": (None, {"percentiles": {"field": "event.duration", "percents": [50], "keyed": False}}),
    "percentiles small": (None, {"percentiles": {"field": "christmas.click.position"}}),
    "percentiles negative": (None, {"percentiles": {"field": "christmas.bid.price"}}),
    "percentiles of nothing": ({"match_none": {}}, {"percentiles": DURATION}),
    "percentiles by service": (
        None,
        {**SERVICE, "aggs": {"p": {"percentiles": {"field": "event.duration", "percents": [95]}}}},
    ),
    "filters": (None, {"filters": {"filters": {"errors": ERROR, "timeouts": {"match": {"message": "timeout"}}}}}),
    "filters list": (None, {"filters": {"filters": [ERROR, {"match_all": {}}]}}),
    "filters other": (
        None,
        {"filters": {"filters": {"errors": ERROR}, "other_bucket_key": "rest"}, "aggs": {"by": SERVICE}},
    ),
    "filters in terms": (
        None,
        {
            **SERVICE,
            "aggs": {
                "f": {"filters": {"filters": {"errors": ERROR}, "other_bucket": True}, "aggs": {"d": {"max": DURATION}}}
            },
        },
    ),
    "filters in histogram in terms": (
        None,
        {
            **SERVICE,
            "aggs": {
                "h": {
                    **HOURS,
                    "aggs": {
                        "f": {
                            "filters": {"filters": {"errors": ERROR}},
                            "aggs": {"t": {"terms": {"field": "error.type"}}},
                        }
                    },
                }
            },
        },
    ),
    "meta": (None, {**SERVICE, "meta": {"color": "blue"}}),
}
