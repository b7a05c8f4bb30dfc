"""Puts files into an S3 bucket and proves that they are there: encrypted, in parts if large, read back and compared.

An object's key holds a hash of its content, so the same content is the same object however often it is sent, and
changed content never overwrites what a manifest still names. Credentials come from boto3's own chain (environment,
profile, role), never from a setting of ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, ProfileNotFound
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

from python_shipper.errors import ConfigurationError
from python_shipper.exporters import Answer, ExportError, UnavailableError
from python_shipper.settings import Settings

URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/*")
PART_BYTES = 67_108_864
BLOCK = 1_048_576
ANSWER_SECONDS = 60
# Codes that a person must mend; any other error of the service is worth another try.
FINAL = {
    "AccessDenied", "403", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "InvalidToken", "NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed", "InvalidArgument",
    "InvalidRequest", "KMS.NotFoundException", "KMS.DisabledException", "NotImplemented", "EntityTooLarge",
}  # fmt: skip
NOT_THERE = {"NoSuchKey", "404", "NotFound"}


@dataclass(frozen=True, slots=True)
class Object:
    """One file on its way; ``id`` is its key within the bucket's prefix."""

    id: str
    path: Path
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was just written: where it goes (``{}`` is for its hash) and how many rows it has."""

    key: str
    path: Path
    rows: int


class Bucket:
    """A bucket under a prefix, as S3_URL names it.

    Raises:
        ConfigurationError: the setting is missing or none.
    """

    def __init__(self, settings: Settings, part_bytes: int = PART_BYTES) -> None:
        found = URL.fullmatch(settings.s3_url or "")
        if not found:
            given = f"got {settings.s3_url!r}" if settings.s3_url else "it is not set"
            raise ConfigurationError(f"S3_URL: expected s3://bucket/prefix, {given}; say where the archive is")
        self.name, prefix = found[1], found[2] or ""
        self.prefix = f"{prefix}/" if prefix else ""
        self.encryption = {"ServerSideEncryption": settings.s3_encryption}
        if settings.s3_kms_key_id:
            self.encryption["SSEKMSKeyId"] = settings.s3_kms_key_id
        self.transfer = TransferConfig(
            multipart_threshold=part_bytes, multipart_chunksize=part_bytes, max_concurrency=4
        )
        config = Config(
            connect_timeout=10, read_timeout=ANSWER_SECONDS, retries={"mode": "standard", "max_attempts": 3}
        )
        with self.told():
            self.client = boto3.Session().client("s3", endpoint_url=settings.s3_endpoint_url, config=config)

    @property
    def where(self) -> str:
        """The address, for people."""
        return f"s3://{self.name}/{self.prefix}"

    @contextmanager
    def told(self) -> Iterator[None]:
        """Errors of boto3 as ours: worth another try, or for a person."""
        try:
            yield
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            words = f"{self.where}: {code} {error.response['Error'].get('Message', '')}".strip()
            if code in FINAL or (code in NOT_THERE and error.operation_name == "HeadBucket"):
                raise ExportError(f"{words}; check S3_URL, the credentials and their rights") from error
            raise UnavailableError(f"{words} ({status})") from error
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
            raise ExportError(f"{self.where}: {error}; give credentials as for the AWS command line") from error
        except (BotoConnectionError, HTTPError, OSError) as error:
            raise UnavailableError(f"{self.where}: {error}") from error
        except (BotoCoreError, Boto3Error, ValueError) as error:
            final = next((code for code in FINAL if f"({code})" in str(error)), None)
            kind = ExportError if final else UnavailableError
            raise kind(f"{self.where}: {error}") from error

    def check(self) -> None:
        """See to it that the bucket can be reached.

        Raises:
            ExportError: it cannot.
        """
        try:
            with self.told():
                self.client.head_bucket(Bucket=self.name)
        except UnavailableError as error:
            raise ExportError(f"{error}; check S3_URL and S3_ENDPOINT_URL") from error

    def read(self, key: str) -> bytes | None:
        """A small object; None where there is none."""
        with self.told():
            try:
                answer = self.client.get_object(Bucket=self.name, Key=self.prefix + key)
            except ClientError as error:
                if error.response["Error"]["Code"] in NOT_THERE:
                    return None
                raise
            content: bytes = answer["Body"].read()
            return content

    def download(self, key: str, path: Path) -> str:
        """Bring an object into a file; the SHA-256 of what arrived, in hex.

        Raises:
            UnavailableError: it did not arrive whole.
            ExportError: there is no such object, or this machine's disk refuses.
        """
        digest = hashlib.sha256()
        with kept(path) as file:
            for block in self.blocks(key):
                digest.update(block)
                file.write(block)
        return digest.hexdigest()

    def blocks(self, key: str) -> Iterator[bytes]:
        """The content of an object that a manifest names."""
        with self.told():
            try:
                body = self.client.get_object(Bucket=self.name, Key=self.prefix + key)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in NOT_THERE:
                    raise ExportError(f"{self.where}{key}: not there, although the manifest names it") from error
                raise
        while True:
            with self.told():
                block = body.read(BLOCK)
            if not block:
                return
            yield block

    def write(self, key: str, content: bytes) -> None:
        """Replace a small object; it is there wholly or not at all."""
        with self.told():
            self.client.put_object(
                Bucket=self.name, Key=self.prefix + key, Body=content, ContentType="application/json", **self.encryption
            )

    def upload(self, item: Object) -> None:
        """Send a file, in parts where it is large."""
        extra = {**self.encryption, "Metadata": {"sha256": item.sha256, "rows": str(item.rows)}}
        with self.told():
            self.client.upload_file(
                str(item.path), self.name, self.prefix + item.id, ExtraArgs=extra, Config=self.transfer
            )

    def held(self, item: Object) -> bool:
        """Whether an object of that key and size is there, encrypted as asked."""
        with self.told():
            try:
                head = self.client.head_object(Bucket=self.name, Key=self.prefix + item.id)
            except ClientError as error:
                if error.response["Error"]["Code"] in NOT_THERE:
                    return False
                raise
        same = head.get("ServerSideEncryption") == self.encryption["ServerSideEncryption"]
        return bool(head["ContentLength"] == item.size and same)

    def keys(self, under: str = "") -> Iterator[str]:
        """The keys of all objects below ``under``, in order."""
        more: dict[str, Any] = {}
        while True:
            with self.told():
                page = self.client.list_objects_v2(Bucket=self.name, Prefix=self.prefix + under, **more)
            yield from (each["Key"].removeprefix(self.prefix) for each in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        """Delete an object."""
        with self.told():
            self.client.delete_object(Bucket=self.name, Key=self.prefix + key)

    def abort_uploads(self, under: str) -> None:
        """Give up uploads in parts that a killed run has left: they cost money, and nobody sees them."""
        with self.told():
            page = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix + under)
            for each in page.get("Uploads", []):
                self.client.abort_multipart_upload(Bucket=self.name, Key=each["Key"], UploadId=each["UploadId"])

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


@contextmanager
def kept(path: Path) -> Iterator[BinaryIO]:
    """A new file at ``path``; what this machine's disk has against it is no fault of the bucket, and waiting no help.

    Raises:
        ExportError: it cannot be written.
    """
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}; make room, or set DATA_DIR to where there is") from error


class S3Exporter:
    """The :class:`~python_shipper.exporters.Exporter` of files into a bucket; each is read back after it was sent."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def encode(self, given: Written) -> Object:
        """See :meth:`python_shipper.exporters.Exporter.encode`: the object's key is made of the content."""
        with given.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Object(given.key.format(digest[:16]), given.path, given.path.stat().st_size, digest, given.rows)

    def export(self, items: Sequence[Object]) -> Answer[Object]:
        """See :meth:`python_shipper.exporters.Exporter.export`; stored means that it was read back whole."""
        stored: list[Object] = []
        known: list[Object] = []
        again: list[tuple[Object, str]] = []
        for item in items:
            try:
                there = self.bucket.held(item)
                if not there:
                    self.bucket.upload(item)
                self.verify(item)
            except UnavailableError as error:
                again.append((item, str(error)))
            else:
                (known if there else stored).append(item)
        return Answer(stored, known, again=again)

    def verify(self, item: Object) -> None:
        """Read an object back and compare.

        Raises:
            UnavailableError: it is not what was sent, or not encrypted as asked; it is sent again.
        """
        copy = item.path.with_name(item.path.name + ".copy")
        try:
            digest = self.bucket.download(item.id, copy)
        finally:
            copy.unlink(missing_ok=True)
        if digest != item.sha256 or not self.bucket.held(item):
            self.bucket.delete(item.id)
            raise UnavailableError(f"{self.bucket.where}{item.id}: is not what was sent, or not encrypted as asked")

    def refused(self, refusals: Sequence[tuple[Object, str]]) -> list[Object]:
        """See :meth:`python_shipper.exporters.Exporter.refused`; a bucket refuses no single file."""
        return []

    def close(self) -> None:
        """See :meth:`python_shipper.exporters.Exporter.close`."""
        self.bucket.close()
