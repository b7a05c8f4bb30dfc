"""Two errors are the same one if their type and their way through the code are: a short text that tells.

Line numbers, addresses, ids and the folder of a deployment are left out, so that the next release's error of the same
cause keeps its fingerprint. It comes out the same from an exception and from the text in ``error.stack_trace``.
"""

from __future__ import annotations

import hashlib
import re

from python_shipper.core.plain import safe_text
from python_shipper.core.records import stack_text

LENGTH = 16
PATH_PARTS = 3
CUT = 20_000  # characters of a text without Python frames that count
FRAME = re.compile(r'^[ |+-]*File "([^"\n]*)", line [0-9]+, in (.+)$', re.MULTILINE)
LIBRARIES = re.compile(r".*/(?:site-packages|dist-packages|python[0-9.]+)/")
QUOTED = re.compile(r"'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"")
WORD = re.compile(r"[A-Za-z0-9_-]+")
DIGIT = re.compile(r"[0-9]")


def fingerprint(error_type: str | None, stack_trace: str | None = None, message: str | None = None) -> str:
    """16 hex digits for an error, from `error.type`, `error.stack_trace` and `error.message`.

    Args:
        error_type: name of the exception's class, with or without its module.
        stack_trace: Python's traceback text with all its causes, or another language's.
        message: counts only where there is no stack trace, without what differs from case to case.
    """
    name = (error_type or "").rpartition(".")[2]
    way = "\n".join(frames(stack_trace or "")) or same(stack_trace or message or "")
    return hashlib.sha256(f"{name}\n{way}".encode("utf-8", "replace")).hexdigest()[:LENGTH]


def fingerprint_of(error: BaseException) -> str:
    """The fingerprint of an exception: the same that its log line gives."""
    stack = stack_text((type(error), error, error.__traceback__), None) if error.__traceback__ else None
    return fingerprint(type(error).__name__, stack, safe_text(error))


def frames(stack_trace: str) -> list[str]:
    """File and function of each frame of a Python traceback, each once: a recursion's depth does not count."""
    return list(dict.fromkeys(f"{place(path)}:{function.strip()}" for path, function in FRAME.findall(stack_trace)))


def place(path: str) -> str:
    """A source file without the folders that differ between machines and releases."""
    path = path.replace("\\", "/")
    inner = LIBRARIES.sub("", path)
    return inner if inner != path else "/".join(path.split("/")[-PATH_PARTS:])


def same(text: str) -> str:
    """``text`` without what differs between two cases of one error: quoted text, and words that hold a digit."""
    unquoted = QUOTED.sub("…", text[:CUT])
    return " ".join(WORD.sub(lambda word: "…" if DIGIT.search(word[0]) else word[0], unquoted).split())
