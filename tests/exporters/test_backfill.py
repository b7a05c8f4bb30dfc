"""`shipper backfill`: files of every form into a real cluster, resumable, twice without a difference."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from python_shipper import cli
from python_shipper.agent.pipeline import Pipeline, Source
from python_shipper.agent.segment import HEAD, fingerprint_of
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import ConfigurationError
from python_shipper.exporters.backfill import found
from tests.cli.conftest import Said
from tests.exporters.cluster import Cluster
from tests.exporters.proxy import FailingProxy, failing
from tests.stack import elasticsearch as engine

SERVICE = "backfilled"
Shipper = Callable[..., Said]


def event(number: int, age_ms: int = 0) -> bytes:
    at_ms = now_ms() - age_ms
    body = {"@timestamp": iso(at_ms), "log.level": "info", "message": f"line {number}", "ecs.version": "9.4.0"}
    return orjson.dumps(body | {"service": {"name": SERVICE}, "event": {"id": new_ulid(at_ms)}}) + b"\n"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Lines with ids, plain and packed; lines without; a line without end; rubbish; lines past retention."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "backfilled.ecs.log.000001").write_bytes(b"".join(map(event, range(300))))
    (folder / "backfilled.ecs.log.000002.gz").write_bytes(gzip.compress(b"".join(map(event, range(300, 400)))))
    flat = [{"timestamp": iso(now_ms()), "service": SERVICE, "message": f"flat {number}"} for number in range(50)]
    (folder / "backfilled.1.ecs.log.000001").write_bytes(b"\n".join(map(orjson.dumps, flat)))
    (folder / "backfilled.ecs.log").write_bytes(
        event(400) + b"not json, of " + new_ulid().encode() + b"\n" + event(401, 40 * 86_400_000)
    )
    return folder


def test_arguments_name_files_folders_and_patterns(logs: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in found([str(logs)]))
    assert names == sorted(path.name for path in logs.iterdir())
    (logs / "notes.txt").write_text("x")
    assert sorted(path.name for path in found([str(logs)])) == names
    assert [path.name for path in found([f"{logs}/*.gz", str(logs / "notes.txt"), f"{logs}/*.gz"])] == [
        "backfilled.ecs.log.000002.gz",
        "notes.txt",
    ]
    (tmp_path / "empty").mkdir()
    for wrong, words in ((tmp_path / "empty", r"holds no \*.ecs.log"), (tmp_path / "none*", "no file matches it")):
        with pytest.raises(ConfigurationError, match=words):
            found([str(wrong)])


@pytest.fixture(scope="module")
def cluster(elasticsearch: engine.Server) -> Iterator[Cluster]:
    with closing(Cluster(elasticsearch, SERVICE)) as cluster:
        yield cluster


@pytest.fixture
def proxy(elasticsearch: engine.Server) -> Iterator[FailingProxy]:
    with failing(elasticsearch.url, elasticsearch.authority) as proxy:
        yield proxy


@pytest.fixture
def shipper(
    cluster: Cluster,
    proxy: FailingProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Shipper:
    for name, text in (("ELASTICSEARCH_URL", cluster.address(proxy.url)), ("DATA_DIR", tmp_path / "data")):
        monkeypatch.setenv(name, str(text))

    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        return Said(code, *capfd.readouterr())

    return run


@pytest.mark.slow
def test_every_line_arrives_once_as_the_agent_would_have_it(shipper: Shipper, logs: Path, cluster: Cluster) -> None:
    said = shipper("backfill", str(logs))
    words = "453 lines of 4 files: 453 stored, 0 there already, 2 dead letters, 1 of them expired\n"
    assert (said.code, said.out, said.err) == (0, words, "")
    expected = {}
    for path in logs.iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        fingerprint, offset = fingerprint_of(content[:HEAD], (0, 0)), 0
        for raw in content.splitlines(keepends=True):
            routed = Pipeline().process(raw, Source(str(path), fingerprint, offset), now_ms())
            expected[routed.id] = routed
            offset += len(raw)
    letters = {each for each, routed in expected.items() if "dead-letters" in routed.index}
    stored = cluster.documents()
    assert stored == {each: (r.index, r.document) for each, r in expected.items() if each not in letters}
    assert letters <= cluster.documents("christmas-dead-letters-*").keys()


@pytest.mark.slow
def test_a_second_run_does_nothing_and_growth_is_taken(shipper: Shipper, logs: Path, proxy: FailingProxy) -> None:
    assert shipper("backfill", str(logs)).code == 0
    proxy.where, proxy.down = "nothing", False
    nothing = "0 lines of 4 files: 0 stored, 0 there already, 0 dead letters\n"
    assert shipper("backfill", str(logs)).out == nothing
    for path in logs.iterdir():  # moved elsewhere, still the same
        path.rename(path.with_name(path.name.replace("backfilled", "renamed")))
    assert shipper("backfill", str(logs)).out == nothing
    with (logs / "renamed.ecs.log").open("ab") as file:
        file.write(event(1000))
    assert shipper("backfill", str(logs), "--quiet").out == ""
    said = shipper("backfill", str(logs), "--again", "--json")
    assert json.loads(said.out) == {
        "files": 4, "lines": 454, "stored": 0, "known": 454, "dead_letters": 2, "expired": 1, "unreadable": {}
    }  # fmt: skip


@pytest.mark.slow
def test_without_the_template_it_refuses_unless_told(shipper: Shipper, logs: Path, cluster: Cluster) -> None:
    with cluster.without_template("christmas-logs"):
        said = shipper("backfill", str(logs))
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert "no index template christmas-logs; run shipper stack apply, or insist with" in said.err
        (logs / "untemplated.ecs.log").write_bytes(event(1).replace(b'"backfilled"', b'"backfilled-raw"'))
        assert shipper("backfill", str(logs / "untemplated.ecs.log"), "--without-template").code == 0
    (mapped,) = cluster.api.call("GET", "/christmas-logs-backfilled-raw-*/_mapping").values()
    assert mapped["mappings"]["properties"]["message"]["fields"]  # guessed: what the template is for
    cluster.delete("christmas-logs-backfilled-raw-*")


@pytest.mark.slow
def test_what_is_wrong_is_one_line(shipper: Shipper, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (logs / "torn.ecs.log.000001.gz").write_bytes(gzip.compress(event(1) * 50)[:-20])
    said = shipper("backfill", str(logs), "--quiet")
    assert (said.code, said.out) == (2, "")
    assert re.search(r"torn.ecs.log.000001.gz: cannot be read: .*; mend it and run", said.err.splitlines()[-1])
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://127.0.0.1:9")
    said = shipper("backfill", str(logs))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "check ELASTICSEARCH_URL" in said.err
    monkeypatch.setenv("ELASTICSEARCH_URL", "")
    monkeypatch.setenv("STACK", "embedded")
    assert "ELASTICSEARCH_URL: not set, and backfill sends to Elasticsearch" in shipper("backfill", str(logs)).err


@pytest.mark.slow
def test_ctrl_c_is_safe_and_the_next_run_goes_on(
    shipper: Shipper, logs: Path, cluster: Cluster, proxy: FailingProxy, tmp_path: Path
) -> None:
    big = tmp_path / "big.log"
    lines = [event(number) for number in range(20_000)]
    big.write_bytes(b"".join(lines))
    proxy.where, proxy.likely, proxy.chance, proxy.slow_seconds = "_bulk", ["slow"], 1.0, 0.5
    command = [sys.executable, "-m", "python_shipper", "backfill", str(big)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while proxy.struck["slow"] < 6:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    (sent,) = re.fullmatch(r"stopped after ([0-9,]+) lines; the same command goes on from there\n", err).groups()
    proxy.likely = []
    done = json.loads(shipper("backfill", str(big), "--json").out)
    assert done["lines"] == 20_000 - int(sent.replace(",", ""))
    assert 0 < done["stored"] <= done["lines"] < 20_000
    assert {json.loads(line)["event"]["id"] for line in lines} <= cluster.documents().keys()
