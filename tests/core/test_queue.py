"""The queue never waits, captures what belongs to the caller, is bounded, and counts what it drops."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from python_shipper.core import context, counts, queue
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.queue import QueuedFilesHandler


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FilesHandler]:
    handler = QueuedFilesHandler("orders", tmp_path / "logs", capacity=5)
    yield handler
    handler.close()


@contextmanager
def held(handler: FilesHandler) -> Iterator[None]:
    """Stands for a disk that does not answer: the writing lock, held here."""
    with handler._writing:
        yield


def test_a_slow_disk_does_not_hold_the_caller_and_the_overflow_is_counted(
    files: QueuedFilesHandler, logger: logging.Logger, written: Callable[[], list[bytes]]
) -> None:
    before = counts.current()["dropped"]
    with held(files):
        for number in range(100):
            logger.info("n", extra={"n": number})
    files.flush()
    kept = [json.loads(line)["christmas"]["extra"]["n"] for line in written()]
    assert kept == sorted(kept)
    assert kept[:5] == [0, 1, 2, 3, 4]
    assert len(kept) <= 10  # five in the queue, and those that the thread had taken before
    assert counts.current()["dropped"] - before == 100 - len(kept)


def test_memory_is_bounded_in_bytes(
    files: QueuedFilesHandler, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    monkeypatch.setattr(queue, "MAX_BYTES", 3_000)
    before = counts.current()["dropped"]
    with held(files):
        for _ in range(4):
            logger.info("m" * 1_000)
    assert counts.current()["dropped"] - before >= 1


def test_context_and_exception_are_the_callers(
    files: QueuedFilesHandler, logger: logging.Logger, written: Callable[[], list[bytes]]
) -> None:
    with held(files):
        with context.bound(trace_id="abc"):
            try:
                raise ValueError("boom")
            except ValueError:
                logger.exception("failed")
        logger.info("outside")
    files.flush()
    inside, outside = (json.loads(line) for line in written())
    assert inside["trace"] == {"id": "abc"}
    assert "ValueError: boom" in inside["error"]["stack_trace"]
    assert "trace" not in outside


def test_a_closed_queue_still_writes(
    files: QueuedFilesHandler, logger: logging.Logger, written: Callable[[], list[bytes]]
) -> None:
    logger.info("one")
    files.close()
    logger.info("two")
    assert [json.loads(line)["message"] for line in written()] == ["one", "two"]
