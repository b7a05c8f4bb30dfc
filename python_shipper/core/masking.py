"""Personal data and secrets are replaced before a line touches disk, by the rules of ``contract/masking.yml``.

The agent, queries and Logstash apply the same rules again; a value that was masked before is left alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from python_shipper.contract import Contract, Field, Rule, contract, masking_rules, own_rules
from python_shipper.core import Event
from python_shipper.core.checks import CHECKS
from python_shipper.core.pretest import Gates
from python_shipper.core.values import lowered, text_of
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

DROPPED = "[dropped]"
KEPT_CHARACTERS = 4
SHORTEST_KEPT = 8
LEAST_DIGITS = 12
LEAST_KEY_BYTES = 16
REMEMBERED = 2048
REMEMBERED_CHARACTERS = 200
_MASKED = re.compile(r"\*\*\*.{0,4}|hmac:[0-9a-f]{8}:[0-9a-f]{32}|\[dropped\]", re.DOTALL)
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")
_NOT_WORD = re.compile(r"[^a-z0-9가-힣]+")
_MASKED_TYPES = frozenset({"keyword", "match_only_text", "wildcard", "flattened"})


def words(key: str) -> str:
    """A key's name in the form that rules compare: `customerEmail` and `Customer-Email` give `customer_email`."""
    return _NOT_WORD.sub("_", _CAMEL.sub(r"\1_\2", key).lower()).strip("_")


def is_masked(text: str) -> bool:
    """Whether the whole of ``text`` has the form that masking leaves behind."""
    return _MASKED.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """One compiled pattern of a rule."""

    regex: re.Pattern[str]
    group: int
    check: Callable[[str], bool] | None
    replace: Callable[[str], str]

    def apply(self, text: str) -> str:
        """``text`` with every match, or its group 1, replaced."""
        return self.regex.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        found = match[self.group]
        if is_masked(found) or (self.check is not None and not self.check(found)):
            return match[0]
        start, end = match.span(self.group)
        return match[0][: start - match.start()] + self.replace(found) + match[0][end - match.start() :]


