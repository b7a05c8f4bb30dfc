"""Lines of text, as log files were before JSON: time, level and names are found by patterns, in tables.

What is found comes out under the contract's short names, and is judged from there on like a flat JSON line.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from python_shipper.contract import contract
from python_shipper.core.clock import now_ms
from python_shipper.core.values import EPOCH, moment_text

HEAD = 160  # characters of a line in which its time and level are looked for
MONTHS = {name: n for n, name in enumerate(re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec"), 1)}
MONTH = "(?P<name>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?"
ZONE = r"(?: ?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})(?![0-9]))?"

# How times are written, the most telling form first; the first that is found in the head of a line is its time.
TIMES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![0-9])(?P<year>[0-9]{{4}})[-/.](?P<month>[0-9]{{2}})[-/.](?P<day>[0-9]{{2}})[T ]{CLOCK}{ZONE}",
        r"(?<![0-9])(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})-"
        r"(?P<hour>[0-9]{2})\.(?P<minute>[0-9]{2})\.(?P<second>[0-9]{2})\.(?P<fraction>[0-9]{1,9})",
        rf"(?P<day>[0-9]{{2}})/{MONTH}/(?P<year>[0-9]{{4}}):{CLOCK}{ZONE}",
        rf"{MONTH} +(?P<day>[0-9]{{1,2}}) {CLOCK} (?P<year>[0-9]{{4}})(?![0-9])",
        rf"(?<![0-9])(?P<year>[0-9]{{2}})/(?P<month>[0-9]{{2}})/(?P<day>[0-9]{{2}}) {CLOCK}",
        r"^(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2}) "
        r"(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})(?= )",
        rf"^(?:<[0-9]+>)?{MONTH} +(?P<day>[0-9]{{1,2}}) {CLOCK}(?= )",
    )
)

# Words for a level → the level.
LEVELS = {
    "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warning", "warning": "warning",
    "err": "error", "error": "error", "severe": "error", "crit": "critical", "critical": "critical",
    "fatal": "critical", "alert": "critical", "emerg": "critical", "panic": "critical",
}  # fmt: skip
UPPER = "|".join(word.upper() for word in LEVELS)
ANY = "|".join(LEVELS)
LEVEL = re.compile(rf"(?<![A-Za-z0-9_.])(?:(?P<word>{UPPER})(?![A-Za-z0-9_.])|\[(?P<in>(?i:{ANY}))\])")
BEFORE = re.compile(r"^[\s\-\[\]|:]*(?P<module>[A-Za-z_][\w.$-]*)[\s\-\[\]|:]*$")
AFTER = re.compile(r"^[\s\]\-|:]*(?:\[[^\]]*\][\s:]+)?(?P<module>[A-Za-z_][\w.$]*)(?: -|:) ")

NAMES = sorted(
    set(contract().short_names) - {"timestamp", "level", "stack_trace"} | {"event_id"}, key=len, reverse=True
)
GIVEN = re.compile(
    rf"(?<![\w.\-])[\"']?(?P<name>{'|'.join(NAMES)})[\"']?\s?[=:]\s?"
    r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s,;|)\]}\"']+))"
)
TOOK = re.compile(
    r"\b(?:took|elapsed|duration)[ :=]+(?P<count>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>ms|msec|s|sec|seconds|us|µs)\b"
)
AMOUNT = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|us|µs)")
UNIT_MS = {"ms": 1.0, "msec": 1.0, "s": 1000.0, "sec": 1000.0, "seconds": 1000.0, "us": 0.001, "µs": 0.001}
EXCEPTION = re.compile(r"\b(?:[a-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Timeout))\b")
FAILURES = ("error", "critical")
NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def read_plain(text: str, zone: tzinfo = UTC) -> dict[str, Any] | None:
    """What a line of text says under short names, its time in UTC; None where nothing of a log line is found in it."""
    found = timed(text, zone)
    if found is None:
        level = LEVEL.search(text[:HEAD])
        return {"level": word_of(level), "message": text} if level and level.start() == 0 else None
    when, start, end = found
    line: dict[str, Any] = {"timestamp": when}
    head, rest = text[:start], text[end:]
    level = LEVEL.search(rest[:HEAD]) or LEVEL.search(head)
    if level:
        line["level"] = word_of(level)
    line |= layout(rest, level if level and level.string is not head else None)
    line |= names(text)
    if "error_type" not in line and line.get("level") in FAILURES and (kind := EXCEPTION.search(rest)):
        line["error_type"] = kind[1]
    return line


def timed(text: str, zone: tzinfo) -> tuple[str, int, int] | None:
    """A line's time in its stored form, and where in the line it stands."""
    for pattern in TIMES:
        match = pattern.search(text[:HEAD])
        if match and (when := moment(match.groupdict(), zone)) is not None:
            return moment_text(round((when - EPOCH) / timedelta(milliseconds=1))), match.start(), match.end()
    return None


