"""What happened, from log files or a store: one pass over the lines, and a report of the whole.

:class:`AdLogAnalyzer` reads (:mod:`~python_shipper.analyzers.batch_table`), measures
(:mod:`~python_shipper.analyzers.batch_measures`), judges (:mod:`~python_shipper.analyzers.batch_anomalies`) and
tells (:mod:`~python_shipper.analyzers.batch_report`). An event is a line with an `event.action` (`event_type`); an
error is a line with an `error.type`, or of level error, critical or fatal; every line with a time is a record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from python_shipper.analyzers.batch_anomalies import Limits, high_error_rate, slow_responses
from python_shipper.analyzers.batch_files import log_files
from python_shipper.analyzers.batch_lines import Unread, fields_of, flat
from python_shipper.analyzers.batch_measures import Measures, Period, Row, ratio
from python_shipper.analyzers.batch_report import REPORTS
from python_shipper.analyzers.batch_store import stored_facts
from python_shipper.analyzers.batch_table import FactTable
from python_shipper.core.masking import default_masker
from python_shipper.core.values import moment_ms
from python_shipper.errors import ConfigurationError
from python_shipper.store import Store

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Moment = datetime | str | None
Told = Callable[[int, int], None]
MOST_ERRORS, MESSAGE_CHARACTERS = 200, 500
MEMORY = "300MB"  # of DuckDB; with Python and the buffers of reading, a process stays under 1 GB


class AdLogAnalyzer:
    """Analyses logs of any size within bounded memory; ECS, flat and plain-text lines, plain or gzip."""

    def __init__(
        self,
        log_path: Paths | None = None,
        *,
        store: Store | None = None,
        limits: Limits | None = None,
        timezone: str = "UTC",
        memory: str = MEMORY,
        told: Told | None = None,
    ) -> None:
        """Say what to analyse: files, folders or patterns, or else a ``store``.

        Args:
            log_path: one path or several.
            store: an open log store; the caller closes it.
            limits: what is still in order.
            timezone: the zone of times that name none, such as ``Asia/Seoul``.
            memory: what DuckDB may use before it spills to disk, such as ``2GB``.
            told: hears how far the reading is, in bytes (of files) or documents (of a store), and of how many.

        Raises:
            ConfigurationError: not exactly one of ``log_path`` and ``store`` is given, or the zone is unknown.
        """
        if (log_path is None) == (store is None):
            raise ConfigurationError("AdLogAnalyzer: name either paths of log files or a store")
        self._paths = [log_path] if isinstance(log_path, str | os.PathLike) else list(log_path or ())
        self._store, self._told = store, told
        self._limits, self._memory = limits or Limits(), memory
        self._zone = zone(timezone)

    def parse_log_line(self, line: str | bytes) -> dict[str, Any] | None:
        """One line under short names: the nine flat keys always (None where absent), others where they are there.

        ``timestamp`` is in UTC, ``duration`` in seconds, ``duration_ms`` in milliseconds. None for a line that tells no
        time or is no log line.
        """
        fields = fields_of(line.encode("utf-8", "replace") if isinstance(line, str) else line, self._zone)
        return None if isinstance(fields, Unread) else flat(fields)

    def analyze_logs(self, start: Moment = None, end: Moment = None) -> dict[str, Any]:
        """Read everything and report on the lines from ``start`` to before ``end``; without them, on all.

        The period before, of the same length, is compared with where ``start`` is given.

        Args:
            start: a datetime or ISO 8601 text; without a zone it is in the analyser's.
            end: likewise.

        Returns:
            `period`, `input`, `summary`, `events`, `errors`, `performance`, `anomalies`, `services`, `levels`,
            `campaigns`, `traces`, `timeline`, `new_errors` and `comparison` (both None without a period before).

        Raises:
            ConfigurationError: a path, a time or the memory is wrong.
            StoreError: the store cannot be read.
        """
        start_ms, end_ms = self._ms(start, "start"), self._ms(end, "end")
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise ConfigurationError(f"period: its start {start} is not before its end {end}; swap or correct them")
        source = "store" if self._store else "files"
        with interruptible(), closing(FactTable(source, self._memory, self._zone)) as table:
            if self._store:
                self._read_store(table, start_ms, end_ms)
            else:
                self._read_files(table)
            table.settle()
            return self._report(table, start_ms, end_ms)

    def generate_report(
        self,
        results: Mapping[str, Any],
        form: Literal["text", "json", "html"] = "text",
        language: Literal["en", "ko"] = "en",
    ) -> str:
        """The results of :meth:`analyze_logs` for people, or as JSON.

        Raises:
            ConfigurationError: the form or the language is unknown.
        """
        if form not in REPORTS:
            raise ConfigurationError(f"report form: expected {', '.join(REPORTS)}, got {form!r}")
        return REPORTS[form](results, language)

    def _ms(self, moment: Moment, name: str) -> int | None:
        if moment is None:
            return None
        try:
            when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
            when = when if when.tzinfo else when.replace(tzinfo=self._zone)
            return round(when.timestamp() * 1000)
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(f"{name}: expected a time such as 2026-01-31T09:30:00Z, got {moment!r}") from error

    def _read_files(self, table: FactTable) -> None:
        files = log_files(self._paths)
        sizes = [file.stat().st_size for file in files]
        for number, file in enumerate(files):
            table.add_file(file)
            if self._told:
                self._told(sum(sizes[: number + 1]), sum(sizes))

    def _read_store(self, table: FactTable, start_ms: int | None, end_ms: int | None) -> None:
        assert self._store is not None  # noqa: S101  told by the caller
        if start_ms is not None:
            end = end_ms if end_ms is not None else newest_ms(self._store)
            start_ms = Period(start_ms, max(end, start_ms + 1)).before().start_ms
        table.add(stored_facts(self._store, start_ms, end_ms, self._told))

    def _report(self, table: FactTable, start_ms: int | None, end_ms: int | None) -> dict[str, Any]:
        low, high = table.db.execute("SELECT min(ts), max(ts) FROM facts").fetchall()[0]
        begin = start_ms if start_ms is not None else (low if low is not None else end_ms or 0)
        stop = end_ms if end_ms is not None else (high + 1 if high is not None else begin)
        period = Period(begin, max(stop, begin + 1))
        before = period.before() if start_ms is not None else None
        previous = measured(Measures(table.db, before), self._limits) if before else None
        results = measured(Measures(table.db, period), self._limits)
        nothing = low is None and start_ms is None and end_ms is None
        return {
            "period": None if nothing else period.as_dict(),
            "input": account(table),
            **results,
            "errors": masked(results["errors"]),
            "new_errors": None if previous is None else masked(unseen(results["errors"], previous["errors"])),
            "comparison": None if before is None or previous is None else compared(before, previous, results),
        }


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C within a query is a KeyboardInterrupt: DuckDB makes another error of it."""
    try:
        yield
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from error
        raise