class Masker:
    """Applies masking rules to texts, values and whole events; safe to share between threads."""

    def __init__(self, rules: Sequence[Rule], contract: Contract, hash_key: bytes | None) -> None:
        """Compile ``rules``; ``hash_key`` is what the action `hash` signs with.

        Raises:
            ConfigurationError: a rule hashes and there is no key, or a pattern is not a regular expression.
        """
        self._hash_key = hash_key
        self._key_id = hashlib.sha256(hash_key).hexdigest()[:8] if hash_key else ""
        self._fields = contract.fields
        self._keys = [(key, self._action(rule)) for rule in rules for key in map(words, rule.keys)]
        self._patterns = [self._compiled(rule, pattern) for rule in rules for pattern in rule.patterns]
        self._gates = Gates([pattern.regex.pattern for pattern in self._patterns])
        self._actions: dict[str, Callable[[str], str] | None] = {}
        self.clean: set[str] = set()  # short texts known to hold nothing, so that a constant message costs a look-up

    def text(self, text: str) -> str:
        """``text`` with every match of every pattern replaced."""
        if text in self.clean:
            return text
        masked = self._by_patterns(text)
        if masked == text and len(text) <= REMEMBERED_CHARACTERS:
            if len(self.clean) >= REMEMBERED:
                self.clean.clear()
            self.clean.add(text)
        return masked

    def value(self, key: str, value: Any) -> Any:
        """A JSON value found under ``key``: by the key's name, or leaf by leaf by patterns and the names inside it."""
        action = self.action(key)
        if action is not None:
            return self._treated(value, action)
        if isinstance(value, str):
            return value if value in self.clean else self.text(value)
        if isinstance(value, Mapping):
            return {inner: self.value(inner, item) for inner, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value("", item) for item in value]
        return self._number(value) if isinstance(value, int) else value

    def event(self, event: Event) -> Event:
        """A copy of an event in nested ECS form with every field masked that the contract does not exempt."""
        return {name: self._branch(name, value) for name, value in event.items()}

    def hashed(self, text: str) -> str:
        """What the action `hash` leaves of ``text``: `hmac:<key id>:<32 hex>`; a query for it hashes its literal."""
        assert self._hash_key is not None, "a rule that hashes is refused without a key"  # noqa: S101
        plain = lowered(text).replace(" ", "").replace("-", "").encode("utf-8", "replace")
        return f"hmac:{self._key_id}:{hmac.new(self._hash_key, plain, 'sha256').hexdigest()[:32]}"

    def action(self, key: str) -> Callable[[str], str] | None:
        """What the first rule that knows the name ``key`` does to a value; None where no rule does."""
        try:
            return self._actions[key]
        except KeyError:
            name = words(key)
            found = next((act for known, act in self._keys if name == known or name.endswith("_" + known)), None)
            if len(self._actions) >= REMEMBERED:
                self._actions.clear()
            self._actions[key] = found
            return found

    def _branch(self, path: str, value: Any) -> Any:
        field = self._fields.get(path)
        if field is not None:
            return value if untouched(field) else self.field(field, value)
        if isinstance(value, Mapping):
            return {name: self._branch(f"{path}.{name}", item) for name, item in value.items()}
        return self.value(path.rpartition(".")[2], value)

    def field(self, field: Field, value: Any) -> Any:
        """The value of a field of the contract that masking does not leave alone."""
        return self.value("" if field.type == "flattened" else field.path.rpartition(".")[2], value)

    def _by_patterns(self, text: str) -> str:
        """All patterns in order, and again until nothing changes: what one left may be what another wants."""
        while (masked := self._once(text)) != text:
            text = masked
        return text

    def _once(self, text: str) -> str:
        candidates = self._gates.candidates(text)
        if not candidates or is_masked(text):
            return text
        following = 0
        while candidates:
            index, candidates = candidates[0], candidates[1:]
            replaced = self._patterns[index].apply(text) if index >= following else text
            if replaced != text:
                # What a later pattern needs may have come or gone with the replacement.
                text, following = replaced, index + 1
                candidates = self._gates.candidates(text)
        return text

    def _treated(self, value: Any, action: Callable[[str], str]) -> Any:
        if isinstance(value, Mapping):
            return {name: self._treated(item, action) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._treated(item, action) for item in value]
        if value is None or isinstance(value, bool):
            return value
        text = text_of(value) if isinstance(value, str | int | float) else str(value)
        return text if is_masked(text) or not text else action(text)

    def _number(self, value: int) -> int | str:
        if abs(value) < 10 ** (LEAST_DIGITS - 1):
            return value
        text = str(value)
        masked = self._by_patterns(text)
        return value if masked == text else masked

    def _action(self, rule: Rule) -> Callable[[str], str]:
        if rule.action == "hash" and not self._hash_key:
            raise ConfigurationError(
                f"masking rule {rule.name}: action hash needs a key; set LOG_HASH_KEY_FILE to a file of random bytes"
            )
        return {"mask": last_four, "hash": self.hashed, "drop": dropped}[rule.action]

    def _compiled(self, rule: Rule, pattern: str) -> Pattern:
        try:
            regex = re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"masking rule {rule.name}: {pattern!r} is not a pattern: {error}") from error
        check = CHECKS[rule.check] if rule.check else None
        return Pattern(regex, 1 if regex.groups else 0, check, self._action(rule))


def untouched(field: Field) -> bool:
    """Whether masking leaves a field alone: an identifier, a number, a date, a boolean or an address."""
    return field.exempt or field.type not in _MASKED_TYPES


def last_four(text: str) -> str:
    """`***` and the last 4 characters; of a text shorter than 8 characters `***` alone."""
    return "***" + (text[-KEPT_CHARACTERS:] if len(text) >= SHORTEST_KEPT else "")


def dropped(_: str) -> str:
    """Nothing of the value."""
    return DROPPED


def read_hash_key(path: Path) -> bytes:
    """The key in the file ``path``, without surrounding white space.

    Raises:
        ConfigurationError: the file cannot be read or holds fewer than 16 bytes.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"LOG_HASH_KEY_FILE: cannot read {path}: {error.strerror}; correct it") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(f"LOG_HASH_KEY_FILE: {path} holds {len(key)} bytes, at least 16 are needed")
    return key


@cache
def default_masker() -> Masker:
    """The masker of the environment's settings (LOG_MASKING_FILE, LOG_HASH_KEY_FILE), made once.

    Raises:
        ConfigurationError: a file cannot be read, or a rule cannot be used.
    """
    return masker_of(Settings.from_environment())


def masker_of(settings: Settings) -> Masker:
    """The masker that ``settings`` ask for.

    Raises:
        ConfigurationError: a file cannot be read, or a rule cannot be used.
    """
    rules = own_rules(settings.log_masking_file) if settings.log_masking_file else masking_rules()
    key = read_hash_key(settings.log_hash_key_file) if settings.log_hash_key_file else None
    return Masker(rules, contract(), key)
