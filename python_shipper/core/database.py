"""Opens our SQLite files: readable by their owner only, in WAL mode, and never stopped by a damaged one.

A damaged file is moved aside, said once, and a new one begun; each owner says what was lost with it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from python_shipper.errors import StoreError

log = logging.getLogger(__name__)


def open_database(path: Path, schema: str, probe: str, consequence: str) -> tuple[sqlite3.Connection, bool]:
    """The database at ``path``, and whether a damaged one had to be moved aside.

    ``probe`` is a query that the right tables answer; ``consequence`` says what a person should know about the loss.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """
    try:
        return opened(path, schema, probe), False
    except (OSError, sqlite3.DatabaseError) as error:
        if not is_damage(error):
            raise StoreError(f"{path}: {error}; free space, or make the folder writable") from error
        log.error("%s is damaged (%s): moved to %s; %s", path, error, move_aside(path).name, consequence)
        return opened(path, schema, probe), True


def opened(path: Path, schema: str, probe: str) -> sqlite3.Connection:
    """The database at ``path``, made if absent, checked if present."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        connection.executescript(schema)
        connection.execute(probe).fetchone()
    except UnicodeDecodeError as error:  # SQLite names, in its message, a damaged piece of the schema
        connection.close()
        raise sqlite3.DatabaseError("its schema is not text") from error
    except BaseException:
        connection.close()
        raise
    return connection


def is_damage(error: Exception) -> bool:
    """Whether the file itself is wrong (its pages, or its tables), rather than the disk it is on."""
    operational = isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR
    return isinstance(error, sqlite3.DatabaseError) and not operational


def move_aside(path: Path) -> Path:
    """Rename a damaged database, so that it can be looked at, and delete its log; the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path.rename(aside)
