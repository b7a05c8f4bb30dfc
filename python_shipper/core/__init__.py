"""RECORD → FILE: everything that runs inside a logging call.

An event is a plain dict in ECS terms; a step takes one and returns it changed, or None to drop it.
"""

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
Step = Callable[[Event], Event | None]
