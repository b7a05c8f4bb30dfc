"""The pages' templates: every value is escaped on its way into a page, and undefined names are errors."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from python_shipper.core.clock import iso
from python_shipper.units import milliseconds, number, size

HERE = Path(__file__).parent
STATIC = HERE / "static"
# Highlighting marks that no keyboard types (Unicode private use); turned into <mark> after escaping.
MARK, UNMARK = "\ue000", "\ue001"
PAIR = re.compile(f"{MARK}([^{MARK}{UNMARK}]*){UNMARK}")


@cache
def environment() -> Environment:
    """The Jinja environment with the filters that the templates use."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "marked": marked,
        "milliseconds": milliseconds,
        "bytes": size,
        "number": number,
        "iso": iso,
        "minute": minute,
    }
    made.globals["static"] = static
    return made


def render(name: str, **values: Any) -> str:
    """The page or fragment ``name`` with ``values`` filled in."""
    return environment().get_template(name).render(**values)


@cache
def static(name: str) -> str:
    """The address of a static file, changing with its content so that browsers may keep it."""
    return f"/static/{name}?{sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"


def marked(text: str) -> Markup:
    """``text`` escaped, with the stretches between highlighting marks as <mark>; stray marks are dropped."""
    shown = PAIR.sub(r"<mark>\1</mark>", str(escape(text)))
    return Markup(shown.replace(MARK, "").replace(UNMARK, ""))  # noqa: S704  escaped above


def minute(ms: int) -> str:
    """A time for people, UTC, to the minute."""
    return iso(ms)[:16].replace("T", " ")
