"""What the engine throws, as this package's error: tantivy's own errors, the disk's, and panics of its Rust code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from python_shipper.errors import StoreError

PANIC = "PanicException"  # pyo3's: a BaseException, in a module that cannot be imported


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of the engine as a StoreError that begins with ``what``.

    It panics where a damaged file passes its own checks.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise StoreError(f"{what}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        raise StoreError(f"{what}: the index is damaged: {error}") from error
