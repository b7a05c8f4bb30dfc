"""What must survive ``kill -9``: alerts, silences, and notifications until their routes take them. One SQLite file.

Several processes may share it: every decision is one transaction, and a flock says who sends for a route.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import orjson

from python_shipper.alerts.notice import MOST_ITEMS, RESOLVED, Item
from python_shipper.alerts.state import Alert
from python_shipper.core.database import open_database
from python_shipper.core.ulid import new_ulid

MOST_WAITING = 10_000  # notifications
MOST_ALERTS = 10_000
KEPT_DELIVERIES = 1_000  # sent and failed ones, for the list
BUSY_MS = 2_000  # a caller of handle() waits no longer for another process
WAITING, SENT, FAILED = "waiting", "sent", "failed"
SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT PRIMARY KEY, rule TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, count INTEGER NOT NULL, held INTEGER NOT NULL,
    told_ms INTEGER, told_severity TEXT, acked_ms INTEGER, note TEXT,
    item TEXT NOT NULL, place TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alerts_by_state ON alerts (state, last_ms);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, route TEXT NOT NULL, rule TEXT NOT NULL, place TEXT NOT NULL, state TEXT NOT NULL,
    items TEXT NOT NULL, more INTEGER NOT NULL, made_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL, tried_ms INTEGER, said TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (state, route, due_ms);
CREATE TABLE IF NOT EXISTS silences (
    pattern TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, made_ms INTEGER NOT NULL, note TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""
PROBE = "SELECT a.item, d.items, s.note, c.number FROM alerts a, deliveries d, silences s, counts c LIMIT 1"
CONSEQUENCE = "open alerts, silences and notifications that waited are in it"
COLUMNS = tuple(field.name for field in fields(Alert))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification on its way by one route."""

    id: str
    route: str
    rule: str
    state: str
    items: list[Item]
    more: int
    made_ms: int
    due_ms: int
    attempts: int
    tried_ms: int | None
    said: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts whose key fits ``pattern`` are not told until ``until_ms``."""

    pattern: str
    until_ms: int
    made_ms: int
    note: str | None

    def fits(self, key: str) -> bool:
        """Whether it is about the alert of that key."""
        return fnmatchcase(key, self.pattern)


class Outbox:
    """The file; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make it.

        Raises:
            StoreError: the folder cannot be written, or the disk is full.
        """
        self.path = folder / "alerts.sqlite3"
        self.connection, _ = open_database(self.path, SCHEMA, PROBE, CONSEQUENCE)
        self.connection.isolation_level = None
        self.connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self.connection.execute("PRAGMA synchronous = FULL")  # what was accepted survives a power cut, too
        self.lock = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that follows, or nothing of it; other processes wait."""
        with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query."""
        with self.lock:
            return self.connection.execute(query, values).fetchall()

    def number(self, query: str, *values: object) -> int:
        """The one number that a query gives."""
        ((found,),) = self.rows(query, *values)
        return int(found or 0)

    # alerts

    def alert(self, id: str) -> Alert | None:
        """The alert of that id."""
        found = self.alerts_where("id = ?", id)
        return found[0] if found else None

    def alerts_where(self, condition: str, *values: object) -> list[Alert]:
        """Alerts, the newest first."""
        query = f"SELECT {', '.join(COLUMNS)} FROM alerts WHERE {condition} ORDER BY last_ms DESC"  # noqa: S608  ours
        return [Alert(**dict(zip(COLUMNS, row, strict=True))) for row in self.rows(query, *values)]

    def content_of(self, id: str) -> tuple[Item, str]:
        """What an alert's newest finding says, and the group that it may be told in."""
        ((item, place),) = self.rows("SELECT item, place FROM alerts WHERE id = ?", id)
        return orjson.loads(item), place

    def keep(self, alert: Alert, item: Item, place: str) -> None:
        """Write an alert down."""
        names, marks = ", ".join((*COLUMNS, "item", "place")), ", ".join("?" * (len(COLUMNS) + 2))
        values = (*(getattr(alert, name) for name in COLUMNS), orjson.dumps(item).decode(), place)
        self.connection.execute(f"INSERT OR REPLACE INTO alerts ({names}) VALUES ({marks})", values)  # noqa: S608  ours

    def room_for_alert(self) -> bool:
        """Whether another alert may be kept; ended ones make room, the oldest first."""
        if self.number("SELECT count(*) FROM alerts") < MOST_ALERTS:
            return True
        oldest = "SELECT id FROM alerts WHERE state = ? ORDER BY last_ms LIMIT 100"
        return self.connection.execute(f"DELETE FROM alerts WHERE id IN ({oldest})", (RESOLVED,)).rowcount > 0  # noqa: S608

    def acknowledge(self, ids: Sequence[str], now_ms: int, note: str | None) -> None:
        """Mark open alerts as seen: they are not told again unless they get worse."""
        with self.transaction():
            for id in ids:
                query = "UPDATE alerts SET acked_ms = ?, note = coalesce(?, note) WHERE id = ?"
                self.connection.execute(query, (now_ms, note, id))

    # silences

    def silences(self, now_ms: int) -> list[Silence]:
        """Those that hold now."""
        query = "SELECT pattern, until_ms, made_ms, note FROM silences WHERE until_ms > ? ORDER BY until_ms"
        return [Silence(pattern=a, until_ms=b, made_ms=c, note=d) for a, b, c, d in self.rows(query, now_ms)]

    def silence(self, silence: Silence) -> None:
        """Begin a silence, or change the one with the same pattern; those that are over go."""
        with self.transaction():
            self.connection.execute("DELETE FROM silences WHERE until_ms <= ?", (silence.made_ms,))
            values = (silence.pattern, silence.until_ms, silence.made_ms, silence.note)
            self.connection.execute("INSERT OR REPLACE INTO silences VALUES (?, ?, ?, ?)", values)

    def unsilence(self, pattern: str) -> bool:
        """End a silence; whether there was one."""
        with self.transaction():
            return self.connection.execute("DELETE FROM silences WHERE pattern = ?", (pattern,)).rowcount > 0

    # deliveries

    def waiting(self) -> int:
        """Notifications on their way."""
        return self.number("SELECT count(*) FROM deliveries WHERE state = ?", WAITING)

    def add(self, route: str, rule: str, place: str, item: Item, now_ms: int, due_ms: int) -> None:
        """A notification for ``route``; it shares one of the same group that still waits for its time.

        What is due at once goes alone, and older news of its alert that waits is not told any more.
        """
        shared = "SELECT id, items, more FROM deliveries WHERE state = ? AND route = ? AND place = ? AND attempts = 0"
        found = self.rows(shared + " AND due_ms > ?", WAITING, route, place, now_ms)
        if due_ms <= now_ms:
            for id, items, more in found:
                self.take_out(id, orjson.loads(items), more, item["alert"])
        elif found:
            id, items, more = found[0]
            merged, over = with_item(orjson.loads(items), item)
            values = (orjson.dumps(merged).decode(), more + over, id)
            self.connection.execute("UPDATE deliveries SET items = ?, more = ? WHERE id = ?", values)
            return
        row = (new_ulid(now_ms), route, rule, place, WAITING, orjson.dumps([item]).decode(), 0, now_ms, due_ms, 0)
        self.connection.execute("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)

    def take_out(self, id: str, items: list[Item], more: int, alert: str) -> None:
        """Let a waiting delivery say nothing of ``alert``; one that has nothing else to say goes."""
        others = [item for item in items if item["alert"] != alert]
        if others and len(others) < len(items):
            values = (orjson.dumps(others).decode(), id)
            self.connection.execute("UPDATE deliveries SET items = ? WHERE id = ?", values)
        elif not others and not more:
            self.connection.execute("DELETE FROM deliveries WHERE id = ?", (id,))

    def next_due(self, route: str, now_ms: int) -> Delivery | None:
        """The delivery of ``route`` that should go out first, marked as tried before it is."""
        query = "state = ? AND route = ? AND due_ms <= ? ORDER BY id LIMIT 1"  # no end before its beginning
        if not self.deliveries_where(query, WAITING, route, now_ms):
            return None
        with self.transaction():
            found = self.deliveries_where(query, WAITING, route, now_ms)
            for delivery in found:
                mark = "UPDATE deliveries SET attempts = attempts + 1, tried_ms = ? WHERE id = ?"
                self.connection.execute(mark, (now_ms, delivery.id))
        return found[0] if found else None

    def settle(self, id: str, state: str, said: str, due_ms: int) -> None:
        """Write down how an attempt ended."""
        with self.transaction():
            values = (state, said, due_ms, id)
            self.connection.execute("UPDATE deliveries SET state = ?, said = ?, due_ms = ? WHERE id = ?", values)
            if state != WAITING:
                self.count(state)

    def deliveries_where(self, condition: str, *values: object) -> list[Delivery]:
        """Deliveries."""
        names = tuple(field.name for field in fields(Delivery))
        found = self.rows(f"SELECT {', '.join(names)} FROM deliveries WHERE {condition}", *values)  # noqa: S608  ours
        given = (dict(zip(names, row, strict=True)) for row in found)
        return [Delivery(**{**row, "items": orjson.loads(row["items"])}) for row in given]

    def give_up(self, made_before_ms: int) -> int:
        """Deliveries that are too old fail; how many did."""
        with self.transaction():
            query = "UPDATE deliveries SET state = ? WHERE state = ? AND made_ms < ?"
            number = self.connection.execute(query, (FAILED, WAITING, made_before_ms)).rowcount
            self.count(FAILED, number)
        return number

    def keep_house(self, forget_before_ms: int) -> None:
        """Forget deliveries beyond those that the list shows, and alerts of which nothing was heard for long."""
        with self.transaction():
            newest = "SELECT id FROM deliveries WHERE state != ? ORDER BY id DESC LIMIT ?"
            query = f"DELETE FROM deliveries WHERE state != ? AND id NOT IN ({newest})"  # noqa: S608  ours
            self.connection.execute(query, (WAITING, WAITING, KEPT_DELIVERIES))
            self.connection.execute("DELETE FROM alerts WHERE last_ms < ?", (forget_before_ms,))

    # counts

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count, within a transaction."""
        query = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = number + excluded.number"
        self.connection.execute(query, (name, number))

    def counts(self) -> dict[str, int]:
        """What was counted since the file was made."""
        return dict(self.rows("SELECT name, number FROM counts"))


def with_item(items: list[Item], item: Item) -> tuple[list[Item], int]:
    """A notification's alerts with one more, and 1 if there was no room; newer news of an alert takes its place."""
    others = [other for other in items if other["alert"] != item["alert"]]
    if len(others) < len(items):
        return [item if other["alert"] == item["alert"] else other for other in items], 0
    return ([*items, item], 0) if len(items) < MOST_ITEMS else (items, 1)
