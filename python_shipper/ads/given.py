"""What a caller gives in place of what was asked for is written as it is: a logging call has no reason to raise."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any


def fields_in(given: object, name: str) -> dict[str, Any]:
    """``given`` as fields: a mapping's own, none of None, and anything else as the field ``name``."""
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    return {} if given is None else {name: given}


def items_in(given: object) -> list[Any]:
    """``given`` as a list: what it holds, nothing of None, and itself where it is one thing."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return list(given)
    return [] if given is None else [given]


def exception_in(given: object) -> dict[str, Any]:
    """``given`` as logging's ``exc_info`` if it is an exception, or True for the one being handled, else as a field."""
    given = sys.exception() if given is True else given
    return {} if given is None else {"exc_info" if isinstance(given, BaseException) else "exception": given}