def moment(parts: dict[str, str | None], zone: tzinfo) -> datetime | None:
    """The moment that the parts of a time make; without a year the last such day before now."""
    month = int(parts["month"] or 0) if "month" in parts else MONTHS[str(parts["name"]).lower()]
    day, hour, minute, second = (int(parts[name] or 0) for name in ("day", "hour", "minute", "second"))
    year, milliseconds = int(parts.get("year") or 0), int((parts.get("fraction") or "0")[:3].ljust(3, "0"))
    now = EPOCH + timedelta(milliseconds=now_ms())
    try:
        if "year" not in parts:
            when = datetime(now.year, month, day, hour, minute, second, milliseconds * 1000, offset(parts, zone))
            return when if when <= now + timedelta(days=1) else when.replace(year=now.year - 1)
        year += 2000 if year < 100 else 0
        return datetime(year, month, day, hour, minute, second, milliseconds * 1000, offset(parts, zone)).astimezone(
            UTC
        )
    except (ValueError, OverflowError):
        return None


def offset(parts: dict[str, str | None], zone: tzinfo) -> tzinfo:
    """The zone that a time names, or ``zone``."""
    given = parts.get("zone")
    if not given:
        return zone
    return UTC if given == "Z" else datetime.strptime(given, "%z").tzinfo or UTC


def word_of(level: re.Match[str]) -> str:
    """The level that a match tells."""
    return LEVELS[(level["word"] or level["in"]).lower()]


def layout(rest: str, level: re.Match[str] | None) -> dict[str, Any]:
    """Module and message, by where they stand: ``time - module - LEVEL - message``, ``time LEVEL module: message``."""
    if level is None:
        return {"message": rest.strip(" -:|]\t")}
    found: dict[str, Any] = {}
    message = rest[level.end() :]
    if before := BEFORE.match(rest[: level.start()]):
        found["module"] = before["module"]
    elif after := AFTER.match(message):
        found["module"], message = after["module"], message[after.end() :]
    return found | {"message": message.strip(" -:|]\t")}


def names(text: str) -> dict[str, Any]:
    """The values that stand beside a short name: ``event_type=click``, ``ad_id: 'x'``, ``"duration_ms": 12``."""
    found: dict[str, Any] = {}
    for match in GIVEN.finditer(text):
        quoted = match["double"] if match["double"] is not None else match["single"]
        value = match["bare"].rstrip(".") if quoted is None else quoted
        if value != "":
            found.setdefault(match["name"], value)
    for name in ("duration", "duration_ms"):
        found |= in_unit(name, found.pop(name)) if name in found else {}
    if not {"duration", "duration_ms"} & set(found) and (took := TOOK.search(text)):
        found["duration_ms"] = float(took["count"]) * UNIT_MS[took["unit"]]
    if identity := found.pop("event_id", None):
        found["event.id"] = identity
    return found


def in_unit(name: str, value: str) -> dict[str, float]:
    """A duration as a number: one with a unit in ms, one without in the unit of its name; nothing else is one."""
    if amount := AMOUNT.fullmatch(value):
        return {"duration_ms": float(amount["count"]) * UNIT_MS[amount["unit"]]}
    return {name: float(value)} if NUMBER.fullmatch(value) else {}
