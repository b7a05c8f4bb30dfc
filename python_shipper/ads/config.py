"""The ad system's classes take their options as a mapping: what is in it is checked before anything is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from python_shipper.errors import ConfigurationError

Kinds = Mapping[str, type | tuple[type, ...]]


def checked(what: str, config: Mapping[str, Any], keys: Kinds) -> Mapping[str, Any]:
    """``config`` if every key is one of ``keys`` and of its type; None stands for a key that is not there.

    Raises:
        ConfigurationError: one is not; the message names ``what``.
    """
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{what}: expected a mapping with {', '.join(keys)}, got {type(config).__name__}")
    for key, value in config.items():
        if key not in keys:
            raise ConfigurationError(f"{what}: unknown key {key!r}; it takes {', '.join(keys)}")
        if value is not None and not isinstance(value, keys[key]):
            raise ConfigurationError(f"{what}: {key}: {type(value).__name__} is not what it takes; correct it")
    return config
