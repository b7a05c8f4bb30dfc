"""Regular expressions for tantivy's term dictionary: prefixes and wildcards."""

from __future__ import annotations

import re
from functools import lru_cache

ANYTHING = "(?s:.)*"
SPECIAL = frozenset(r"\.+*?()|[]{}^$#&-~")


def escaped(text: str, ignore_case: bool = False) -> str:
    """An expression that matches ``text`` itself, ASCII letters in either case if ``ignore_case``."""
    return "".join(letter(char, ignore_case) for char in text)


def letter(char: str, ignore_case: bool) -> str:
    """An expression for one character."""
    if ignore_case and char.isascii() and char.isalpha():
        return f"[{char.lower()}{char.upper()}]"
    return f"\\{char}" if char in SPECIAL else char


def wildcard(text: str, ignore_case: bool = False) -> str:
    """The expression of a wildcard pattern: ``*``, ``?``, and a backslash before a sign that is meant itself."""
    parts, characters = [], iter(text)
    for char in characters:
        if char == "*":
            parts.append(ANYTHING)
        elif char == "?":
            parts.append("(?s:.)")
        else:
            parts.append(letter(next(characters, "\\") if char == "\\" else char, ignore_case))
    return "".join(parts)


@lru_cache(maxsize=256)
def simple(pattern: str) -> re.Pattern[str]:
    """A compiled pattern in which only ``*`` has a meaning."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def simple_match(pattern: str, name: str) -> bool:
    """Whether ``name`` fits ``pattern``, in which ``*`` stands for any text."""
    return simple(pattern).fullmatch(name) is not None
