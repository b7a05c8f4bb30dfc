"""`shipper archive` and `shipper restore` against an S3 server: whole, proved, resumable, and nothing gone unproved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from python_shipper import cli
from python_shipper.agent.checkpoint import Checkpoint
from python_shipper.errors import StackError
from python_shipper.exporters import ExportError, UnavailableError, parquet
from python_shipper.exporters.archive import lines_of
from python_shipper.exporters.s3 import Bucket
from python_shipper.settings import Settings
from python_shipper.stack.shelves import ElasticsearchShelf
from python_shipper.store.tantivy import TantivyStore
from python_shipper.store.writer import Writer
from tests.cli.conftest import Said
from tests.dashboard.sample import NOON, document
from tests.exporters.cluster import Cluster
from tests.exporters.conftest import BUCKET
from tests.exporters.proxy import FailingProxy
from tests.stack import elasticsearch as engine

DAY_MS = 86_400_000
NOW = "2026-11-22T12:10:00Z"
YESTERDAY, BEFORE = "2026-11-21", "2026-11-20"
Shipper = Callable[..., Said]
Rows = list[tuple[Any, ...]]


def lines(count: int, days_ago: int, service: str = "orders") -> Rows:
    return [document(NOON - days_ago * DAY_MS + n, service, f"line {n}", event={"duration": n}) for n in range(count)]


def write(data_dir: Path, rows: Rows) -> None:
    with closing(Writer(data_dir)) as writer:
        writer.add(rows)
        writer.commit()


def stored(data_dir: Path, pattern: str = "christmas-logs-*") -> dict[str, dict[str, Any]]:
    """Id → document; a doubled id is an error."""
    with closing(TantivyStore.open(data_dir)) as store:
        found = [pair for index in store.indices(pattern) for pair in lines_of(store, index.name)]
    assert len(dict(found)) == len(found), "duplicates"
    return dict(found)


def objects(s3: Any) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {each["Key"]: s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed}


def archived(s3: Any, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Id → document over all files that lie in the bucket, manifests not asked; a doubled id is an error."""
    found = []
    for key, content in objects(s3).items():
        if not key.endswith(".json"):
            path = tmp_path / key.replace("/", "_")
            path.write_bytes(content)
            form = "parquet" if key.endswith(".parquet") else "ndjson"
            found += [(row.id, json.loads(row.document)) for some in parquet.rows_of(path, form) for row in some]
    assert len(dict(found)) == len(found), "duplicates"
    return dict(found)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Two closed days of two services, and today."""
    folder = tmp_path / "data"
    write(folder, [*lines(120, 1), *lines(30, 1, "gateway"), *lines(50, 2), *lines(10, 0)])
    return folder


@pytest.fixture
def shipper(
    s3: Any, s3_proxy: FailingProxy, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Shipper]:
    for name, text in {
        "DATA_DIR": data_dir,
        "STACK": "embedded",
        "SHIPPER_NOW": NOW,
        "S3_URL": f"s3://{BUCKET}/logs",
        "S3_ENDPOINT_URL": s3_proxy.url,
    }.items():
        monkeypatch.setenv(name, str(text))

    def run(*arguments: str) -> Said:
        code = cli.run(arguments)
        return Said(code, *capfd.readouterr())

    yield run


def closed_days(data_dir: Path) -> dict[str, dict[str, Any]]:
    return {each: found for each, found in stored(data_dir).items() if found["@timestamp"] < "2026-11-22"}


def test_closed_days_are_archived_with_a_manifest(shipper: Shipper, s3: Any, data_dir: Path, tmp_path: Path) -> None:
    said = shipper("archive")
    assert (said.code, said.err) == (0, "")
    assert [line.split(",")[0] for line in said.out.splitlines()] == [
        f"{BEFORE} orders: archived",
        f"{YESTERDAY} gateway: archived",
        f"{YESTERDAY} orders: archived",
    ]
    assert archived(s3, tmp_path) == closed_days(data_dir)
    manifest = json.loads(objects(s3)[f"logs/service=orders/date={YESTERDAY}/_manifest.json"])
    (part,) = manifest["parts"]
    assert (manifest["rows"], part["rows"], manifest["index"]) == (120, 120, "christmas-logs-orders-2026.11.21")
    head = s3.head_object(Bucket=BUCKET, Key=f"logs/service=orders/date={YESTERDAY}/{part['name']}")
    assert head["ServerSideEncryption"] == "AES256"
    assert head["Metadata"] == {"sha256": part["sha256"], "rows": "120"}
    assert head["ContentLength"] == part["bytes"]


@pytest.mark.slow
def test_a_second_run_changes_nothing(shipper: Shipper, s3: Any) -> None:
    shipper("archive")
    before = objects(s3)
    assert [each["what"] for each in json.loads(shipper("archive", "--json").out)] == ["unchanged"] * 3
    assert objects(s3) == before
    for key in before:
        s3.delete_object(Bucket=BUCKET, Key=key)
    shipper("archive", "--quiet")
    assert objects(s3) == before  # the same keys, the same bytes


@pytest.mark.slow
def test_late_lines_make_the_day_anew_and_leave_nothing_of_the_old(
    shipper: Shipper, s3: Any, data_dir: Path, tmp_path: Path
) -> None:
    shipper("archive")
    write(data_dir, lines(3, 1))
    said = shipper("archive")
    assert f"{YESTERDAY} orders: archived, 123 lines" in said.out
    assert said.out.count("unchanged") == 2
    assert archived(s3, tmp_path) == closed_days(data_dir)


@pytest.mark.slow
def test_ndjson_by_option(shipper: Shipper, s3: Any, data_dir: Path, tmp_path: Path) -> None:
    assert shipper("archive", YESTERDAY, "--service", "orders", "--format", "ndjson").code == 0
    assert [key for key in objects(s3) if key.endswith(".ndjson.zst")]
    assert archived(s3, tmp_path).keys() == {
        each for each, found in closed_days(data_dir).items()
        if found["service"]["name"] == "orders" and found["@timestamp"].startswith(YESTERDAY)
    }  # fmt: skip
    assert shipper("restore", YESTERDAY).code == 0
    assert stored(data_dir, "christmas-restored-*") == archived(s3, tmp_path)


@pytest.mark.slow
def test_deletion_is_opt_in_and_the_archive_keeps_all(
    shipper: Shipper, s3: Any, data_dir: Path, tmp_path: Path
) -> None:
    before = closed_days(data_dir)
    with closing(Checkpoint(data_dir)) as checkpoint:
        checkpoint.set_indices({"christmas-logs-orders-2026.11.21": 120, "christmas-logs-orders-2026.11.22": 10})
    said = shipper("archive", "--delete")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == f"{YESTERDAY}: deleted from the store"
    assert closed_days(data_dir) == {}
    assert len(stored(data_dir)) == 10
    with closing(Checkpoint(data_dir)) as checkpoint:  # the agent is not to take it for a loss
        assert {name: dropped for name, (_, dropped) in checkpoint.indices().items()} == {
            "christmas-logs-orders-2026.11.21": True,
            "christmas-logs-orders-2026.11.22": False,
        }
    write(data_dir, late := lines(2, 1))  # late ones come to a day that is gone
    assert f"{YESTERDAY} orders: archived, 122 lines" in shipper("archive", "--delete").out
    assert archived(s3, tmp_path) == before | {row[1]: row[2] for row in late}
    assert closed_days(data_dir) == {}


@pytest.mark.slow
def test_nothing_is_deleted_while_it_could_be_wrong(shipper: Shipper, s3: Any, data_dir: Path) -> None:
    before = closed_days(data_dir)
    with closing(Writer(data_dir)):  # a running stack
        said = shipper("archive", "--delete")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "not deleted, since the running stack writes the store; shipper down" in said.err
    said = shipper("archive", YESTERDAY, "--service", "orders", "--delete")
    assert "whole days only are deleted, and it also holds christmas-logs-gateway-2026.11.21" in said.err
    (data_dir / "store" / "logs" / BEFORE / ".hold").touch()
    assert "a file .hold in its folder forbids that" in shipper("archive", BEFORE, "--delete").err
    assert closed_days(data_dir) == before


@pytest.mark.slow
def test_damage_in_the_archive_stops_a_deletion(shipper: Shipper, s3: Any, data_dir: Path) -> None:
    shipper("archive")
    (key,) = [key for key in objects(s3) if key.startswith(f"logs/service=orders/date={BEFORE}/part")]
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"rubbish")
    for command in (("archive", BEFORE, "--delete"), ("restore", BEFORE)):
        said = shipper(*command)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "is not what its manifest says" in said.err
    assert len([each for each in closed_days(data_dir).values() if each["@timestamp"].startswith(BEFORE)]) == 50
    assert stored(data_dir, "christmas-restored-*") == {}


def test_restored_days_are_kept_apart_and_searched(shipper: Shipper, s3: Any, data_dir: Path, tmp_path: Path) -> None:
    before = closed_days(data_dir)
    shipper("archive", "--delete")
    assert shipper("restore", YESTERDAY, "--service", "gateway").code == 0
    with closing(Writer(data_dir)) as running:  # beside a running stack, and services of a day one after another
        said = shipper("restore", YESTERDAY, BEFORE)
        assert (said.code, said.err) == (0, "")
        running.drop_expired(NOON + 400 * DAY_MS)
    assert stored(data_dir, "christmas-restored-*") == before
    assert shipper("restore", YESTERDAY).code == 0  # again: no difference
    assert stored(data_dir, "christmas-restored-*") == before
    with closing(TantivyStore.open(data_dir)) as store:
        names = [each.name for each in store.indices("christmas-restored-*")]
    assert names == [
        "christmas-restored-logs-gateway-2026.11.21",
        "christmas-restored-logs-orders-2026.11.20",
        "christmas-restored-logs-orders-2026.11.21",
    ]
    assert shipper("search", "service:gateway 29", "--restored").out.count("\n") == 1
    assert shipper("search", "service:gateway 29", "--since", "7d").out == ""


@pytest.mark.slow
def test_the_archive_is_listed(shipper: Shipper) -> None:
    shipper("archive")
    rows = json.loads(shipper("restore", "--list", "--json").out)
    assert [(row["date"], row["service"], row["rows"]) for row in rows] == [
        (BEFORE, "orders", 50),
        (YESTERDAY, "gateway", 30),
        (YESTERDAY, "orders", 120),
    ]
    listed = shipper("restore", "--list", BEFORE).out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [[BEFORE, "orders", "50"]]


@pytest.mark.parametrize("fault", ["500", "503", "drop", "lost", "truncated", "slow"])
@pytest.mark.slow
def test_every_fault_ends_with_the_same_set(
    shipper: Shipper, s3: Any, s3_proxy: FailingProxy, data_dir: Path, tmp_path: Path, fault: str
) -> None:
    s3_proxy.slow_seconds = 0.02
    s3_proxy.where = f"{BUCKET}/logs"
    for _ in range(2):
        s3_proxy.likely, s3_proxy.chance = [fault], 0.3
        said = shipper("archive", "--patience", "60", "--quiet")
        s3_proxy.likely = []
        assert said.code == 0, said.err
        assert archived(s3, tmp_path) == closed_days(data_dir)
        write(data_dir, lines(5, 1))
    assert s3_proxy.struck[fault] > 0
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


@pytest.mark.slow
def test_a_full_disk_here_is_no_fault_of_the_bucket(s3: Any, s3_server: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="logs/part", Body=b"x" * 100_000)
    settings = Settings(s3_url=f"s3://{BUCKET}/logs", s3_endpoint_url=s3_server)
    with (
        closing(Bucket(settings)) as bucket,
        pytest.raises(ExportError, match=r"/dev/full: No space left on device; make room") as caught,
    ):
        bucket.download("part", Path("/dev/full"))
    assert not isinstance(caught.value, UnavailableError)


@pytest.mark.slow
def test_a_large_file_goes_in_parts_and_leftovers_are_given_up(
    s3: Any, s3_proxy: FailingProxy, data_dir: Path, tmp_path: Path
) -> None:
    import os

    from python_shipper.exporters.archive import Archive, Partition
    from python_shipper.exporters.s3 import Bucket

    rows = [document(NOON - 3 * DAY_MS + n, "bulky", os.urandom(3_000).hex()) for n in range(2_500)]
    write(data_dir, rows)
    partition = Partition("bulky", "2026-11-19")
    s3.create_multipart_upload(Bucket=BUCKET, Key=f"{partition.folder}part-00000-left.parquet")
    settings = Settings(s3_url=f"s3://{BUCKET}", s3_endpoint_url=s3_proxy.url)
    s3_proxy.where, s3_proxy.likely, s3_proxy.chance = "uploadId", ["500", "drop"], 0.3
    seen: list[str] = []
    fault = s3_proxy.fault
    s3_proxy.fault = lambda method, path: (seen.append(f"{method} {path}"), fault(method, path))[1]  # type: ignore[method-assign]
    place = tmp_path / "place"
    place.mkdir()
    with closing(Bucket(settings, part_bytes=5_242_880)) as bucket, closing(TantivyStore.open(data_dir)) as store:
        done = Archive(bucket, place, patience_seconds=60).store(store, partition, 2_500)
    assert done.bytes > 5_242_880
    assert any("partNumber=2" in each for each in seen)
    assert archived(s3, tmp_path) == {row[1]: row[2] for row in rows}
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"S3_URL": ""}, ("archive",), ["S3_URL", "it is not set", "s3://bucket/prefix"]),
        ({"S3_URL": "https://x"}, ("archive",), ["S3_URL", "'https://x'"]),
        ({"S3_URL": "s3://nowhere-at-all"}, ("archive",), ["s3://nowhere-at-all/", "check S3_URL"]),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:9"}, ("archive",), ["127.0.0.1:9", "check S3_URL and S3_ENDPOINT_URL"]),
        ({"S3_ENDPOINT_URL": "nonsense"}, ("archive",), ["nonsense"]),
        ({"S3_ENCRYPTION": "none"}, ("archive",), ["S3_ENCRYPTION", "AES256, aws:kms"]),
        ({}, ("archive", "yesterday"), ["yesterday", "2026-01-31"]),
        ({}, ("restore",), ["name days (2026-01-31)", "--list"]),
        ({}, ("restore", "2020-01-01"), ["has no such day", "--list"]),
    ],
    ids=str,
)
@pytest.mark.slow
def test_what_is_wrong_is_one_line(
    shipper: Shipper,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    arguments: tuple[str, ...],
    words: list[str],
) -> None:
    for name, text in changes.items():
        monkeypatch.setenv(name, text)
    said = shipper(*arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.err
    assert all(word in said.err for word in words), said.err


@pytest.mark.slow
def test_without_credentials(shipper: Shipper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    said = shipper("archive")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "credentials" in said.err


def test_help_says_which_restore_is_which(shipper: Shipper) -> None:
    assert "A backup of the ELK stack: `shipper stack restore`" in " ".join(shipper("restore", "--help").out.split())
    assert "shipper restore" in " ".join(shipper("stack", "restore", "--help").out.split())


@pytest.mark.slow
def test_elasticsearch_to_the_archive_and_back(
    shipper: Shipper, s3: Any, elasticsearch: engine.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Cluster(elasticsearch, "archived")) as cluster:
        client = cluster.client(elasticsearch.url)
        monkeypatch.setenv("STACK", "elk")
        monkeypatch.setenv("SECRETS_DIR", str(elasticsearch.authority.parent) if elasticsearch.authority else "secrets")
        monkeypatch.setenv("ELASTICSEARCH_URL", cluster.address(elasticsearch.url))
        rows = lines(30, 1, "archived")
        for index, letter, found, *_ in rows:
            client.create(index=index, id=letter, document=found)
        index = rows[0][0]
        assert f"{YESTERDAY} archived: archived, 30 lines" in shipper_after_refresh(cluster, shipper, "archive")
        assert archived(s3, tmp_path) == {row[1]: row[2] for row in rows}
        late = lines(1, 1, "archived")
        client.create(index=index, id=late[0][1], document=late[0][2], refresh=True)
        said = shipper("archive", "--service", "archived", "--delete")
        assert said.out.splitlines()[-1] == f"{YESTERDAY}: deleted from the store"
        assert not client.indices.exists(index=index)
        for _ in range(2):
            assert shipper("restore", YESTERDAY, "--service", "archived").code == 0
            restored = cluster.documents("christmas-restored-logs-archived-*")
            assert {each: found for each, (_, found) in restored.items()} == {r[1]: r[2] for r in [*rows, *late]}
        name = "christmas-restored-logs-archived-2026.11.21"
        mapping = client.indices.get_mapping(index=name)[name]["mappings"]
        assert mapping["properties"]["event"]["properties"]["duration"]["type"] == "long"
        assert "lifecycle" not in client.indices.get_settings(index=name)[name]["settings"]["index"]
        assert shipper("search", '"line 29"', "--restored").out.count("\n") == 1
        client.indices.delete(index=name)
        client.close()


def shipper_after_refresh(cluster: Cluster, shipper: Shipper, command: str) -> str:
    """What a command prints once all that was written can be searched."""
    cluster.api.call("POST", "/christmas-logs-*/_refresh")
    said = shipper(command, "--service", "archived")
    assert said.code == 0, said.err
    return said.out


@pytest.mark.slow
def test_late_lines_keep_a_day_of_elasticsearch(elasticsearch: engine.Server) -> None:
    with closing(Cluster(elasticsearch, "kept")) as cluster:
        client = cluster.client(elasticsearch.url)
        ((index, letter, found, *_),) = lines(1, 1, "kept")
        client.create(index=index, id=letter, document=found, refresh=True)
        with pytest.raises(StackError, match="lines have come since it was archived"):
            ElasticsearchShelf(client, "here").remove(YESTERDAY, {index: 0})
        client.create(index=index, id="another", document=found)  # it takes writes again
        client.close()
