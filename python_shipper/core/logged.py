"""Function entry and exit on request: ``@logged`` on a function, sync or async, writes one line for each, at DEBUG."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def logged(function: F) -> F:
    """``function``, logging its arguments when called and its duration when it returns or raises.

    The logger is that of the function's module. Arguments are found under ``christmas.extra.arguments`` by their names,
    so that the masking rules know an account number; what comes back is not logged. Where the logger is not on at
    DEBUG, the call costs one comparison.
    """
    log = logging.getLogger(function.__module__)
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def logged_async(*args: Any, **kwargs: Any) -> Any:
            if not log.isEnabledFor(logging.DEBUG):
                return await function(*args, **kwargs)
            with Call(log, function, args, kwargs):
                return await function(*args, **kwargs)

        return logged_async  # type: ignore[return-value]

    @wraps(function)
    def logged_sync(*args: Any, **kwargs: Any) -> Any:
        if not log.isEnabledFor(logging.DEBUG):
            return function(*args, **kwargs)
        with Call(log, function, args, kwargs):
            return function(*args, **kwargs)

    return logged_sync  # type: ignore[return-value]


class Call:
    """One call: a line on entry, a line on exit."""

    def __init__(
        self, log: logging.Logger, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.log, self.name = log, function.__qualname__
        self.arguments = arguments(function, args, kwargs)

    def __enter__(self) -> None:
        self.log.debug("enter %s", self.name, extra={"operation": self.name, "arguments": self.arguments})
        self.began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        fields: dict[str, Any] = {"operation": self.name, "duration": time.perf_counter() - self.began}
        if kind is None:
            self.log.debug("exit %s", self.name, extra=fields)
        else:
            # The exception itself, with its stack trace, is for whoever handles it to log.
            self.log.debug("exit %s by %s", self.name, kind.__name__, extra={**fields, "error_type": kind.__name__})


def arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, without a method's own object; as given where they do not fit the function."""
    try:
        named = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except TypeError:  # the call itself will say what does not fit
        return {"args": list(args), **kwargs}
    return {name: value for name, value in named.items() if name not in ("self", "cls")}
