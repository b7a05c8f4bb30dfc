"""How long operations take and how calls end: a line for each, and figures of all of them in this process."""

from __future__ import annotations

import inspect
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Set
from functools import wraps
from itertools import islice
from typing import Any, Self, TypeVar, overload

from python_shipper.ads.spread import Spread
from python_shipper.collectors.event import EventKind
from python_shipper.core.context import bound, current
from python_shipper.core.logged import arguments
from python_shipper.core.logger import LoggerLike, as_logger
from python_shipper.core.masking import default_masker
from python_shipper.core.plain import plain, safe_text
from python_shipper.errors import ConfigurationError
from python_shipper.units import milliseconds

MEASURED = EventKind("measured", "took", category="process", type="end")
STARTED = EventKind("api_call_started", "started", category="api", type="start")
ENDED = EventKind("api_call_succeeded", "succeeded in", category="api", type="end")
FAILED = EventKind("api_call_failed", "failed", category="api", type="error", level=logging.ERROR)
WENT_WRONG = (logging.ERROR, "failure", "failed after")
INTERRUPTED = (logging.WARNING, "unknown", "interrupted after")
SHOWN = 100  # characters of an argument, and members of one that are looked at
LOOKED_AT = 4_000  # characters of a text that are masked before it is cut to those shown
OPERATIONS = 1_000
OTHERS = "(others)"
F = TypeVar("F", bound=Callable[..., Any])


class PerformanceLogger:
    """Measures blocks and calls; safe to share between threads and tasks."""

    def __init__(self, logger: LoggerLike = "ad_system.performance") -> None:
        self._log = as_logger(logger)
        self._spreads: dict[str, Spread] = {}
        self._counting = threading.Lock()

    def measure_time(self, /, operation: str, **tags: Any) -> Measured:
        """Measure a ``with`` or ``async with`` block: one line at its end, with ``tags``, `operation` and duration.

        An exception passes through; the line is of level ERROR then, and names it without its stack trace, which is
        for whoever handles it to log.
        """
        return Measured(self, operation, tags)

    @overload
    def log_api_call(self, function: F, /) -> F: ...
    @overload
    def log_api_call(self, operation: str | None = None, /) -> Callable[[F], F]: ...
    def log_api_call(self, function: F | str | None = None, /) -> F | Callable[[F], F]:
        """Decorate a function, sync or async: a line when it is called, and one when it has succeeded or failed.

        Both have the `request_id` of the call's argument of that name, else of the context, else a new one; lines
        written meanwhile have it, too. Arguments are masked, then cut to 100 characters each. ``@log_api_call("name")``
        names the operation otherwise than the function.

        Raises:
            ConfigurationError: the function is a generator, whose body does not run within the call.
        """
        if callable(function):
            return self._decorated(function, None)
        return lambda given: self._decorated(given, function)

    def get_performance_summary(self) -> dict[str, dict[str, float]]:
        """By operation: count, mean_ms, median_ms, min_ms, max_ms, stdev_ms, p95_ms, p99_ms, of what ended so far.

        Count, mean, min, max and the (sample) deviation are exact; median and percentiles lie within 0.5 % of the
        duration at their rank. Operations beyond 1,000 are counted together as ``(others)``.
        """
        with self._counting:
            return {operation: spread.summary() for operation, spread in self._spreads.items()}

    def ended(
        self, kind: EventKind, operation: str, seconds: float, error: BaseException | None, tags: dict[str, Any]
    ) -> None:
        """Count a duration and write its line."""
        self._count(operation, seconds * 1000)
        level, outcome, words, why = kind.level, "success", kind.message, {}
        if error is not None:
            # A task that is cancelled and an interrupt are nobody's failure.
            level, outcome, words = WENT_WRONG if isinstance(error, Exception) else INTERRUPTED
            why = {"error_type": type(error).__name__, "error_message": safe_text(error)}
        if self._log.is_enabled_for(level):
            said = f"{operation} {words} {milliseconds(seconds * 1000)}"
            known = {**kind.fields, "event.outcome": outcome, "operation": operation, "duration": seconds}
            self._log.log(level, said, **{**tags, **why, **known})

    def _count(self, operation: str, ms: float) -> None:
        with self._counting:
            if operation not in self._spreads and len(self._spreads) >= OPERATIONS:
                operation = OTHERS
            self._spreads.setdefault(operation, Spread()).add(ms)

    def _started(self, operation: str, **fields: Any) -> None:
        known = {**STARTED.fields, "operation": operation}
        self._log.log(STARTED.level, f"{operation} {STARTED.message}", **fields, **known)

    def _decorated(self, function: F, operation: str | None) -> F:
        name = safe_text(operation or getattr(function, "__qualname__", type(function).__name__))
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"log_api_call: {name} is a generator; use measure_time around what consumes it")
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with Call(self, name, function, args, kwargs):
                    return await function(*args, **kwargs)

            return call_async  # type: ignore[return-value]

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with Call(self, name, function, args, kwargs):
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


class Measured:
    """One block that is measured, in sync and async code."""

    __slots__ = ("_began", "_operation", "_owner", "_tags")

    def __init__(self, owner: PerformanceLogger, operation: str, tags: dict[str, Any]) -> None:
        self._owner, self._operation, self._tags = owner, safe_text(operation), tags

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        seconds = time.perf_counter() - self._began
        self._owner.ended(MEASURED, self._operation, seconds, error, self._tags)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.__exit__(kind, error, _)


class Call:
    """One call: its lines, and its request id on every line between them."""

    def __init__(
        self, owner: PerformanceLogger, operation: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._owner, self._operation = owner, operation
        self._arguments = arguments(function, args, kwargs)
        given = self._arguments.get("request_id") or current().get("request_id")
        self._bound = bound(request_id=given or os.urandom(8).hex())

    def __enter__(self) -> None:
        self._bound.__enter__()
        if self._owner._log.is_enabled_for(STARTED.level):
            self._owner._started(self._operation, arguments=shown(self._arguments))
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        seconds = time.perf_counter() - self._began
        self._owner.ended(ENDED if error is None else FAILED, self._operation, seconds, error, {})
        self._bound.__exit__(None, None, None)


def shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as a line shows them: masked by name and content first, then cut."""
    masker = default_masker()
    return {name: cut(masker.value(name, plain(beginning(value)))) for name, value in given.items()}


def beginning(value: Any) -> Any:
    """What may be seen of a value: a call with a million prices should cost no more than one with a hundred."""
    if isinstance(value, str | bytes):
        return value[:LOOKED_AT]
    if isinstance(value, Mapping):
        return dict(islice(value.items(), SHOWN))
    return list(islice(value, SHOWN)) if isinstance(value, list | tuple | Set) else value


def cut(value: Any) -> Any:
    """Numbers and truths as they are, all else as text of 100 characters."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
