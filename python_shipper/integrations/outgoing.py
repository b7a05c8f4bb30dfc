"""Outgoing calls carry the trace id: each HTTP client library is told when the application imports it.

Importing them all would cost a service about 20 MB and a quarter of a second for libraries that it may never use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import get_ident
from types import ModuleType

from python_shipper.core import tracing

CLIENTS = ("httpx", "requests", "aiohttp")


def install(header: str = tracing.TRACE_HEADER) -> None:
    """Make each client library send ``header`` and `traceparent`: those imported now, the others once they are.

    A second call only changes the header.
    """
    later.header = header
    for name in CLIENTS:
        if name in sys.modules:
            tell(name, header)
        else:
            later.waiting.add(name)
    if later.waiting and later not in sys.meta_path:
        sys.meta_path.insert(0, later)


def tell(name: str, header: str) -> None:
    """Install our part for the client library ``name``."""
    import_module(f"python_shipper.integrations.{name}").install(header)


class Later(MetaPathFinder):
    """Sees the first import of a client library that is waited for, and has it told right after."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.asking: set[tuple[str, int]] = set()
        self.header = tracing.TRACE_HEADER

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give, its loader extended by one step."""
        asked = name, get_ident()
        if name not in self.waiting or asked in self.asking:
            return None
        self.asking.add(asked)  # the next line asks all finders, this one too
        try:
            spec = find_spec(name)
        finally:
            self.asking.discard(asked)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_tell(module: ModuleType) -> None:
            load(module)
            self.waiting.discard(name)  # not before: somebody may only look whether the library is there
            tell(name, self.header)

        spec.loader.exec_module = load_and_tell  # type: ignore[method-assign]
        return spec


later = Later()
