"""Where ``enable_remote_logging`` sends a service's lines, from an address and the folder of certificates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from python_shipper.core.config import files_handler
from python_shipper.core.names import index_part
from python_shipper.errors import ConfigurationError
from python_shipper.exporters import Exporter, Line
from python_shipper.exporters.beats import BeatsExporter, hosts_of, tls_of
from python_shipper.exporters.remote import RemoteHandler
from python_shipper.settings import Settings

EXPECTED = "expected beats://host:5044 (Logstash) or https://host:9200 (Elasticsearch)"


@dataclass(frozen=True, slots=True)
class Remote:
    """A destination whose address and certificates were found to be in order; nothing is connected yet."""

    make: Callable[[], Exporter[Line, Any]]

    @classmethod
    def of(cls, settings: Settings, url: str | None) -> Remote:
        """The destination at ``url``, else REMOTE_LOG_URL, else ELASTICSEARCH_URL.

        Raises:
            ConfigurationError: there is none, it is no such address, or a certificate cannot be read.
        """
        url = url or settings.remote_log_url or settings.elasticsearch_url
        if not url:
            raise ConfigurationError("enable_remote_logging: where to is not set; set REMOTE_LOG_URL or remote_url")
        scheme = url.partition("://")[0]
        if scheme == "beats":
            hosts, tls = hosts_of(url), tls_of(settings.secrets_dir)
            return cls(lambda: BeatsExporter(hosts, tls))
        if scheme in ("http", "https"):
            settings = dataclasses.replace(settings, elasticsearch_url=url)
            to_elasticsearch(settings).close()
            return cls(lambda: to_elasticsearch(settings))
        raise ConfigurationError(f"enable_remote_logging: {scheme:.40}: {EXPECTED}; correct the address")

    def handler(self, settings: Settings, files: bool) -> RemoteHandler:
        """The handler of a service's lines, with its files or without."""
        made = RemoteHandler(
            service=settings.service_name,
            directory=settings.log_dir,
            settings=settings,
            destination=self.make,
            spool=settings.data_dir / "remote" / index_part(settings.service_name),
            files=files,
        )
        plain = files_handler(settings)
        made.setFormatter(plain.formatter)
        plain.close()
        return made


def to_elasticsearch(settings: Settings) -> Exporter[Line, Any]:
    """The exporter to the cluster at ELASTICSEARCH_URL.

    Raises:
        ConfigurationError: it is no address, or the client is not installed.
    """
    try:
        from python_shipper.exporters.elasticsearch import ElasticsearchExporter
        from python_shipper.store.elasticsearch import ElasticsearchStore
    except ImportError as error:
        needed = "pip install 'python-shipper[elasticsearch]'"
        raise ConfigurationError(f"enable_remote_logging: the client is not installed; {needed}") from error
    store = ElasticsearchStore.open(settings)
    return ElasticsearchExporter(store.client, store.where)
