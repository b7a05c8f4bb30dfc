"""What people ask, asked of a real Elasticsearch over TLS: the answers of the embedded store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from python_shipper.core.clock import parsed_ms
from python_shipper.dashboard.pages import Asked, look
from python_shipper.stack import elk
from python_shipper.store import Store
from python_shipper.store.logs import Follower, Question, search_logs
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.traces import as_json, find_trace
from tests.dashboard.sample import DOCUMENTS, NOW, TRACE, fill
from tests.stack import elasticsearch as engine

pytestmark = pytest.mark.slow
NOW_MS = parsed_ms(NOW)


@pytest.fixture(scope="module")
def cluster(elasticsearch: engine.Server) -> Iterator[Store]:
    api = elasticsearch.api()
    actions = [({"create": {"_index": index, "_id": letter}}, found) for index, letter, found, *_ in DOCUMENTS]
    lines = "".join(json.dumps(part) + "\n" for action in actions for part in action)
    answer = api.send("POST", "/_bulk?refresh=true", lines.encode(), {"Content-Type": "application/x-ndjson"})
    assert not answer["errors"]
    with closing(elk.store_at(api)) as store:
        yield store
    for index in {index for index, *_ in DOCUMENTS}:
        api.call("DELETE", f"/{index}")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(TantivyStore.open(fill(tmp_path_factory.mktemp("filled")))) as store:
        yield store


@pytest.mark.parametrize(
    "query", ["", "level:ERROR", "service:orders rejected", "duration:>0.04", "-tick", '"order failed"']
)
def test_the_same_lines(cluster: Store, embedded: Store, query: str) -> None:
    question = Question(query, NOW_MS - 3_600_000, NOW_MS)
    here, there = (search_logs(store, question) for store in (embedded, cluster))
    assert [hit["_source"] for hit in there.hits] == [hit["_source"] for hit in here.hits]
    assert there.total == here.total > 0


def test_the_same_trace(cluster: Store, embedded: Store) -> None:
    assert as_json(find_trace(cluster, TRACE)) == as_json(find_trace(embedded, TRACE))


@pytest.mark.parametrize("asked", [Asked(), Asked("calm", service="orders"), Asked("level:error rejected", "15m")])
def test_the_same_page(cluster: Store, embedded: Store, asked: Asked) -> None:
    here, there = (look(store, asked, NOW_MS) for store in (embedded, cluster))
    assert there.rows == here.rows
    assert there.histogram == here.histogram
    assert (there.services, there.levels, there.total) == (here.services, here.levels, here.total)


def test_the_same_older_page(cluster: Store, embedded: Store) -> None:
    last = look(embedded, Asked(), NOW_MS).rows[-1].id
    assert look(cluster, Asked(before=last), NOW_MS).rows == look(embedded, Asked(before=last), NOW_MS).rows


def test_following(cluster: Store) -> None:
    follower = Follower(cluster, "level:error")
    at = parsed_ms("2026-11-22T12:00:30Z")
    assert [hit["_source"]["message"] for hit in follower.fresh(at)] == [
        "MACD computation failed",
        "order rejected",
        "order failed",
    ]
    assert list(follower.fresh(at)) == []
