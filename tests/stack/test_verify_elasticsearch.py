"""`shipper verify` where Elasticsearch is the store and there is no ledger: stored, dead, missing by id, unread."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from python_shipper.agent.pipeline import Pipeline, Routed, Source
from python_shipper.agent.tail import Tail
from python_shipper.agent.verify import verify
from python_shipper.core.clock import now_ms
from python_shipper.core.handlers import FilesHandler
from python_shipper.settings import Settings
from python_shipper.stack import elk
from tests.stack import elasticsearch as engine

pytestmark = pytest.mark.slow
SERVICE = "verified"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = dataclasses.replace(Settings(), data_dir=tmp_path / "data", log_dir=tmp_path / "logs")
    return dataclasses.replace(made, log_max_bytes=30_000, log_backup_count=2)


def documents(settings: Settings) -> list[Routed]:
    """What the pipeline makes of the lines that stand in the files now."""
    tail, found = Tail([settings.log_dir]), []
    tail.scan()
    while ready := tail.ready():
        for segment in ready:
            for line in tail.read(segment):
                source = Source(segment.path, segment.fingerprint, line.offset)
                found.append(Pipeline().process(line.raw, source, now_ms()))
    tail.close()
    return found


@pytest.fixture
def index(elasticsearch: engine.Server) -> Iterator:
    """Puts documents into the cluster, once each by id."""
    api, names = elasticsearch.api(), set()

    def put(routed: list[Routed]) -> None:
        pairs = [({"create": {"_index": r.index, "_id": r.id}}, r.document) for r in routed]
        lines = "".join(json.dumps(part) + "\n" for pair in pairs for part in pair)
        answer = api.send("POST", "/_bulk?refresh=true", lines.encode(), {"Content-Type": "application/x-ndjson"})
        assert {item["create"]["status"] for item in answer["items"]} <= {201, 409}
        names.update(r.index for r in routed)

    yield put
    for name in names:
        api.call("DELETE", f"/{name}")


def test_every_line_is_accounted_for(elasticsearch: engine.Server, settings: Settings, index) -> None:
    handler = FilesHandler(SERVICE, settings.log_dir, daily=False, settings=settings)

    def write(count: int) -> None:
        for number in range(count):
            handler.handle(logging.LogRecord("t", logging.INFO, "f", 1, f"line {number} {'x' * 100}", None, None))

    write(150)
    with (settings.log_dir / f"{SERVICE}.ecs.log").open("a") as file:
        file.write("not json\n")
    index(documents(settings))
    with closing(elk.store_at(elasticsearch.api())) as store:
        (before,) = verify(settings, store, patience_seconds=0)
        assert (before.difference, before.missing, before.unread, before.dead_lettered) == (0, (), 0, 1)
        assert before.stored == before.written - 1 > 150
        write(400)  # most of it is rotated away before anyone reads it
        left = documents(settings)
        index(left[:-3])
        (after,) = verify(settings, store, patience_seconds=0)
    handler.close()
    assert after.missing == tuple(routed.id for routed in left[-3:])
    assert after.difference == 3
    assert after.unread > 100
    assert after.written == after.stored + after.dead_lettered + after.unread + 3
