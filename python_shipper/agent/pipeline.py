"""A raw line in, its index, id and document out: the agent's counterpart of Logstash's ``normalize.rb``.

A line that our own emission wrote is checked against the contract and passes as it is, masked once more (the quick
way); anything unusual goes through :mod:`~python_shipper.core.normalize`. What cannot be stored as a log becomes a
document of the dead letters, so every line has exactly one document.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from python_shipper.agent import decode, quick
from python_shipper.agent.quick import stored_ms
from python_shipper.contract import contract, deployed
from python_shipper.core import Event, names
from python_shipper.core.extra import cut
from python_shipper.core.masking import Masker, default_masker
from python_shipper.core.normalize import nested, normalized
from python_shipper.core.ulid import hashed_ulid
from python_shipper.core.values import moment_text
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

TIMESTAMP_NAMES = ("@timestamp", "timestamp")
DAY_MS = 86_400_000
NO_SERVICE: Event = {}
OVERFLOW = "overflow"  # the index part of services that LOG_SERVICES does not name
POLICY = "christmas-logs-30d.json"
OUR_FILE = re.compile(r"(?:.*/)?([a-z0-9][a-z0-9_-]{0,63})(?:\.[0-9]+)?\.ecs\.log(?:\.[0-9]{6})?", re.DOTALL)


class Source(NamedTuple):
    """Where a line stands: the file's path and fingerprint (64 hex), and the line's first byte."""

    path: str
    fingerprint: str
    offset: int


class Routed(NamedTuple):
    """One document, its id and the index it belongs in."""

    index: str  # type: ignore[assignment]  # hides tuple.index, which nobody calls on it
    id: str
    document: Event


@dataclass(frozen=True, slots=True)
class Judged:
    """Why a line is a dead letter, and the index it would have gone to where that is known."""

    reason: str
    index: str | None = None


class Pipeline:
    """Normalises, masks and routes raw lines; holds no state between lines, so threads may share it."""

    def __init__(
        self, masker: Masker | None = None, retention_days: int | None = None, services: str | None = None
    ) -> None:
        """Take the settings' masker, the ILM policy's age and the settings' LOG_SERVICES unless others are given."""
        allowed = services or Settings.from_environment().log_services or ""
        self._allowed = {names.index_part(name.strip()) for name in allowed.split(",") if name.strip()}
        self._masker = masker or default_masker()
        self._retention_ms = (retention_days or policy_days()) * DAY_MS
        self._future_ms = contract().limits.future_seconds * 1000
        self._checked = quick.Checked(self._masker)

    def process(self, raw: bytes, source: Source, now_ms: int) -> Routed:
        """The document of one line, at the moment ``now_ms`` (milliseconds since 1970).

        Never raises for what a line holds: what is no log event becomes a dead letter.
        """
        line = decode.line_bytes(raw)
        value = decode.quick(line)
        todo = self._checked.todo(value) if type(value) is dict else None
        if todo is not None:
            return self._quickly(value, todo, line, source, now_ms)
        return self._carefully(line, source, now_ms)

    def refused(self, raw: bytes, source: Source, index: str, now_ms: int) -> Routed:
        """The dead letter of a line whose document the store did not take into ``index``."""
        line = decode.line_bytes(raw)
        return self._dead_letter(decode.line_text(line), Judged("mapping", index), source, now_ms)

    def _quickly(self, document: Event, todo: quick.Todo, line: bytes, source: Source, now_ms: int) -> Routed:
        ms = stored_ms(document["@timestamp"])
        index = self._index(document.get("service", NO_SERVICE).get("name"), ms)
        judged = self._too_old_or_ahead(ms, index, now_ms)
        if judged:
            return self._dead_letter(decode.line_text(line), judged, source, now_ms)
        self._checked.mask(todo)
        log = document.setdefault("log", {})
        log["file"], log["offset"] = {"path": source.path}, source.offset
        return Routed(index, document["event"]["id"], document)

    def _carefully(self, line: bytes, source: Source, now_ms: int) -> Routed:
        text = decode.line_text(line)
        try:
            value = decode.parse(text)
        except ValueError:
            return self._dead_letter(text, Judged("not_json"), source, now_ms)
        if not isinstance(value, dict):
            return self._dead_letter(text, Judged("not_object"), source, now_ms)
        fields = normalized(value, self._masker)
        if "@timestamp" not in fields:
            given = any(value.get(name) not in (None, {}) for name in TIMESTAMP_NAMES)
            return self._dead_letter(text, Judged("bad_timestamp" if given else "no_timestamp"), source, now_ms)
        return self._route(fields, text, source, now_ms)

    def _route(self, fields: Event, text: str, source: Source, now_ms: int) -> Routed:
        ms = stored_ms(fields["@timestamp"])
        index = self._index(fields.get("service.name"), ms)
        judged = self._too_old_or_ahead(ms, index, now_ms)
        if judged:
            return self._dead_letter(text, judged, source, now_ms)
        fields.setdefault("ecs.version", contract().ecs_version)
        if "event.id" not in fields:
            fields["event.id"] = hashed_ulid(line_digest(source, text), ms)
        fields["log.file.path"], fields["log.offset"] = source.path, source.offset
        return Routed(index, fields["event.id"], nested(fields))

    def _index(self, service: str | None, ms: int) -> str:
        if self._allowed and names.index_part(service) not in self._allowed:
            service = OVERFLOW
        return log_index(service, ms // DAY_MS)

    def _too_old_or_ahead(self, ms: int, index: str, now_ms: int) -> Judged | None:
        if ms - ms % DAY_MS + self._retention_ms <= now_ms:
            return Judged("expired", index)
        return Judged("future", index) if ms > now_ms + self._future_ms else None

    def _dead_letter(self, text: str, judged: Judged, source: Source, now_ms: int) -> Routed:
        letter = hashed_ulid(line_digest(source, text), None)
        fields = {
            "@timestamp": moment_text(now_ms),
            "message": cut(self._masker.text(text)),
            "ecs.version": contract().ecs_version,
            "event.id": letter,
            "christmas.dead_letter.reason": judged.reason,
            "christmas.dead_letter.index": judged.index,
            "service.name": service_of(source.path),
            "log.file.path": source.path,
            "log.offset": source.offset,
        }
        index = f"christmas-dead-letters-{names.day(now_ms)}"
        return Routed(index, letter, nested({path: value for path, value in fields.items() if value is not None}))


def line_digest(source: Source, text: str) -> bytes:
    """The hash that names a line which names itself not: SHA-256 of fingerprint (else path), offset, text."""
    identity = f"{source.fingerprint or source.path}\n{source.offset}\n{text}"
    return hashlib.sha256(identity.encode()).digest()


def service_of(path: str) -> str | None:
    """The service's part of a file name that follows our naming (`orders.2.ecs.log.000007`), else None."""
    ours = OUR_FILE.fullmatch(path)
    return ours[1] if ours else None


@lru_cache(maxsize=4096)
def log_index(service: str | None, days: int) -> str:
    """The index of a log line of ``service`` on the UTC day ``days`` after 1970-01-01."""
    return names.log_index(service, days * DAY_MS)


@cache
def policy_days() -> int:
    """The days after which ILM deletes a log index, as its policy says.

    Raises:
        ConfigurationError: the policy has no delete phase with an age in days.
    """
    path = deployed("ilm_policies") / POLICY
    try:
        age = json.loads(path.read_text())["policy"]["phases"]["delete"]["min_age"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path}: no policy.phases.delete.min_age can be read from it; correct it") from error
    if not re.fullmatch("[1-9][0-9]{0,4}d", str(age)):
        raise ConfigurationError(f"{path}: expected delete.min_age in days, such as 30d, got {age!r}; correct it")
    return int(age[:-1])
