"""Sets logging up: from arguments and the environment (``configure``), or from a file (``load_config``).

Both end in ``logging.config.dictConfig``; ``logging_config.yaml`` beside the package is the same as a file.
"""

from __future__ import annotations

import dataclasses
import logging
import logging.config
from pathlib import Path
from typing import Any

from python_shipper.core.console import ConsoleHandler
from python_shipper.core.flat import FlatFormatter
from python_shipper.core.formatters import EcsFormatter
from python_shipper.core.handlers import FilesHandler
from python_shipper.core.masking import default_masker
from python_shipper.core.queue import QueuedFilesHandler
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings, parsed

# Servers give these loggers handlers of their own and stop propagation: their lines would be text, or come twice.
ADOPTED = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "gunicorn.error", "gunicorn.access",
    "hypercorn.error", "hypercorn.access",
)  # fmt: skip
DEVELOPMENT = "development"
_active: Settings | None = None


def configure(
    service: str | None = None,
    *,
    log_dir: str | Path | None = None,
    level: str | None = None,
    profile: str | None = None,
) -> Settings:
    """Set logging up for the process: arguments over environment over defaults; gives the settings in force.

    Args:
        service: name of the service (SERVICE_NAME).
        log_dir: folder of the log files (LOG_DIR).
        level: lowest level written (LOG_LEVEL).
        profile: `development` (console and files, DEBUG) or `production` (files, INFO) (APP_ENV).

    Raises:
        ConfigurationError: an argument or a variable holds something that cannot be used.
    """
    global _active
    given = {"service_name": service, "log_level": level, "app_env": profile}
    arguments: dict[str, Any] = {name: parsed(name, text) for name, text in given.items() if text is not None}
    if log_dir is not None:
        arguments["log_dir"] = Path(log_dir)
    settings = dataclasses.replace(Settings.from_environment(), **arguments)
    default_masker()  # its errors are clearer than dictConfig's
    writable(settings.log_dir)
    logging.config.dictConfig(logging_dict(settings))
    _active = settings
    return settings


def active() -> Settings:
    """The settings of the last ``configure``; before it, or without it, those of the environment."""
    return _active or Settings.from_environment()


def level_of(settings: Settings) -> str:
    """The lowest level written: as set, else DEBUG in development and INFO in production."""
    return settings.log_level or ("DEBUG" if settings.app_env == DEVELOPMENT else "INFO")


def logging_dict(settings: Settings) -> dict[str, Any]:
    """The dictConfig for ``settings``."""
    handlers: dict[str, Any] = {"files": {"()": files_handler, "settings": settings}}
    if settings.app_env == DEVELOPMENT:
        handlers["console"] = {"()": ConsoleHandler, "service": settings.service_name}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": handlers,
        "root": {"level": level_of(settings), "handlers": list(handlers)},
        "loggers": {name: {"handlers": [], "propagate": True} for name in ADOPTED},
    }


def files_handler(settings: Settings | None = None) -> FilesHandler:
    """The handler of a service's files, with a queue where LOG_QUEUE asks for one."""
    settings = settings or Settings.from_environment()
    common: dict[str, Any] = {
        "service": settings.service_name, "directory": settings.log_dir, "settings": settings,
    }  # fmt: skip
    handler = (
        QueuedFilesHandler(capacity=settings.log_queue, **common) if settings.log_queue else FilesHandler(**common)
    )
    arguments: dict[str, Any] = {
        "service": settings.service_name, "version": settings.service_version, "environment": settings.app_env,
    }  # fmt: skip
    handler.setFormatter(FlatFormatter(**arguments) if settings.log_format == "flat" else EcsFormatter(**arguments))
    return handler


def __getattr__(name: str) -> Any:
    """``LEVEL`` and ``HANDLERS`` as the environment has them, for `ext://` references in logging_config.yaml."""
    if name == "LEVEL":
        return level_of(Settings.from_environment())
    if name == "HANDLERS":
        return list(logging_dict(Settings.from_environment())["handlers"])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def writable(folder: Path) -> None:
    """Make sure that log files can be made in ``folder``.

    Raises:
        ConfigurationError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".slots"
        probe.mkdir(exist_ok=True)
        (probe / ".writable").touch()
    except OSError as error:
        raise ConfigurationError(
            f"LOG_DIR: cannot write to {folder}: {error.strerror}; correct LOG_DIR or the folder's permissions"
        ) from error
