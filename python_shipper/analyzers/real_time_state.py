"""Keeps what an analyser remembers across restarts: one file, replaced whole; a damaged one is moved aside."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import orjson

from python_shipper.analyzers.real_time import RealTimeAnalyzer

VERSION = 1

log = logging.getLogger(__name__)


def encoded(analyzer: RealTimeAnalyzer) -> bytes:
    """The analyser's state for a file."""
    return orjson.dumps({"version": VERSION, **analyzer.snapshot()}, option=orjson.OPT_NON_STR_KEYS)


def write(content: bytes, path: Path) -> None:
    """Write ``content`` beside ``path`` and rename it: a crash leaves the old file or the new one.

    Raises:
        OSError: the file cannot be written; an earlier one is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(analyzer: RealTimeAnalyzer, path: Path) -> RealTimeAnalyzer:
    """``analyzer`` with the state in ``path``; as it is where there is none, or a damaged one, which is moved aside.

    Raises:
        OSError: the file cannot be read or moved.
    """
    try:
        kept = orjson.loads(path.read_bytes())
        if kept["version"] != VERSION:
            raise ValueError(f"version {kept['version']!r}")
        restored = RealTimeAnalyzer(analyzer.thresholds, analyzer.now_ms)
        restored.restore(kept)
    except FileNotFoundError:
        return analyzer
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.error("%s cannot be used (%s): moved to %s; the analysis starts afresh", path, error, aside.name)
        return analyzer
    return restored