def zone(name: str) -> tzinfo:
    """The time zone of a name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(f"timezone: expected a name such as UTC or Asia/Seoul, got {name[:80]!r}") from error


def newest_ms(store: Store) -> int:
    """After the time of the newest line that a store holds; 0 where it is empty."""
    from python_shipper.store import LOGS

    body = {"size": 1, "sort": [{"@timestamp": "desc"}], "_source": ["@timestamp"]}
    hits = store.search(LOGS, body)["hits"]["hits"]
    return (moment_ms(hits[0]["_source"]["@timestamp"]) or 0) + 1 if hits else 0


def measured(measures: Measures, limits: Limits) -> Row:
    """Everything that is told of one period."""
    totals, operations, errors = measures.totals(), measures.operations(), measures.errors()
    slow = [row["operation"] for row in operations if row["p95_ms"] > limits.p95_ms]
    anomalies = [
        *high_error_rate(totals["errors"], totals["events"], totals["records"], limits, measures.latest_failures),
        *slow_responses(operations, limits, measures.slowest_lines(slow) if slow else {}),
    ]
    return {
        "summary": {
            "total_records": totals["records"],
            "total_events": totals["events"],
            "total_errors": totals["errors"],
            "error_rate": ratio(totals["errors"], totals["events"]),
            "error_share_of_records": ratio(totals["errors"], totals["records"]),
            "event_breakdown": measures.event_types(),
            "error_breakdown": measures.error_types(),
            "performance_summary": {
                row["operation"]: {k: v for k, v in row.items() if k != "operation"} for row in operations
            },
            "errors_not_grouped": totals["errors"] - sum(row["count"] for row in errors),
        },
        "events": measures.actions(),
        "errors": errors,
        "performance": operations,
        "anomalies": anomalies,
        "services": measures.services(),
        "levels": measures.levels(),
        "campaigns": measures.campaigns(),
        "traces": measures.traces(),
        "timeline": measures.timeline(),
    }


def account(table: FactTable) -> Row:
    """What became of every line read; samples of unread lines are masked, for nothing has masked them before."""
    read, mask = table.account, default_masker().text
    samples = [asdict(sample) | {"text": mask(sample.text)} for sample in read.samples]
    unread = {
        "unparsable": read.unread.total(),
        "unparsable_by_reason": dict(read.unread.most_common()),
        "samples": samples,
    }
    return {
        "source": read.source,
        "files": read.files,
        "bytes": read.bytes,
        "lines": read.lines,
        "duplicates": read.duplicates,
        "segment_headers": read.segment_headers,
        "damaged_files": read.damaged,
        **unread,
    }


def masked(errors: list[Row]) -> list[Row]:
    """The errors that are told, their messages masked: logs of other origin come as they are."""
    mask = default_masker().text
    return [
        row | {"message": mask(row["message"][:MESSAGE_CHARACTERS]) if row["message"] else None}
        for row in errors[:MOST_ERRORS]
    ]


def unseen(errors: list[Row], before: list[Row]) -> list[Row]:
    """The errors that the period before did not have, in the order of their first occurrence."""
    known = {(row["error_type"], row["fingerprint"]) for row in before}
    new = [row for row in errors if (row["error_type"], row["fingerprint"]) not in known]
    return sorted(new, key=lambda row: (row["first_seen"], row["fingerprint"]))


def compared(before: Period, previous: Row, results: Row) -> Row:
    """The period before, and by how much this one differs: 0.5 is half as much again, None is from nothing."""
    then, now = previous["summary"], results["summary"]
    names = ("total_records", "total_events", "total_errors", "error_rate")
    slower = {
        name: {
            "previous_p95_ms": old["p95_ms"],
            "p95_ms": new["p95_ms"],
            "change": change(old["p95_ms"], new["p95_ms"]),
        }
        for name, new in now["performance_summary"].items()
        if (old := then["performance_summary"].get(name))
    }
    return {
        "period": before.as_dict(),
        "previous": {name: then[name] for name in names},
        "change": {name: change(then[name], now[name]) for name in names},
        "performance": slower,
    }


def change(old: float | None, new: float | None) -> float | None:
    """How much ``new`` is above ``old``, as a share of it."""
    return round(new / old - 1, 6) if old and new is not None else None
