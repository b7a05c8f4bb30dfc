"""An id for every line that sorts by time and costs a fraction of a microsecond: the ULID (github.com/ulid/spec).

26 characters of Crockford's base 32: 10 for the milliseconds since 1970, 16 for 80 random bits. The random part is
drawn once a process and then counted up, so ids of one millisecond keep their order; a forked child draws its own.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAIRS = tuple(a + b for a in ALPHABET for b in ALPHABET)
MAX_MS = 2**48 - 1
_BLOCK_BITS = 20
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def encoded(number: int, length: int) -> str:
    """``number`` in ``length`` characters of Crockford's base 32."""
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


class Heads(dict[int, str]):
    """The 12 characters before the last four: the seed plus the number of full blocks of 2**20 ids."""

    def __init__(self) -> None:
        super().__init__()
        # The top bit stays clear, so counting up never overflows 60 bits.
        self.seed = int.from_bytes(os.urandom(8)) >> 5

    def __missing__(self, block: int) -> str:
        self.clear()
        self[block] = head = encoded(self.seed + block, 12)
        return head


class Uppers(dict[int, str]):
    """The first 8 characters of a time by its milliseconds // 1024; only the newest is kept."""

    def __missing__(self, high: int) -> str:
        self.clear()
        self[high] = upper = encoded(high, 8)
        return upper


class Sequence:
    """This process's place in the random part; ``count`` hands out numbers atomically, without a lock."""

    heads: Heads
    count: Iterator[int]

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Draw a new random part; a forked child must, or it would repeat its parent's ids."""
        global _newest
        _newest = (-1, -1, "")
        self.heads = Heads()
        self.count = itertools.count(int.from_bytes(os.urandom(2)))


sequence = Sequence()
uppers = Uppers()
# The newest ids' first 24 characters: many ids of one millisecond share them. (ms, number // 1024, characters)
_newest: tuple[int, int, str] = (-1, -1, "")
os.register_at_fork(after_in_child=sequence.reseed)


def new_ulid(ms: int | None = None) -> str:
    """A new id for the time ``ms`` (milliseconds since 1970; default: now), later than all before it of that time."""
    global _newest
    if ms is None:
        ms = time.time_ns() // 1_000_000
    number = next(sequence.count)
    at, high, beginning = _newest
    if at != ms or high != number >> 10:
        high, within = number >> 10, min(max(ms, 0), MAX_MS)
        head = sequence.heads[number >> _BLOCK_BITS]
        beginning = f"{uppers[within >> 10]}{PAIRS[within & 1023]}{head}{PAIRS[high & 1023]}"
        _newest = ms, high, beginning
    return beginning + PAIRS[number & 1023]


def is_ulid(text: object) -> bool:
    """Whether ``text`` is a ULID in upper case, as this package writes it."""
    return isinstance(text, str) and _SHAPE.fullmatch(text) is not None


def hashed_ulid(digest: bytes, ms: int | None) -> str:
    """A ULID-shaped id from a hash: time ``ms`` and the digest's first 10 bytes, or without time its first 16 bytes."""
    if ms is None:
        return encoded(int.from_bytes(digest[:16]), 26)
    return encoded(min(max(ms, 0), MAX_MS), 10) + encoded(int.from_bytes(digest[:10]), 16)
