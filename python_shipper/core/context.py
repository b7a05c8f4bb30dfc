"""Fields that belong to every line of a request or task, kept in a context variable: they follow ``await`` and tasks.

A thread starts with an empty context; ``carry`` and ``ContextExecutor`` take the caller's along where that is wanted.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


# owner, its event of the bound fields, whether they hold a trace id
_EMPTY: tuple[object, dict[str, Any], bool] = (None, {}, False)


class Bound:
    """One immutable set of bound fields; ``cache`` keeps what a formatter made of it, for the lines that follow."""

    __slots__ = ("cache", "fields")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = MappingProxyType(dict(fields))
        self.cache: tuple[object, dict[str, Any], bool] = _EMPTY


NOTHING = Bound({})
variable: contextvars.ContextVar[Bound] = contextvars.ContextVar("python_shipper", default=NOTHING)


def current() -> Mapping[str, Any]:
    """The fields bound here and now, read-only, by the names they were bound under."""
    return variable.get().fields


def bind(**fields: Any) -> None:
    """Add ``fields`` to every following line of this context (request, task, thread), over ones of the same name."""
    variable.set(Bound({**variable.get().fields, **fields}))


def unbind(*names: str) -> None:
    """Take ``names`` out of the context; a name that is not bound is ignored."""
    variable.set(Bound({name: value for name, value in variable.get().fields.items() if name not in names}))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Bind ``fields`` for a `with` block, in sync and async code, and afterwards restore what was bound before."""
    before = variable.get()
    variable.set(Bound({**before.fields, **fields}))
    try:
        yield
    finally:
        # Not reset(token): a generator-based dependency may be closed in another context than it was opened in.
        variable.set(before)


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` with all context variables as they are now, for a thread: ``Thread(target=carry(work))``."""
    here = contextvars.copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy each time: one context cannot be entered by two threads at once.
        return here.copy().run(function, *args, **kwargs)

    return carried


class ContextExecutor(ThreadPoolExecutor):
    """A thread pool whose tasks see the fields that were bound where they were submitted."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Schedule ``fn(*args, **kwargs)`` with the caller's context."""
        return super().submit(carry(fn), *args, **kwargs)
