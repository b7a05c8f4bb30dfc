"""Every saved search and panel, asked of a store that holds the sample documents, shows what it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.kibana import panels, samples

NOON, ONE = samples.NOON, samples.NOON + 3_600_000
BY_SERVICE = [
    (NOON, "ads", 13), (NOON, "orders", 2), (NOON, "gateway", 1), (ONE, "orders", 4), (ONE, "analysis_engine", 1),
    (ONE, "gateway", 1), (ONE, "logstash", 1),
]  # fmt: skip
ERRORS = [("analysis_engine", "ComputationError", 1), ("orders", "UpstreamError", 1)]
SEARCHES = {
    "by-trace-id": ["POST /orders 200", "POST /orders 200", "order executed", "POST /orders 502", "POST /orders 500",
                    "MACD computation failed", "order rejected", "retrying"],
    "errors-of-a-service": ["MACD computation failed", "order rejected"],
    "slow-requests": ["POST /orders 502", "POST /orders 500"],
    "orders-of-a-user": ["order executed"],
    "dead-letters": ["{broken"] * 3,
    "audit": ["role changed"],
}  # fmt: skip
PANELS: dict[str, list[tuple[Any, ...]]] = {
    "operations-overview/Lines": [(23,)],
    "operations-overview/Error rate": [(round(2 / 23, 4),)],
    "operations-overview/Services": [(5,)],
    "operations-overview/p95 duration": [(2.385e9,)],
    "operations-overview/Lines by service": BY_SERVICE,
    "operations-overview/Errors by service": [(ONE, "analysis_engine", 1), (ONE, "orders", 1)],
    "operations-overview/Levels": [("info", 20), ("critical", 1), ("error", 1), ("warning", 1)],
    "operations-overview/Errors by type": ERRORS,
    "service-detail/Requests": [(4,)],
    "service-detail/Failed requests": [(2,)],
    "service-detail/p50 duration": [(1.17e9,)],
    "service-detail/p95 duration": [(2.385e9,)],
    "service-detail/p95 duration by service": [
        (NOON, "ads", None), (NOON, "orders", 3e7), (NOON, "gateway", 4e7), (ONE, "orders", 2.3e9),
        (ONE, "analysis_engine", None), (ONE, "gateway", 2.4e9), (ONE, "logstash", None),
    ],
    "service-detail/Lines by level": [
        (NOON, "info", 16), (ONE, "info", 4), (ONE, "critical", 1), (ONE, "error", 1), (ONE, "warning", 1),
    ],
    "service-detail/Status codes": [(200, 2), (500, 1), (502, 1)],
    "service-detail/Loggers": [("orders.retry", 1)],
    "trace-investigation/Lines": [(8,)],
    "trace-investigation/Services": [(3,)],
    "trace-investigation/Longest step": [(2.4e9,)],
    "trace-investigation/By service": [("orders", 5, 2.3e9), ("gateway", 2, 2.4e9), ("analysis_engine", 1, None)],
    "trace-investigation/Errors": ERRORS,
    "ads-funnel/Impressions": [(10,)],
    "ads-funnel/Clicks": [(2,)],
    "ads-funnel/Conversions": [(1,)],
    "ads-funnel/CTR": [(0.2,)],
    "ads-funnel/ROAS": [(2.0,)],
    "ads-funnel/Funnel over time": [(NOON, "impression", 10), (NOON, "click", 2), (NOON, "conversion", 1)],
    "ads-funnel/Campaigns": [("winter-sale", 8, 2, 1, 0.25, 3.0), ("etf-weeks", 2, 0, 0, 0.0, 0.0)],
    "pipeline-health/Lines": [(23,)],
    "pipeline-health/Dead letters": [(3,)],
    "pipeline-health/Files": [(1,)],
    "pipeline-health/Lines by service": BY_SERVICE,
    "pipeline-health/Dead letters by reason": [(NOON, "not_json", 2), (NOON, "future", 1)],
    "pipeline-health/Segments opened": [("orders", 1, 2)],
    "pipeline-health/Queue reports": [("info", 1)],
}  # fmt: skip
LENSES = {name: (attributes, narrowed_by) for name, attributes, narrowed_by in panels.lenses()}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[panels.Search]:
    folder: Path = tmp_path_factory.mktemp("store")
    writer = Writer(folder)
    writer.add([(*row, 1, 100) for row in (*samples.ROWS, samples.AUDIT)])
    writer.commit()
    store = TantivyStore.open(folder)
    yield store.search
    store.close()
    writer.close()


def test_every_panel_and_search_is_judged() -> None:
    assert sorted(LENSES) == sorted(PANELS)
    assert sorted(id_ for kind, id_ in panels.saved_objects() if kind == "search") == sorted(SEARCHES)


@pytest.mark.parametrize("id_", SEARCHES)
def test_a_saved_search_finds_its_lines(id_: str, embedded: panels.Search) -> None:
    check_search(id_, embedded)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_shows_its_figures(name: str, embedded: panels.Search) -> None:
    check_panel(name, embedded)


def check_search(id_: str, search: panels.Search) -> None:
    found = search(*panels.saved_search(id_))["hits"]["hits"]
    assert sorted(hit["_source"]["message"] for hit in found) == sorted(SEARCHES[id_])


def check_panel(name: str, search: panels.Search) -> None:
    """Buckets with equal counts come in any order; percentiles are estimates."""
    found = panels.rows(LENSES[name][0], search, LENSES[name][1])
    by_keys = {keys(row): row for row in found}
    assert len(by_keys) == len(found) == len(PANELS[name])
    for row in PANELS[name]:
        assert by_keys[keys(row)] == tuple(each if each is None else approximately(each) for each in row)


def keys(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each for each in row if isinstance(each, str) or each in (NOON, ONE, 200, 500, 502))


def approximately(number: Any) -> Any:
    return number if isinstance(number, str) else pytest.approx(number, rel=0.03)
