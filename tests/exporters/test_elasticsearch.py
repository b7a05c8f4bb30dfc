"""Lines into a real Elasticsearch: the pipeline's indices and ids, once each, whatever stands in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from python_shipper.agent import dead_letters
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.exporters import ExportError, Line, UnavailableError
from python_shipper.exporters.delivery import Deliverer, Limits
from python_shipper.exporters.elasticsearch import Document, ElasticsearchExporter
from tests.exporters.cluster import Cluster
from tests.exporters.proxy import FailingProxy, failing
from tests.stack import elasticsearch as engine

pytestmark = pytest.mark.slow
QUICK = Limits(items=50, first_pause_seconds=0.01, most_pause_seconds=0.05)


@pytest.fixture(scope="module")
def cluster(elasticsearch: engine.Server) -> Iterator[Cluster]:
    with closing(Cluster(elasticsearch, "exported")) as cluster:
        yield cluster


@pytest.fixture
def proxy(elasticsearch: engine.Server) -> Iterator[FailingProxy]:
    with failing(elasticsearch.url, elasticsearch.authority) as proxy:
        proxy.where = "_bulk"
        yield proxy


@pytest.fixture
def exporter(cluster: Cluster, proxy: FailingProxy, tmp_path: Path) -> Iterator[ElasticsearchExporter]:
    client = cluster.client(proxy.url)
    with closing(ElasticsearchExporter(client, proxy.url, dead_letters.Spool(tmp_path / "letters"))) as exporter:
        yield exporter


def lines(count: int, service: str = "exported") -> list[Line]:
    at_ms = now_ms()
    events = [
        {
            "@timestamp": iso(at_ms - number % 5),
            "log.level": "info",
            "message": f"line {number}",
            "ecs.version": "9.4.0",
            "service": {"name": service},
            "event": {"id": new_ulid(at_ms)},
        }
        for number in range(count)
    ]
    return [Line(orjson.dumps(each), Source("/l/x.ecs.log", "f" * 64, n * 99), at_ms) for n, each in enumerate(events)]


def deliver(exporter: ElasticsearchExporter, given: Sequence[Line]) -> Deliverer[Line, Document]:
    deliverer = Deliverer(exporter, QUICK, patience_seconds=20)
    deliverer.deliver(map(exporter.encode, given))
    return deliverer


def test_same_index_id_and_document_as_the_pipelines(exporter: ElasticsearchExporter, cluster: Cluster) -> None:
    given = lines(120)
    first = deliver(exporter, given)
    again = deliver(exporter, given)
    assert (first.counts["stored"], first.counts["known"]) == (120, 0)
    assert (again.counts["stored"], again.counts["known"]) == (0, 120)
    expected = {r.id: (r.index, r.document) for r in (Pipeline().process(*line) for line in given)}
    assert {each: cluster.documents()[each] for each in expected} == expected


@pytest.mark.parametrize("fault", ["429", "503", "500", "drop", "lost", "truncated", "partial", "slow"])
def test_every_fault_ends_with_the_same_set(
    exporter: ElasticsearchExporter, cluster: Cluster, proxy: FailingProxy, fault: str
) -> None:
    given = lines(100)
    before = cluster.documents().keys()
    proxy.planned.extend([fault, fault])
    deliverer = deliver(exporter, given)
    assert proxy.struck[fault] == 2
    ids = [json.loads(line.raw)["event"]["id"] for line in given]
    assert cluster.documents().keys() - before == set(ids)
    assert deliverer.counts["stored"] + deliverer.counts["known"] == 100


def test_what_the_mapping_refuses_is_a_dead_letter_of_its_own(
    exporter: ElasticsearchExporter, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    index = cluster.strict_index("exported-strict")  # a mapping that is not ours: `message` is a number there
    good, (bad,) = lines(3), lines(1, "exported-strict")
    deliverer = deliver(exporter, [*good[:2], bad, good[2]])
    assert (deliverer.counts["stored"], deliverer.counts["refused"]) == (4, 1)
    routed = Pipeline().refused(bad.raw, bad.source, index, bad.at_ms)
    stored = cluster.documents(routed.index)[routed.id]
    assert stored == (routed.index, routed.document)
    assert stored[1]["christmas"]["dead_letter"] == {"reason": "mapping", "index": index}
    assert exporter.letters is not None
    exporter.letters.ask(None)
    assert exporter.letters.asked(10) == [(routed.id, bad.raw, bad.source)]
    assert "1 documents were refused and are dead letters" in caplog.text


def test_dead_letters_of_the_pipeline_keep_their_first_index(exporter: ElasticsearchExporter, cluster: Cluster) -> None:
    today, tomorrow = now_ms(), now_ms() + 86_400_000
    rubbish = Line(b"no json at all " + new_ulid().encode(), Source("/l/x.ecs.log", "f" * 64, 5), today)
    deliver(exporter, [rubbish])
    again = deliver(exporter, [rubbish._replace(at_ms=tomorrow)])
    assert again.counts["known"] == 1
    routed = Pipeline().process(*rubbish)
    assert cluster.documents("christmas-dead-letters-*")[routed.id][0] == routed.index


def test_a_request_too_large_is_halved(exporter: ElasticsearchExporter, cluster: Cluster, proxy: FailingProxy) -> None:
    proxy.planned.extend(["413", "413", None, "413"])
    given = lines(40)
    assert deliver(exporter, given).counts["stored"] == 40
    assert proxy.struck["413"] == 3
    single = lines(1)
    proxy.planned.append("413")
    assert deliver(exporter, single).counts == {"stored": 1, "known": 0, "refused": 1}
    letter = Pipeline().refused(single[0].raw, single[0].source, cluster.index, single[0].at_ms)
    assert letter.id in cluster.documents(letter.index)


def test_what_no_line_is_to_blame_for_is_an_error(exporter: ElasticsearchExporter, cluster: Cluster) -> None:
    index = cluster.strict_index("exported-closed")
    cluster.api.call("POST", f"/{index}/_close")
    with pytest.raises(ExportError, match=r"exported-closed.*index_closed_exception"):
        deliver(exporter, lines(1, "exported-closed"))


def test_a_user_without_the_right_is_an_error(elasticsearch: engine.Server, cluster: Cluster) -> None:
    client = cluster.client(elasticsearch.url, user="logs_viewer")
    with closing(ElasticsearchExporter(client, elasticsearch.url)) as exporter, pytest.raises(ExportError, match="403"):
        deliver(exporter, lines(1))


def test_logstash_s_role_is_enough(elasticsearch: engine.Server, cluster: Cluster) -> None:
    client = cluster.client(elasticsearch.url, user="logstash_writer")
    with closing(ElasticsearchExporter(client, elasticsearch.url)) as exporter:
        assert deliver(exporter, lines(5)).counts["stored"] == 5


def test_patience_with_a_destination_that_stays_down(exporter: ElasticsearchExporter, proxy: FailingProxy) -> None:
    proxy.down = True
    deliverer = Deliverer(exporter, QUICK, patience_seconds=0.1)
    with pytest.raises(UnavailableError):
        deliverer.deliver(map(exporter.encode, lines(1)))


def test_templates_are_required(exporter: ElasticsearchExporter, cluster: Cluster) -> None:
    exporter.require_templates()
    words = "no index template christmas-dead-letters; run shipper stack apply"
    with cluster.without_template("christmas-dead-letters"), pytest.raises(ExportError, match=words):
        exporter.require_templates()
    exporter.require_templates()
