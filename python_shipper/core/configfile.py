"""A logging configuration from a file: YAML, JSON or TOML, with ``${VAR:-default}``, checked before it takes effect."""

from __future__ import annotations

import json
import logging.config
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from python_shipper.errors import ConfigurationError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
READERS: dict[str, Callable[[str], Any]] = {
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
    ".json": json.loads,
    ".toml": tomllib.loads,
}
Test = Callable[[Any], bool]


def is_level(value: Any) -> bool:
    """A level's name or number, or a reference that dictConfig resolves."""
    if isinstance(value, str):
        return value in logging.getLevelNamesMapping() or value.startswith("ext://")
    return isinstance(value, int) and not isinstance(value, bool)


def is_names(value: Any) -> bool:
    """A list of texts, or a reference."""
    return (isinstance(value, list) and all(isinstance(name, str) for name in value)) or is_reference(value)


def is_reference(value: Any) -> bool:
    """A text that dictConfig resolves to an object."""
    return isinstance(value, str) and value.startswith(("ext://", "cfg://"))


# key -> what it may hold, in words and as a test
Keys = dict[str, tuple[str, Test]]
SECTION = ("a mapping", lambda value: isinstance(value, dict))
BOOLEAN = ("true or false", lambda value: isinstance(value, bool))
LEVEL = ("a level (DEBUG, INFO, WARNING, ERROR, CRITICAL, NOTSET)", is_level)
NAMES = ("a list of names", is_names)
TOP: Keys = {
    "version": ("the number 1", lambda value: value == 1 and value is not True),
    "disable_existing_loggers": BOOLEAN,
    "incremental": BOOLEAN,
    **dict.fromkeys(("formatters", "filters", "handlers", "loggers", "root"), SECTION),
}
LOGGER: Keys = {"level": LEVEL, "handlers": NAMES, "filters": NAMES, "propagate": BOOLEAN}
HANDLER: Keys = {"level": LEVEL, "filters": NAMES}


def load_config(path: str | Path) -> None:
    """Set logging up from a dictConfig in the file ``path`` (.yaml, .yml, .json, .toml).

    ``${VAR}`` and ``${VAR:-default}`` in texts are replaced by environment variables.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown or holds what it may not; the message names
            file, key and what was expected.
    """
    path = Path(path)
    config = expanded(read(path), path, "")
    check(config, path)
    try:
        logging.config.dictConfig(config)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        cause = error.__cause__ or error
        raise ConfigurationError(f"{path}: {error}: {cause}") from error


def read(path: Path) -> Any:
    """The content of the file.

    Raises:
        ConfigurationError: it cannot be read or is not in its format.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(
            f"{path}: expected a file named {', '.join(READERS)}, got {path.suffix or 'no suffix'}"
        )
    try:
        return reader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise ConfigurationError(f"{path}: is not valid {path.suffix.lstrip('.').upper()}: {what}") from error


def expanded(value: Any, path: Path, key: str) -> Any:
    """The value with the environment's variables put in; a text that is nothing but one variable may become a number.

    Raises:
        ConfigurationError: a variable without default is not set.
    """
    if isinstance(value, dict):
        return {name: expanded(item, path, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, path, f"{key}[{at}]") for at, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def variable(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name) or default
        if found is None:
            raise ConfigurationError(
                f"{path}: {key}: the variable {name} is not set; set it or write ${{{name}:-default}}"
            )
        return found

    text = VARIABLE.sub(variable, value)
    return yaml.safe_load(text) if VARIABLE.fullmatch(value) else text


def check(config: Any, path: Path) -> None:
    """Hold a dictConfig to its schema.

    Raises:
        ConfigurationError: naming file, key and what was expected.
    """
    if not isinstance(config, dict):
        refuse(path, "the file", "a mapping with the key version", config)
    if "version" not in config:
        refuse(path, "version", "the number 1", None)
    check_keys(path, "", config, TOP, closed=True)
    for name, handler in config.get("handlers", {}).items():
        check_handler(path, f"handlers.{name}", handler, config)
    check_logger(path, "root", config.get("root", {}), config)
    for name, logger in config.get("loggers", {}).items():
        check_logger(path, f"loggers.{name}", logger, config)


def check_handler(path: Path, key: str, handler: Any, config: dict[str, Any]) -> None:
    """One handler: a class or factory, a known formatter, known filters."""
    if not isinstance(handler, dict) or not isinstance(handler.get("class", handler.get("()")), str):
        refuse(path, key, "a mapping with the key class or ()", handler)
    check_keys(path, key, handler, HANDLER, closed=False)
    formatter = handler.get("formatter")
    if formatter is not None and not is_reference(formatter) and formatter not in config.get("formatters", {}):
        refuse(path, f"{key}.formatter", f"one of {known(config, 'formatters')}", formatter)
    check_names(path, f"{key}.filters", handler.get("filters"), config, "filters")


def check_logger(path: Path, key: str, logger: Any, config: dict[str, Any]) -> None:
    """One logger, or the root: its keys, and that its handlers and filters exist."""
    if not isinstance(logger, dict):
        refuse(path, key, "a mapping", logger)
    check_keys(path, key, logger, LOGGER, closed=True)
    check_names(path, f"{key}.handlers", logger.get("handlers"), config, "handlers")
    check_names(path, f"{key}.filters", logger.get("filters"), config, "filters")


def check_keys(path: Path, key: str, section: dict[str, Any], keys: Keys, *, closed: bool) -> None:
    """That the keys are known (where the section is closed) and hold what they may."""
    for name, value in section.items():
        here = f"{key}.{name}".lstrip(".")
        if name not in keys:
            if closed:
                refuse(path, here, f"one of {', '.join(keys)}", "an unknown key")
            continue
        expected, test = keys[name]
        if not test(value):
            refuse(path, here, expected, value)


def check_names(path: Path, key: str, names: Any, config: dict[str, Any], section: str) -> None:
    """That every name of a list stands in the section that defines it."""
    for name in names if isinstance(names, list) else []:
        if name not in config.get(section, {}):
            refuse(path, key, f"names from {known(config, section)}", name)


def known(config: dict[str, Any], section: str) -> str:
    """The names that a section defines."""
    return ", ".join(config.get(section, {})) or f"the section {section}, which is empty"


def refuse(path: Path, key: str, expected: str, got: Any) -> NoReturn:
    """Say which key of which file is wrong, what it holds and what it may hold."""
    raise ConfigurationError(f"{path}: {key}: expected {expected}, got {got!r:.80}")
