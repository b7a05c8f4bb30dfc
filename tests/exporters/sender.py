"""A program that delivers a file's lines through a spool, and can be killed at any moment; run by the fault tests.

    sender.py SOURCE FOLDER URL LINES_PER_SECOND

``FOLDER/count`` says how many lines were put; the line that a kill leaves between the two is put again, with its id.
"""

from __future__ import annotations

import sys
import time
from hashlib import sha256
from pathlib import Path

from elasticsearch import Elasticsearch

from python_shipper.agent.dead_letters import Spool as Letters
from python_shipper.agent.pipeline import Source
from python_shipper.agent.segment import HEAD
from python_shipper.core.clock import now_ms
from python_shipper.exporters import Line
from python_shipper.exporters.delivery import Delivery, Limits
from python_shipper.exporters.elasticsearch import ElasticsearchExporter
from python_shipper.exporters.spool import Spool
from python_shipper.settings import Settings
from python_shipper.store.elasticsearch import ElasticsearchStore


def main(source: Path, folder: Path, url: str, rate: float) -> None:
    client: Elasticsearch = ElasticsearchStore.open(Settings(elasticsearch_url=url)).client
    exporter = ElasticsearchExporter(client, "the test's cluster", Letters(folder / "letters"))
    delivery = Delivery(exporter, Spool.slot(folder / "spool"), Limits(items=100, most_pause_seconds=1.0))
    delivery.start()
    fingerprint = sha256(source.read_bytes()[:HEAD]).hexdigest()
    count = folder / "count"
    done = int(count.read_text()) if count.exists() else 0
    began = time.monotonic()
    for sent, (number, offset, raw) in enumerate(numbered(source, done)):
        delivery.put(Line(raw, Source(str(source), fingerprint, offset), now_ms()))
        note = count.with_name("count.new")
        note.write_text(str(number + 1))
        note.replace(count)
        time.sleep(max(0.0, began + sent / rate - time.monotonic()))
    while delivery.spool.waiting:
        time.sleep(0.05)
    delivery.close()


def numbered(source: Path, start: int) -> list[tuple[int, int, bytes]]:
    found, offset = [], 0
    for number, raw in enumerate(source.read_bytes().splitlines(keepends=True)):
        if number >= start:
            found.append((number, offset, raw.removesuffix(b"\n")))
        offset += len(raw)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
