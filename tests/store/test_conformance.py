"""The same requests on the same documents: the embedded store and a real Elasticsearch answer alike.

`make check` asks the embedded store only (every request is answered, or refused as listed); the whole comparison runs
where Elasticsearch can be had. SHIPPER_CONFORMANCE_DOCUMENTS sets the number of documents (50,000).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from python_shipper.errors import QueryError
from python_shipper.store import Store
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.store.compare import answer, differences
from tests.store.corpus import corpus
from tests.store.refused import REFUSED
from tests.store.requests import requests

DOCUMENTS = int(os.environ.get("SHIPPER_CONFORMANCE_DOCUMENTS", "50000"))


def embedded(folder: Path, documents: int) -> TantivyStore:
    writer = Writer(folder)
    assert writer.add(list(corpus(documents))).stored == documents
    writer.close()
    return TantivyStore.open(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TantivyStore:
    return embedded(tmp_path_factory.mktemp("small"), 300)


@pytest.mark.parametrize("name", requests())
def test_the_embedded_store_answers(small: TantivyStore, name: str) -> None:
    index, body = requests()[name]
    response = small.search(index, body)
    assert len(response["hits"]["hits"]) <= body.get("size", 10)
    assert ("aggregations" in response) == ("aggs" in body)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_the_subset_is_refused_by_both_in_the_same_words(small: TantivyStore, name: str) -> None:
    with pytest.raises(QueryError) as refusal:
        small.search("christmas-*", REFUSED[name])
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    elasticsearch = pytest.importorskip("tests.stack.elasticsearch", reason="elasticsearch: no helper to run one")
    from elasticsearch import Elasticsearch
    from elasticsearch.helpers import bulk

    from python_shipper.store.elasticsearch import ElasticsearchStore

    with elasticsearch.running() as server:
        server.apply()
        # The client encodes credentials as ASCII; the password of the tests is not.
        authority = base64.b64encode(f"admin:{elasticsearch.PASSWORD}".encode()).decode()
        headers = {"authorization": f"Basic {authority}"}
        client = Elasticsearch(server.url, headers=headers, ca_certs=str(server.authority), request_timeout=60)
        rows = corpus(DOCUMENTS)
        actions = (
            {"_op_type": "create", "_index": index, "_id": identity, "_source": document}
            for index, identity, document, _, _ in rows
        )
        bulk(client, actions, chunk_size=5000, refresh=True)
        theirs = ElasticsearchStore(client, server.url)
        ours = embedded(tmp_path_factory.mktemp("conformance"), DOCUMENTS)
        yield ours, theirs
        ours.close()
        theirs.close()


@pytest.mark.slow
@pytest.mark.needs("maven")
def test_both_engines_answer_alike(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    found = {name: differing(ours, theirs, name, *request) for name, request in requests().items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.slow
@pytest.mark.needs("maven")
def test_both_engines_list_the_same_indices(stores: tuple[Store, Store]) -> None:
    ours, theirs = ([(info.name, info.documents) for info in store.indices()] for store in stores)
    assert ours == theirs


def differing(ours: Store, theirs: Store, name: str, index: str, body: dict) -> list[str]:
    return differences(answer(ours.search(index, body)), answer(theirs.search(index, body)), name)[:5]
