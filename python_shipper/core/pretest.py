"""What a text must hold for a pattern to have any chance, so that most log texts never meet a regular expression.

The conditions are derived from the pattern itself, never written by hand: a condition that is too strict would let
personal data through. Where nothing can be derived the pattern is always tried.
"""

from __future__ import annotations

import re._constants as constants  # type: ignore[import-not-found]  # no stubs; the syntax tree of a pattern
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# Two classes of characters, each with the table that turns its members into one byte: a pattern that wants seven
# digits or separators in a row can only match where the translated text holds seven of that byte.
NUMERIC = frozenset("0123456789 ()+-")
CAPITAL = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
PLAIN_FORM, NUMERIC_FORM, CAPITAL_FORM = range(3)  # the text itself, and its two translations
MAX_SET = 4
GATE_RUN = 7
GATE = "#" * GATE_RUN


def table(members: frozenset[str]) -> bytes:
    """The translation of UTF-8 bytes under which every member of a class becomes `#` and `#` itself does not."""
    return bytes(35 if chr(b) in members else 0 if b == 35 else b for b in range(256))


NUMERIC_TABLE = table(NUMERIC)
CAPITAL_TABLE = table(CAPITAL)


@dataclass(frozen=True, slots=True)
class Needs:
    """Necessary conditions of one pattern: runs of a class, and groups of texts of each of which one must occur."""

    numeric: int
    capital: int
    texts: tuple[tuple[str, ...], ...]

    def tests(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The conditions as (which form of the text, parts of which one must be in it), the rarest met first."""
        runs = [(NUMERIC_FORM, ("#" * self.numeric,)), (CAPITAL_FORM, ("#" * self.capital,))]
        return (*(run for run in runs if run[1] != ("",)), *((PLAIN_FORM, group) for group in self.texts))


class Gates:
    """The conditions of a list of patterns, grouped so that a text is asked a few questions rather than all."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Derive the conditions of ``patterns``."""
        self._always: list[int] = []
        self._tests = []
        runs: tuple[list[int], list[int]] = ([], [])
        texts: dict[str, list[int]] = {}
        for index, need in enumerate(map(needs, patterns)):
            self._tests.append(need.tests())
            if max(need.numeric, need.capital) >= GATE_RUN:
                runs[need.numeric < GATE_RUN].append(index)
            elif need.texts:
                for text in min(need.texts, key=lambda group: (len(group), -min(map(len, group)))):
                    texts.setdefault(text, []).append(index)
            else:
                self._always.append(index)
        self._texts = tuple(texts.items())
        self._numeric, self._capital = runs

    def candidates(self, text: str) -> list[int]:
        """The indexes of the patterns that may match ``text``, rising."""
        # Bytes translate the fastest, strings are searched the fastest.
        encoded = text.encode("utf-8", "surrogatepass")
        numeric = encoded.translate(NUMERIC_TABLE).decode("latin-1")
        capital = encoded.translate(CAPITAL_TABLE).decode("latin-1")
        found = [indexes for part, indexes in self._texts if part in text]
        if GATE in numeric:
            found.append(self._numeric)
        if GATE in capital:
            found.append(self._capital)
        if not found:
            return self._always
        forms = (text, numeric, capital)
        asked = {index for indexes in found for index in indexes}
        return sorted([*self._always, *(index for index in asked if met(self._tests[index], forms))])


def met(tests: tuple[tuple[int, tuple[str, ...]], ...], forms: tuple[str, str, str]) -> bool:
    """Whether every test finds one of its parts in its form of the text; plain loops, for this runs per line."""
    for form, parts in tests:
        text = forms[form]
        for part in parts:
            if part in text:
                break
        else:
            return False
    return True


def needs(pattern: str) -> Needs:
    """The conditions that ``pattern`` (the syntax of masking.yml) puts on a text."""
    items = list(parser.parse(pattern))
    return Needs(longest_run(items, NUMERIC), longest_run(items, CAPITAL), tuple(required_texts(items)))


def longest_run(items: Iterable[Any], members: frozenset[str]) -> int:
    """The longest stretch of ``items`` whose characters all are in ``members``, in characters at the least."""
    longest = run = 0
    for inside, least in (extent(item, members) for item in items):
        run = run + least if inside else 0
        longest = max(longest, run if inside else least)
    return longest


def extent(item: Any, members: frozenset[str]) -> tuple[bool, int]:
    """Whether an item matches only ``members``, with its least length; otherwise the longest run inside of it."""
    op, value = item
    if op in (constants.ASSERT, constants.ASSERT_NOT):
        return True, 0
    if op is constants.MAX_REPEAT:
        least, _, body = value
        inside, length = whole(body, members)
        return inside, least * length if inside else (length if least else 0)
    if op is constants.SUBPATTERN:
        return whole(value[3], members)
    if op is constants.BRANCH:
        parts = [whole(body, members) for body in value[1]]
        if all(inside for inside, _ in parts):
            return True, min(length for _, length in parts)
        return False, min(longest_run(body, members) for body in value[1])
    characters = possible(item)
    return (characters is not None and characters <= members), 1 if characters and characters <= members else 0


def whole(body: Any, members: frozenset[str]) -> tuple[bool, int]:
    """``extent`` of a sequence."""
    parts = [extent(item, members) for item in body]
    if all(inside for inside, _ in parts):
        return True, sum(length for _, length in parts)
    return False, longest_run(body, members)


def possible(item: Any) -> frozenset[str] | None:
    """The characters that a one-character item can match; None where they are many or unknown."""
    op, value = item
    if op is constants.LITERAL:
        return frozenset(chr(value))
    if op is not constants.IN or any(part is constants.NEGATE or part is constants.CATEGORY for part, _ in value):
        return None
    ranges = [(v, v) if part is constants.LITERAL else v for part, v in value]
    if sum(high - low + 1 for low, high in ranges) > 256:
        return None
    return frozenset(chr(c) for low, high in ranges for c in range(low, high + 1))


def required_texts(items: Iterable[Any]) -> Iterator[tuple[str, ...]]:
    """Groups of texts: every match holds at least one text of each group."""
    literal = ""
    for item in [*items, (None, None)]:
        op, value = item
        if op is constants.LITERAL:
            literal += chr(value)
            continue
        if literal:
            yield (literal,)
            literal = ""
        yield from inner_texts(item)


def inner_texts(item: Any) -> Iterator[tuple[str, ...]]:
    """The groups that a single item other than a literal asks for."""
    op, value = item
    if op is constants.SUBPATTERN:
        yield from required_texts(value[3])
    elif op is constants.MAX_REPEAT and value[0] > 0:
        yield from required_texts(value[2])
    elif op is constants.BRANCH:
        found = [list(required_texts(body)) for body in value[1]]
        if all(found):
            # Of each branch the group with the longest texts: it is met the least often.
            best = [max(groups, key=lambda group: min(map(len, group))) for groups in found]
            texts = {text for group in best for text in group}
            # A text that holds another one of the group adds nothing to it.
            yield tuple(sorted(text for text in texts if not any(o in text for o in texts if o != text)))
    elif op is constants.IN:
        characters = possible(item)
        if characters and len(characters) <= MAX_SET:
            yield tuple(sorted(characters))
