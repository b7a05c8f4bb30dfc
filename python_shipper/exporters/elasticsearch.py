"""Puts lines into Elasticsearch as Filebeat and Logstash do: same index, same id, same document, created once.

The pipeline decides all three from the raw line, so what was there already is answered with 409 and counted, never
doubled. What the mapping refuses becomes a dead letter, item by item: its raw bytes in the agent's form of spool, its
masked text in ``christmas-dead-letters-*``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError

from python_shipper.agent.dead_letters import PREFIX, Letter, Spool
from python_shipper.agent.pipeline import Pipeline, Routed
from python_shipper.core.clock import now_ms
from python_shipper.exporters import Answer, ExportError, Line, UnavailableError

TEMPLATES = ("christmas-logs", "christmas-dead-letters")
ANSWER_SECONDS = 30
KNOWN, TOO_LARGE = 409, 413
AWAY = {408, 429, 500, 502, 503, 504}
# What Elasticsearch says when a document itself is wrong; any other 400 is about the cluster (too many shards, a closed
# index), and no line is to blame for it.
DOCUMENT_FAULTS = {
    "document_parsing_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
    "illegal_argument_exception",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Document:
    """One document on its way; ``line`` is what it was made of."""

    index: str
    id: str
    body: bytes
    line: Line

    @property
    def size(self) -> int:
        """Bytes in a bulk request, about."""
        return len(self.body) + len(self.index) + 60

    @property
    def is_letter(self) -> bool:
        """Whether it belongs to the dead letters."""
        return self.index.startswith(PREFIX)

    def operations(self) -> tuple[bytes, bytes]:
        """Its two lines of a bulk request."""
        return orjson.dumps({"create": {"_index": self.index, "_id": self.id}}), self.body


class ElasticsearchExporter:
    """The :class:`~python_shipper.exporters.Exporter` of lines into a cluster."""

    def __init__(
        self, client: Elasticsearch, where: str, letters: Spool | None = None, pipeline: Pipeline | None = None
    ) -> None:
        """Send through ``client``; ``where`` names it to people, ``letters`` keeps the raw bytes of dead letters.

        Both are closed with the exporter.
        """
        self.client = client.options(request_timeout=ANSWER_SECONDS, max_retries=0, retry_on_timeout=False)
        self.where, self.letters = where, letters
        self.pipeline = pipeline or Pipeline()

    def require_templates(self) -> None:
        """See to it that the cluster has our index templates: without them it guesses types, and nothing expires.

        Raises:
            ExportError: one is not there, or the cluster does not answer.
        """
        try:
            missing = [name for name in TEMPLATES if not self.client.indices.exists_index_template(name=name)]
        except (ApiError, TransportError) as error:
            raise ExportError(f"Elasticsearch at {self.where}: {said(error)}; check ELASTICSEARCH_URL") from error
        if missing:
            what = f"Elasticsearch at {self.where}: no index template {missing[0]}"
            raise ExportError(f"{what}; run shipper stack apply, or insist with --without-template")

    def encode(self, given: Line) -> Document:
        """See :meth:`python_shipper.exporters.Exporter.encode`."""
        return document(self.pipeline.process(given.raw, given.source, given.at_ms), given)

    def export(self, items: Sequence[Document]) -> Answer[Document]:
        """See :meth:`python_shipper.exporters.Exporter.export`."""
        placed = self.placed(items)
        try:
            answer = self.client.bulk(
                operations=[part for item in placed for part in item.operations()],  # type: ignore[misc]  # bytes pass as they are
                filter_path="items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason",
            )
        except ApiError as error:
            return self.failed(items, error)
        except TransportError as error:
            raise UnavailableError(f"Elasticsearch at {self.where}: {said(error)}") from error
        results = [result for entry in answer.get("items", []) for result in entry.values()]
        if len(results) != len(items):
            raise UnavailableError(f"Elasticsearch at {self.where}: answered for {len(results)} of {len(items)} items")
        return self.judged(items, results)

    def placed(self, items: Sequence[Document]) -> list[Document]:
        """The items, dead letters among them after their raw bytes were kept, in the index where they were first."""
        letters = [item for item in items if item.is_letter]
        if not letters or self.letters is None:
            return list(items)
        kept = self.letters.keep(
            [Letter(i.line.raw, i.line.source, Routed(i.index, i.id, orjson.loads(i.body))) for i in letters], now_ms()
        )
        places = {routed.id: routed.index for routed in kept}
        return [Document(places[item.id], item.id, item.body, item.line) if item.is_letter else item for item in items]

    def failed(self, items: Sequence[Document], error: ApiError) -> Answer[Document]:
        """What an error for the whole request means: later, in smaller parts, or never."""
        status = error.status_code
        if status in AWAY:
            raise UnavailableError(f"Elasticsearch at {self.where}: {said(error)}", retry_after(error)) from error
        if status == TOO_LARGE and len(items) > 1:
            middle = len(items) // 2
            first, second = self.export(items[:middle]), self.export(items[middle:])
            return Answer(
                [*first.stored, *second.stored],
                [*first.known, *second.known],
                [*first.refused, *second.refused],
                [*first.again, *second.again],
            )
        if status == TOO_LARGE:
            return Answer(refused=[(items[0], f"{items[0].size} bytes are more than the cluster takes")])
        raise ExportError(f"Elasticsearch at {self.where}: {said(error)}") from error

    def judged(self, items: Sequence[Document], results: Sequence[dict[str, Any]]) -> Answer[Document]:
        """The answer, item by item.

        Raises:
            ExportError: an item was refused for a reason that is not the item's.
        """
        stored, known, refused, again = [], [], [], []
        for item, result in zip(items, results, strict=True):
            status, error = result["status"], result.get("error", {})
            if status < 300:
                stored.append(item)
            elif status == KNOWN:
                known.append(item)
            elif status in AWAY:
                again.append((item, f"Elasticsearch at {self.where}: {item.index}: {status} {reason(error)}"))
            elif status == 400 and error.get("type") in DOCUMENT_FAULTS:
                refused.append((item, reason(error)))
            else:
                raise ExportError(f"Elasticsearch at {self.where}: {item.index}: {status} {reason(error)}")
        return Answer(stored, known, refused, again)

    def refused(self, refusals: Sequence[tuple[Document, str]]) -> list[Document]:
        """See :meth:`python_shipper.exporters.Exporter.refused`: the dead letters of what the mapping refused."""
        letters = []
        for item, why in refusals:
            raw, source, at_ms = item.line
            if item.is_letter:  # its raw bytes are kept; there is no further place for its text
                log.error("%s at byte %d: its dead letter was refused: %s", source.path, source.offset, why)
                continue
            letters.append(document(self.pipeline.refused(raw, source, item.index, at_ms), item.line))
        if letters:
            log.warning("%d documents were refused and are dead letters, such as: %s", len(letters), refusals[0][1])
        return letters

    def close(self) -> None:
        """See :meth:`python_shipper.exporters.Exporter.close`."""
        self.client.close()
        if self.letters is not None:
            self.letters.close()


def document(routed: Routed, line: Line) -> Document:
    """The document that the pipeline made of a line."""
    return Document(routed.index, routed.id, orjson.dumps(routed.document), line)


def retry_after(error: ApiError) -> float | None:
    """The seconds that a 429 or 503 asks to wait, where it says so in seconds."""
    asked = str(error.meta.headers.get("retry-after", ""))
    return float(asked) if asked.isdecimal() else None


def reason(error: dict[str, Any]) -> str:
    """Why an item was refused, with the deepest cause that is named."""
    cause = (error.get("caused_by") or {}).get("reason")
    return f"{error.get('type', 'no reason')}: {error.get('reason', '')}{f' ({cause})' if cause else ''}"[:500]


def said(error: Exception) -> str:
    """A client's error in one line."""
    return " ".join(str(error).split())[:300]
