"""Which files a path means, and their raw lines: file, folder or pattern; plain or gzip, told by the first bytes."""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from python_shipper.analyzers.batch_lines import LONGEST_BYTES
from python_shipper.errors import ConfigurationError

LOG_FILE = re.compile(r".*\.(?:log|ndjson|jsonl|json|txt)(?:[.-][0-9][0-9_.-]*)?(?:\.gz)?", re.DOTALL)
SHIPPED = re.compile(r"(?P<service>.+?)(?:\.[0-9]+)?\.ecs\.log(?:\.[0-9]{6})?(?:\.gz)?", re.DOTALL)
COPY = re.compile(
    r"(?P<service>.+?)(?:\.daily\.[0-9]{4}-[0-9]{2}-[0-9]{2}|\.error)\.log(?:\.[0-9]{1,6})?(?:\.gz)?", re.DOTALL
)
GZIP = b"\x1f\x8b"


class DamagedError(Exception):
    """A compressed file ends before its end or holds other bytes; what came before is good."""


def log_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files that ``paths`` mean, each once, in the order of their names.

    Of a folder: every log file in it and below; of our own services' files without the copies for people (the daily and
    the error file), whose lines are in the shipped files.

    Raises:
        ConfigurationError: a path leads nowhere, or to nothing that can be read.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for file in expanded(os.fspath(path)):
            found.setdefault(file.resolve(), file)
    if not found:
        raise ConfigurationError("no path is given; name log files, folders or patterns such as 'logs/*.ecs.log*'")
    return list(found.values())


def expanded(path: str) -> list[Path]:
    """The files of one path, folder or pattern."""
    place = Path(path).expanduser()
    if place.is_dir():
        files = folder_files(place)
    elif place.exists():
        files = [place]
    else:  # a pattern may be absolute, which Path.glob does not take
        found = map(Path, sorted(glob.glob(str(place), recursive=True)))  # noqa: PTH207
        files = [file for file in found if not file.is_dir()]
        if not files:
            raise ConfigurationError(f"{path}: no such file or folder, and no file matches it; correct the path")
    for file in files:
        if not os.access(file, os.R_OK):
            raise ConfigurationError(
                f"{file}: may not be read; run as its owner, or set LOG_FILE_MODE=0640 for a group"
            )
    return files


def folder_files(folder: Path) -> list[Path]:
    """The log files in a folder and below."""
    files = sorted(path for path in folder.rglob("*") if LOG_FILE.fullmatch(path.name) and path.is_file())
    shipped = {(path.parent, match["service"]) for path in files if (match := SHIPPED.fullmatch(path.name))}
    kept = [path for path in files if not is_copy(path, shipped)]
    if not kept:
        raise ConfigurationError(
            f"{folder}: no log file is in this folder (*.log, *.log.1, *.ndjson, *.jsonl, … also .gz)"
        )
    return kept


def is_copy(path: Path, shipped: set[tuple[Path, str]]) -> bool:
    """Whether a file holds the same lines as a shipped file beside it."""
    match = COPY.fullmatch(path.name)
    return match is not None and (path.parent, match["service"]) in shipped


def is_gzip(file: BinaryIO) -> bool:
    """Whether a file begins as gzip does; its position stays at the begin."""
    found = file.read(2) == GZIP
    file.seek(0)
    return found


def raw_lines(file: BinaryIO) -> Iterator[bytes]:
    r"""The lines of a file that are not blank, without ``\n``, each cut at what the agent reads of a line.

    Raises:
        DamagedError: a compressed file is damaged; the lines before that have been given.
    """
    if not is_gzip(file):
        yield from cut_lines(file)
        return
    with closing(gzip.open(file)) as opened:
        try:
            yield from cut_lines(opened)
        except (EOFError, OSError, zlib.error) as error:
            raise DamagedError(str(error)) from error


def cut_lines(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Lines without their end, blank ones left out; what is beyond the longest line is read over."""
    while line := file.readline(LONGEST_BYTES + 2):
        whole = line.endswith(b"\n")
        if kept := line.strip():
            yield kept if len(kept) == len(line) else line.rstrip(b"\r\n")[:LONGEST_BYTES]
        while not whole:
            rest = file.readline(LONGEST_BYTES)
            whole = not rest or rest.endswith(b"\n")
