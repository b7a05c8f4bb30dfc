"""Settings are read in one place, typed, and refused with the variable's name and what it may hold."""

from dataclasses import fields
from pathlib import Path

import pytest

from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

GOOD = {
    "SERVICE_NAME": ("shop", "shop"),
    "APP_ENV": ("Development", "development"),
    "LOG_LEVEL": ("debug", "DEBUG"),
    "LOG_DIR": ("~/logs", Path.home() / "logs"),
    "LOG_FORMAT": ("FLAT", "flat"),
    "LOG_MAX_BYTES": ("20_000", 20_000),
    "LOG_QUEUE": ("0", 0),
    "LOG_BODIES": ("yes", True),
    "LOG_SQL": ("off", False),
    "LOG_FILE_MODE": ("640", "640"),
    "TRACE_HEADER": ("X-Request-ID", "X-Request-ID"),
    "API_PORT": ("65535", 65535),
    "STACK": ("ELK", "elk"),
}
BAD = {
    "APP_ENV": ("staging", "one of development, production"),
    "LOG_LEVEL": ("7", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    "LOG_MAX_BYTES": ("9999", "a whole number of at least 10000"),
    "LOG_BACKUP_COUNT": ("0", "a whole number of at least 1 and at most 100000"),
    "LOG_QUEUE": ("-1", "a whole number of at least 0"),
    "LOG_BODIES": ("maybe", "true or false"),
    "LOG_FILE_MODE": ("0999", "three octal digits such as 0600"),
    "TRACE_HEADER": ("X Trace", "the name of an HTTP header"),
    "API_PORT": ("65536", "a whole number of at least 1 and at most 65535"),
    "STACK": ("docker", "one of elk, embedded"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_variable_gives_its_setting(name: str) -> None:
    text, value = GOOD[name]
    assert getattr(Settings.from_environment({name: text}), name.lower()) == value


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_variable_is_named_with_what_was_expected(name: str) -> None:
    text, expected = BAD[name]
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({name: text})
    assert str(caught.value) == f"{name}: expected {expected}, got {text!r}; correct or unset the variable"


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"LOG_LEVEL": "", "SERVICE_NAME": ""}) == Settings()


def test_every_setting_is_explained() -> None:
    assert [field.name for field in fields(Settings) if not field.metadata["doc"].endswith(".")] == []
