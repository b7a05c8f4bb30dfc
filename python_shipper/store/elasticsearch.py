"""Elasticsearch as the store: the same requests, sent to a cluster after the same checks."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from elasticsearch import ApiError, Elasticsearch, TransportError

from python_shipper.errors import ConfigurationError, QueryError, StoreError
from python_shipper.settings import Settings
from python_shipper.store import IndexInfo, request
from python_shipper.store.buckets import show_parts
from python_shipper.store.days import Pattern

ANSWER_SECONDS = 60


class ElasticsearchStore:
    """The :class:`~python_shipper.store.Store` of a cluster."""

    def __init__(self, client: Elasticsearch, where: str) -> None:
        self.client, self.where = client, where

    @classmethod
    def open(cls, settings: Settings) -> ElasticsearchStore:
        """The store at ``ELASTICSEARCH_URL``; credentials may stand in the address.

        Its certificate is checked by our own authority where ``secrets_dir`` has one, else by the system's.

        Raises:
            ConfigurationError: the address is none.
        """
        url = urlsplit(str(settings.elasticsearch_url))
        if url.scheme not in ("http", "https"):
            raise ConfigurationError("ELASTICSEARCH_URL: must begin with https:// or http://")
        authority = settings.secrets_dir / "ca.crt"
        options: dict[str, Any] = {"headers": signed_in(url)}
        if url.scheme == "https" and authority.exists():
            options["ca_certs"] = str(authority)
        where = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
        try:
            return cls(Elasticsearch(where, request_timeout=ANSWER_SECONDS, **options), where)
        except ValueError as error:
            raise ConfigurationError(f"ELASTICSEARCH_URL: {error}; e.g. https://localhost:9200") from error

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :meth:`python_shipper.store.Store.search`."""
        Pattern.parse(index)
        asked, sent = request.parse(body), request.sent(body)
        try:
            answer = self.client.search(index=index, body=sent, ignore_unavailable=True, allow_no_indices=True)
        except ApiError as error:
            raise QueryError(reason(error)) if error.status_code == 400 else self.failure(error) from error
        except TransportError as error:
            raise self.failure(error) from error
        found = dict(answer.body)
        found["hits"]["max_score"] = None  # a number, 0, where it looked into no index at all
        if asked.aggs:
            found.setdefault("aggregations", show_parts({}, asked.aggs))  # it leaves them out then, too
        return found

    def indices(self, pattern: str = "christmas-*") -> list[IndexInfo]:
        """See :meth:`python_shipper.store.Store.indices`."""
        Pattern.parse(pattern)
        columns = ["index", "docs.count", "store.size"]
        try:
            rows: Any = self.client.cat.indices(
                index=pattern, format="json", bytes="b", h=columns, expand_wildcards="open"
            )
        except (ApiError, TransportError) as error:
            raise self.failure(error) from error
        found = [IndexInfo(row["index"], int(row["docs.count"] or 0), int(row["store.size"] or 0)) for row in rows]
        return sorted(found, key=lambda info: info.name)

    def failure(self, error: Exception) -> StoreError:
        """What a person is told when the cluster does not answer as it should."""
        return StoreError(f"Elasticsearch at {self.where}: {error}")

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def signed_in(url: SplitResult) -> dict[str, str]:
    """The header for the credentials in an address; the client itself would refuse a password beyond ASCII."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def reason(error: ApiError) -> str:
    """The cause that Elasticsearch names for refusing a request."""
    body = error.body if isinstance(error.body, dict) else {}
    cause = body.get("error", {})
    roots = cause.get("root_cause") if isinstance(cause, dict) else None
    return str(roots[0].get("reason", error)) if roots else str(error)
