"""SQLAlchemy: each statement with its duration and masked parameters, in debug mode or with ``LOG_SQL=true``.

A line (logger ``python_shipper.sql``) has ``christmas.operation`` (SELECT, …), ``event.duration``, ``event.outcome``,
and under ``christmas.extra`` the statement, its parameters by name, and how many rows it touched.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from python_shipper.core.config import active
from python_shipper.core.masking import default_masker
from python_shipper.integrations import detail
from python_shipper.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # needs greenlet, which a synchronous service does not have

log = logging.getLogger("python_shipper.sql")
BEGAN = "python_shipper.began_ns"  # on a connection: when its running statements began
SETS_SHOWN = 10  # of an executemany's sets of parameters
NUMBERED = re.compile(r"_[0-9]+$")  # SQLAlchemy's name for a value compared with account_number: account_number_1


def install(engine: Engine | AsyncEngine | None = None, settings: Settings | None = None) -> bool:
    """Log the statements of ``engine``, or of every engine; whether that is on by the settings. Twice is once.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    settings = settings or active()
    if not detail.wanted(settings, settings.log_sql):
        return False
    # Asked for by its own setting it must show in production, where DEBUG is off.
    statements.level = logging.INFO if settings.log_sql else logging.DEBUG
    target: Any = getattr(engine, "sync_engine", engine) or Engine
    if not any(event.contains(one, "before_cursor_execute", statements.begin) for one in (target, Engine)):
        event.listen(target, "before_cursor_execute", statements.begin)
        event.listen(target, "after_cursor_execute", statements.end)
        event.listen(target, "handle_error", statements.fail)
    return True


class Statements:
    """The listener: logs at one level what the engines execute."""

    def __init__(self) -> None:
        self.level = logging.DEBUG

    def begin(self, conn: Connection, cursor: Any, sql: str, given: Any, context: Any, many: bool) -> None:
        """Note when a statement began; a connection may run one within another."""
        conn.info.setdefault(BEGAN, []).append(time.perf_counter_ns())

    def end(self, conn: Connection, cursor: Any, sql: str, given: Any, context: Any, many: bool) -> None:
        """Log a statement that was executed."""
        rows = {"rows": cursor.rowcount} if cursor.rowcount >= 0 else {}
        self.write(conn, sql, parameters(given, context), {"event.outcome": "success", **rows})

    def fail(self, failed: ExceptionContext) -> None:
        """Log a statement that failed; the exception itself is for the caller to log."""
        if failed.connection is None or failed.statement is None or not failed.connection.info.get(BEGAN):
            return
        error = {"event.outcome": "failure", "error_type": type(failed.original_exception).__name__}
        self.write(failed.connection, failed.statement, parameters(failed.parameters, failed.execution_context), error)

    def write(self, conn: Connection, sql: str, shown: Any, more: Mapping[str, Any]) -> None:
        """Write the line."""
        duration_ns = time.perf_counter_ns() - conn.info[BEGAN].pop()
        operation = sql.split(None, 1)[0].upper() if sql.strip() else "SQL"
        fields = {"operation": operation, "event.duration": duration_ns, "sql": sql, "parameters": shown, **more}
        log.log(self.level, "%s %.1f ms", operation, duration_ns / 1e6, extra=fields)


statements = Statements()


def parameters(given: Any, context: Any) -> Any:
    """The masked parameters: by name where SQLAlchemy compiled the statement, else as the driver got them."""
    sets = getattr(context, "compiled_parameters", None) or (given if isinstance(given, list) else [given])
    shown = [masked(one) for one in sets[:SETS_SHOWN]]
    if len(sets) > SETS_SHOWN:
        shown.append(f"…[cut, {len(sets)} sets]")
    return shown[0] if len(shown) == 1 else shown


def masked(values: Any) -> Any:
    """One set of parameters, masked by the names of the columns where it has any."""
    if not isinstance(values, Mapping):
        return default_masker().value("", list(values) if isinstance(values, tuple) else values)
    return {name: default_masker().value(NUMBERED.sub("", name), value) for name, value in values.items()}
