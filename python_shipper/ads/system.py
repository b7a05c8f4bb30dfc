"""One call that sets an ad service's logging up: a console for people, a shipped file, days and errors on disk."""

from __future__ import annotations

import dataclasses
import logging
import threading

from python_shipper.core.config import active, files_handler, writable
from python_shipper.core.console import ConsoleHandler
from python_shipper.core.handlers import FilesHandler
from python_shipper.settings import Settings

APP_NAME = "ad_system"
DAYS_KEPT = 30
_set_up: dict[str, tuple[Settings, list[logging.Handler]]] = {}
_setting_up = threading.Lock()


class AdSystemLogger:
    """Logging of an ad service under a logger of its own, apart from what the root logger does."""

    @staticmethod
    def setup_logging(app_name: str = APP_NAME) -> logging.Logger:
        """The logger ``app_name``; the loggers below it (``<app_name>.bids``) share its handlers.

        Console at INFO; in LOG_DIR ``<app_name>.ecs.log`` (shipped), ``<app_name>.daily.<day>.log`` (kept 30 days at
        least) and ``<app_name>.error.log``, from DEBUG on or from LOG_LEVEL where that is set. A second call changes
        nothing unless the settings have changed.

        Raises:
            ConfigurationError: LOG_DIR cannot be written, or a setting holds what cannot be used.
        """
        settings = active()
        days = max(DAYS_KEPT, settings.log_daily_backup_count)
        settings = dataclasses.replace(settings, service_name=app_name, log_daily_backup_count=days)
        logger = logging.getLogger(app_name)
        with _setting_up:
            known, handlers = _set_up.get(app_name, (None, []))
            if known == settings and all(handler in logger.handlers for handler in handlers):
                return logger
            writable(settings.log_dir)
            for handler in handlers:
                logger.removeHandler(handler)
                handler.close()
            handlers = [console(app_name), files_handler(settings)]
            for handler in handlers:
                logger.addHandler(handler)
            logger.setLevel(settings.log_level or logging.DEBUG)
            logger.propagate = False  # the root's handlers would write every line once more
            _set_up[app_name] = settings, handlers
        return logger


def files_above(logger: logging.Logger | None) -> FilesHandler | None:
    """The handler that writes a record of ``logger`` to files; None where none does."""
    while logger is not None:
        for handler in logger.handlers:
            if isinstance(handler, FilesHandler):
                return handler
        logger = logger.parent if logger.propagate else None
    return None


def console(app_name: str) -> logging.Handler:
    """Standard error from INFO on."""
    handler = ConsoleHandler(app_name)
    handler.setLevel(logging.INFO)
    return handler
