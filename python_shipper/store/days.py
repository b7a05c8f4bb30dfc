"""Where an index lives on disk: `DATA_DIR/store/<family>/<yyyy-MM-dd>/` holds all indices of one family and UTC day."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from python_shipper.errors import QueryError, StoreError

FAMILIES = ("logs", "dead-letters", "audit", "restored")
NAME = re.compile(rf"christmas-({'|'.join(FAMILIES)})-(?:.+-)?([0-9]{{4}})\.([0-9]{{2}})\.([0-9]{{2}})")
FOLDER = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY_MS = 86_400_000
FIRST = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """One family's UTC day."""

    date: date
    family: str

    def folder(self, root: Path) -> Path:
        """Its folder under the store's ``root``."""
        return root / self.family / self.date.isoformat()

    @property
    def start_ms(self) -> int:
        """Its first millisecond since 1970."""
        return (self.date.toordinal() - FIRST) * DAY_MS

    @property
    def suffix(self) -> str:
        """How the names of its indices end."""
        return f"-{self.date:%Y.%m.%d}"


def store_root(data_dir: Path) -> Path:
    """The folder of the embedded store."""
    return data_dir / "store"


@lru_cache(maxsize=4096)
def day_of(index: str) -> Day:
    """The family and day that an index name tells.

    Raises:
        StoreError: the name is none of this project's.
    """
    match = NAME.fullmatch(index)
    try:
        if match:
            return Day(date(int(match[2]), int(match[3]), int(match[4])), match[1])
    except ValueError:
        pass
    raise StoreError(f"{index}: not an index name of the form christmas-<{'|'.join(FAMILIES)}>-…-yyyy.MM.dd")


def kept_days(root: Path) -> list[Day]:
    """The days that have a folder with an index in it, oldest first."""
    return sorted(day for day in named_days(root) if (day.folder(root) / "meta.json").exists())


def named_days(root: Path) -> Iterator[Day]:
    """The days that have a folder, in no order: the quick way of a search, which looks into few of them."""
    for family in FAMILIES:
        with suppress(FileNotFoundError):
            yield from (day for name in os.listdir(root / family) if (day := day_named(family, name)))  # noqa: PTH208


@lru_cache(maxsize=4096)
def day_named(family: str, name: str) -> Day | None:
    """The day of a folder's name; None if it is no day's."""
    try:
        return Day(date.fromisoformat(name), family) if FOLDER.fullmatch(name) else None
    except ValueError:
        return None


def tree_size(folder: Path) -> int:
    """Bytes of the files below a folder; one that a merge removes meanwhile counts as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118  many files, hot in status
    return total


@dataclass(frozen=True, slots=True)
class Pattern:
    """The index names that a request asks for: a comma list of names, `*` patterns and `-` exclusions."""

    wanted: tuple[str, ...]
    excluded: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """The pattern in ``text``; empty, ``_all`` and ``*`` mean every index.

        Raises:
            QueryError: the text holds something that no index name has.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()] or ["*"]
        for part in parts:
            if re.search(r"[^a-z0-9_.*-]", part):
                raise QueryError(f"index {part!r}: a name has only a-z 0-9 - _ . and the pattern sign *")
        wanted = tuple("*" if part == "_all" else part for part in parts if not part.startswith("-"))
        return cls(wanted or ("*",), tuple(part[1:] for part in parts if part.startswith("-")))

    def matches(self, index: str) -> bool:
        """Whether the request asks for ``index``."""
        return matches_any(index, self.wanted) and not matches_any(index, self.excluded)

    def may_match(self, day: Day) -> bool:
        """Whether any index of ``day`` could be asked for, judged by family and date alone."""
        head = f"christmas-{day.family}-"
        return any(could_match(part, head, day.suffix) for part in self.wanted)

    def takes_all_of(self, day: Day) -> bool:
        """Whether every index of ``day`` is asked for, so that no filter on the name is needed."""
        head = f"christmas-{day.family}-"
        return not self.excluded and any(
            part == "*" or (part.endswith("*") and head.startswith(part[:-1])) for part in self.wanted
        )


def matches_any(index: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of ``patterns`` matches (only ``*`` has a meaning, names hold no other sign)."""
    return any(fnmatchcase(index, pattern) for pattern in patterns)


@lru_cache(maxsize=4096)
def could_match(pattern: str, head: str, suffix: str) -> bool:
    """Whether some name that starts with ``head`` and ends with ``suffix`` matches ``pattern``."""
    first, star, _ = pattern.partition("*")
    if not star:
        return pattern.startswith(head) and pattern.endswith(suffix)
    last = pattern.rpartition("*")[2]
    return (head.startswith(first) or first.startswith(head)) and (suffix.endswith(last) or last.endswith(suffix))
