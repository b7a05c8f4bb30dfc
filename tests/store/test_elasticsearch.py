"""How the cluster's store is addressed, and what a person reads when it does not answer."""

from urllib.parse import urlsplit

import pytest

from python_shipper.errors import ConfigurationError, QueryError, StoreError
from python_shipper.settings import Settings
from python_shipper.store import open_store
from python_shipper.store.elasticsearch import ElasticsearchStore, signed_in

CLOSED = "http://127.0.0.1:9"  # the discard port, which nothing serves


def test_the_address_decides_which_store_is_opened() -> None:
    assert isinstance(open_store(Settings(elasticsearch_url=CLOSED)), ElasticsearchStore)


def test_elk_without_an_address_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="ELASTICSEARCH_URL: not set"):
        open_store(Settings(stack="elk"))


@pytest.mark.parametrize("url", ["localhost", "ftp://localhost:9200", "http://localhost"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ELASTICSEARCH_URL"):
        ElasticsearchStore.open(Settings(elasticsearch_url=url))


def test_credentials_are_sent_as_utf_8_and_never_shown() -> None:
    header = signed_in(urlsplit("https://reader:p%C3%A4ss%40word@localhost:9200"))
    assert header == {"authorization": "Basic cmVhZGVyOnDDpHNzQHdvcmQ="}
    store = ElasticsearchStore.open(Settings(elasticsearch_url="http://reader:secret@127.0.0.1:9"))
    with pytest.raises(StoreError, match=r"Elasticsearch at http://127\.0\.0\.1:9: ") as failure:
        store.search("christmas-logs-*", {})
    assert "secret" not in str(failure.value)


def test_a_request_outside_the_subset_never_leaves_this_process() -> None:
    with pytest.raises(QueryError, match="unknown or unsupported query"):
        ElasticsearchStore.open(Settings(elasticsearch_url=CLOSED)).search("christmas-logs-*", {"query": {"knn": {}}})
