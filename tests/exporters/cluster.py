"""What tests ask of the real Elasticsearch: documents of one service's index, and clients for its users."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from elasticsearch import Elasticsearch

from python_shipper.core import names
from python_shipper.core.clock import now_ms
from python_shipper.stack.api import RefusedError
from tests.stack import elasticsearch as engine

PAGE = 5_000


class Cluster:
    """One service's part of a server; its indices are deleted by :meth:`close`."""

    def __init__(self, server: engine.Server, service: str) -> None:
        self.server, self.service, self.api = server, service, server.api()
        self.index = names.log_index(service, now_ms())
        self.strict: list[str] = []

    def client(self, url: str, user: str | None = None) -> Elasticsearch:
        """The official client at ``url``, as ``user`` or as one who may do everything."""
        api = self.server.api(user)
        tls = {"ssl_context": api.tls()} if url.startswith("https") else {}
        return Elasticsearch(url, headers=api.signed_in(), **tls)

    def address(self, url: str) -> str:
        """``url`` with the user who may do everything in it, as ELASTICSEARCH_URL takes it."""
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{quote(self.server.admin, safe='')}:{quote(self.server.password, safe='')}@{rest}"

    def documents(self, index: str | None = None) -> dict[str, tuple[str, dict[str, Any]]]:
        """Id → index and document; a doubled id is an error."""
        index = index or f"christmas-logs-{self.service}-*"
        self.api.call("POST", f"/{index}/_refresh?ignore_unavailable=true")
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            body = {"size": PAGE, "sort": [{"event.id": "asc"}], "query": {"match_all": {}}} | after
            hits = self.api.call("POST", f"/{index}/_search?ignore_unavailable=true", body)["hits"]["hits"]
            found += hits
            if len(hits) < PAGE:
                break
            after = {"search_after": hits[-1]["sort"]}
        assert len({hit["_id"] for hit in found}) == len(found), "duplicates"
        return {hit["_id"]: (hit["_index"], hit["_source"]) for hit in found}

    def strict_index(self, service: str) -> str:
        """Today's index of ``service``, made with a mapping that takes numbers for messages only."""
        index = names.log_index(service, now_ms())
        self.strict.append(index)
        self.delete(index)
        self.api.call("PUT", f"/{index}", {"mappings": {"properties": {"message": {"type": "long"}}}})
        return index

    @contextmanager
    def without_template(self, name: str) -> Iterator[None]:
        """The cluster without one of its index templates."""
        self.api.call("DELETE", f"/_index_template/{name}")
        try:
            yield
        finally:
            self.server.apply()

    def delete(self, index: str) -> None:
        """Delete an index, if it is there."""
        with contextlib.suppress(RefusedError):
            self.api.call("DELETE", f"/{index}")

    def close(self) -> None:
        """Delete what the tests made."""
        for index in {index for index, _ in self.documents().values()} | set(self.strict):
            self.delete(index)
