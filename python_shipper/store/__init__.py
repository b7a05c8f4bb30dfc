"""One way to ask for logs, whichever engine keeps them: Elasticsearch's `_search` JSON in, its response JSON out.

``store.tantivy`` answers from the embedded store on local disk, ``store.elasticsearch`` from a cluster. Both take the
same subset, and refuse the rest with a :class:`~python_shipper.errors.QueryError` rather than answer wrongly:

- queries: ``match_all``, ``match_none``, ``bool`` (must, filter, should, must_not, minimum_should_match), ``term``,
  ``terms``, ``match``, ``match_phrase``, ``range``, ``prefix``, ``exists``, ``ids``, ``query_string``
- aggregations: ``date_histogram`` (fixed_interval), ``histogram``, ``terms``, ``percentiles``, ``cardinality``,
  ``stats``, ``min``, ``max``, ``avg``, ``sum``, ``value_count``, ``filters``, nested in each other
- ``from``, ``size`` (together at most 10,000), ``sort`` by ``@timestamp`` or ``event.id``, ``search_after``,
  ``highlight``, ``_source`` filtering, ``track_total_hits``

Hits come sorted by ``event.id``, which is to say by time, never by score. Percentiles of the embedded store lie within
0.8 % of the exact ones and its cardinality is exact; Elasticsearch estimates both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

LOGS = "christmas-logs-*"
DEAD_LETTERS = "christmas-dead-letters-*"


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One index: its name, number of documents, and size on disk in bytes (a share of its day's, when embedded)."""

    name: str
    documents: int
    size_bytes: int


class Store(Protocol):
    """What every engine answers."""

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The `_search` response for ``body`` over the indices that match ``index`` (a name, pattern, or comma list).

        Raises:
            QueryError: ``body`` is malformed or outside the supported subset.
            StoreError: the engine cannot be read.
        """

    def indices(self, pattern: str = "christmas-*") -> list[IndexInfo]:
        """The indices that match ``pattern``, by name."""

    def close(self) -> None:
        """Release files and connections."""


def open_store(settings: Settings) -> Store:
    """The store that ``settings`` point at: ELASTICSEARCH_URL (or STACK=elk) means Elasticsearch, else the embedded.

    Raises:
        ConfigurationError: the engine's packages are not installed, or STACK=elk names no address.
        StoreError: the engine cannot be opened.
    """
    elk = settings.stack == "elk" or (settings.stack is None and settings.elasticsearch_url)
    if elk and not settings.elasticsearch_url:
        raise ConfigurationError("ELASTICSEARCH_URL: not set, and STACK=elk reads from it; set its address")
    try:
        if elk:
            from python_shipper.store.elasticsearch import ElasticsearchStore
        else:
            from python_shipper.store.tantivy import TantivyStore
    except ImportError as error:
        extra = "elasticsearch" if elk else "embedded"
        raise ConfigurationError(
            f"the log store needs {error.name}, which is not installed; pip install 'python-shipper[{extra}]'"
        ) from error
    return ElasticsearchStore.open(settings) if elk else TantivyStore.open(settings.data_dir)
