"""Failures that nobody caught, as ECS error lines: of the main thread, other threads, asyncio, and finalizers.

Each line carries the exception with its stack trace and its fingerprint. What was installed before is asked as well,
except asyncio's default handler: all it does is write the same as a line of its own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from python_shipper.collectors.event import EventCollector, EventKind
from python_shipper.core import counts
from python_shipper.core.fingerprint import fingerprint, fingerprint_of
from python_shipper.core.logger import LoggerLike
from python_shipper.core.plain import safe_text


def failure(action: str, message: str, level: int = logging.ERROR) -> EventKind:
    """One kind of failure."""
    return EventKind(action, message, category="process", type="error", level=level)


UNCAUGHT = failure("uncaught_exception", "uncaught exception, the process ends", logging.CRITICAL)
IN_THREAD = failure("thread_exception", "uncaught exception, a thread has ended")
IN_LOOP = failure("asyncio_exception", "unhandled failure in the event loop")
UNRAISABLE = failure("unraisable_exception", "exception where none can be raised")
LEFT_ALONE = (KeyboardInterrupt, SystemExit, asyncio.CancelledError)
Context = dict[str, Any]


class ErrorCollector:
    """Writes what nobody caught; ``install`` and ``uninstall`` are for the whole process, and may be called twice."""

    def __init__(self, logger: LoggerLike = "python_shipper.errors") -> None:
        self._events = EventCollector(logger)
        self._installed = False
        self._writing = threading.local()

    def install(self) -> None:
        """Take the process's hooks, and every asyncio loop's, running now or started later.

        A loop of another maker (uvloop) is watched by :meth:`watch`.
        """
        if self._installed:
            return
        self._installed = True
        self._excepthook, sys.excepthook = sys.excepthook, self._of_main
        self._threadhook, threading.excepthook = threading.excepthook, self._of_thread
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._of_finalizer
        self._loop_handler = asyncio.BaseEventLoop.call_exception_handler
        self._patch = self._for_loops(self._loop_handler)
        asyncio.BaseEventLoop.call_exception_handler = self._patch  # type: ignore[method-assign]

    def uninstall(self) -> None:
        """Give the hooks back; one that somebody else has taken since stays, and only passes on."""
        if not self._installed:
            return
        self._installed = False
        if sys.excepthook == self._of_main:
            sys.excepthook = self._excepthook
        if threading.excepthook == self._of_thread:
            threading.excepthook = self._threadhook
        if sys.unraisablehook == self._of_finalizer:
            sys.unraisablehook = self._unraisable
        if asyncio.BaseEventLoop.call_exception_handler is self._patch:
            asyncio.BaseEventLoop.call_exception_handler = self._loop_handler  # type: ignore[method-assign]

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what fails unhandled in ``loop``; a handler that it has is asked as well."""
        before = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: Context) -> None:
            self._loop_failure(context)
            if before is not None:
                before(loop, context)

        loop.set_exception_handler(handle)

    def _of_main(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if self._installed:
            self._write(UNCAUGHT, error)
        self._excepthook(kind, error, trace)

    def _of_thread(self, args: threading.ExceptHookArgs) -> None:
        if self._installed:
            name = args.thread.name if args.thread else None
            self._write(IN_THREAD, args.exc_value, args.exc_type, **{"process.thread.name": name})
        self._threadhook(args)

    def _of_finalizer(self, args: sys.UnraisableHookArgs) -> None:
        if self._installed:
            # The object is on its way out: its text is not asked for, nor is it kept.
            where = getattr(args.object, "__qualname__", None) or type(args.object).__name__
            self._write(UNRAISABLE, args.exc_value, args.exc_type, operation=where, reason=args.err_msg)
        self._unraisable(args)

    def _for_loops(self, before: Callable[..., None]) -> Callable[..., None]:
        def call_exception_handler(loop: asyncio.BaseEventLoop, context: Context) -> None:
            if self._installed:
                self._loop_failure(context)
            if not self._installed or loop.get_exception_handler() is not None:
                before(loop, context)

        return call_exception_handler

    def _loop_failure(self, context: Context) -> None:
        task = context.get("task") or context.get("future")
        name = task.get_name() if isinstance(task, asyncio.Task) else None
        self._write(IN_LOOP, context.get("exception"), None, reason=context.get("message"), task=name)

    def _write(
        self,
        kind: EventKind,
        error: BaseException | None,
        error_kind: type[BaseException] | None = None,
        **fields: Any,
    ) -> None:
        """Write one failure; a failure in doing so is counted, and none can start over again."""
        left_alone = isinstance(error, LEFT_ALONE) or (error_kind is not None and issubclass(error_kind, LEFT_ALONE))
        if left_alone or getattr(self._writing, "now", False):
            return
        self._writing.now = True
        try:
            self._events.collect(kind, **fields, **described(error, error_kind, fields.get("reason")))
        except Exception as trouble:
            counts.lost(1, f"{kind.action}: {type(trouble).__name__}: {safe_text(trouble)}")
        finally:
            self._writing.now = False


def described(error: BaseException | None, kind: type[BaseException] | None, reason: Any) -> dict[str, Any]:
    """An exception's fields, or where there is none (a loop's complaint, an exception without value) what is known."""
    if error is not None:
        return {"exc_info": error, "error_fingerprint": fingerprint_of(error)}
    name = kind.__name__ if kind else "asyncio"
    return {"error_type": name, "error_fingerprint": fingerprint(name, None, safe_text(reason))}
