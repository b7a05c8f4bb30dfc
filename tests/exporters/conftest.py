"""A real S3 protocol server (moto's) with a bucket, and proxies that fail."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from tests.exporters.proxy import FailingProxy, failing

BUCKET = "christmas-archive"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The server's address; it keeps objects in memory."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials where boto3 looks for them; moto takes any."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def s3(s3_server: str, s3_environment: None) -> Iterator[object]:
    """A client of that server, past any proxy, with an empty bucket."""
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=each["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def s3_proxy(s3_server: str) -> Iterator[FailingProxy]:
    with failing(s3_server) as proxy:
        yield proxy
