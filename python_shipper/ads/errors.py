"""The ad system's error tracker: each failure logged, counted and grouped, and somebody told where it is bad."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from python_shipper.ads.config import Kinds, checked
from python_shipper.ads.courier import Courier, CourierHandler
from python_shipper.ads.given import exception_in, fields_in
from python_shipper.ads.slack import SlackHandler
from python_shipper.ads.system import APP_NAME, AdSystemLogger, files_above
from python_shipper.alerts import schema, smtp
from python_shipper.alerts.answer import Answer
from python_shipper.core.clock import iso, now_ms
from python_shipper.core.fingerprint import fingerprint, fingerprint_of
from python_shipper.core.logger import Logger
from python_shipper.core.plain import safe_text
from python_shipper.core.ulid import new_ulid
from python_shipper.errors import ConfigurationError

T = TypeVar("T")
WINDOW_MS = 5 * 60_000
BURST = 10  # errors of one type within the window
MOST_TYPES = 1_000  # kept apart; what comes beyond is counted as OTHERS
MOST_GROUPS = 100  # fingerprints kept apart in one type
OTHERS = "(others)"
KEYS: Kinds = {
    "email_alerts": bool,
    "smtp_host": (str, list, tuple),
    "smtp_port": int,
    "smtp_tls": str,
    "smtp_user": str,
    "smtp_password": str,
    "smtp_ca": (str, Path),
    "from_email": str,
    "alert_emails": (str, list, tuple),
    "slack_webhook": str,
    "app_name": str,
}
VALUES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "smtp_port": ("a port", schema.port),
    "smtp_ca": ("the path of a PEM file", lambda given: schema.existing(str(given))),
    "from_email": ("an e-mail address such as ads@example.com", schema.address),
    "alert_emails": (
        schema.ADDRESSES,
        lambda given: schema.addresses(list(given) if isinstance(given, tuple) else given),
    ),
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(slots=True)
class Seen:
    """How often, from when to when (milliseconds since 1970), and the newest message."""

    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    message: str = ""

    def add(self, at_ms: int, message: str) -> None:
        """One more."""
        self.first_ms = self.first_ms if self.count else at_ms
        self.count, self.last_ms, self.message = self.count + 1, at_ms, message

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        times = {"first_seen": iso(self.first_ms), "last_seen": iso(self.last_ms)}
        return {"count": self.count, **times, "message": self.message}


@dataclass(slots=True)
class Type:
    """The errors of one type: all of them, by fingerprint, and the times of those in the window."""

    seen: Seen = field(default_factory=Seen)
    groups: dict[str, Seen] = field(default_factory=dict)
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=BURST))

    def add(self, at_ms: int, group: str, message: str) -> bool:
        """One more; whether it makes ten within five minutes, after which counting begins anew."""
        self.seen.add(at_ms, message)
        bounded(self.groups, group, MOST_GROUPS, Seen).add(at_ms, message)
        self.recent.append(at_ms)
        burst = len(self.recent) == BURST and at_ms - self.recent[0] < WINDOW_MS
        if burst:
            self.recent.clear()
        return burst


class AdSystemErrorTracker:
    """Logs errors under ``<app_name>.errors``: into the error file, ERROR to Slack, CRITICAL by e-mail as well.

    A tracker takes the place of an earlier one of the same ``app_name``, whose routes it closes.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Set the routes up.

        Args:
            config: ``email_alerts`` (whether to send e-mail), ``smtp_host`` (a name, ``name:port`` or (name, port)),
                ``smtp_port``, ``smtp_tls`` (starttls, implicit or none; without it starttls, and none on this machine),
                ``smtp_user`` and ``smtp_password``, ``smtp_ca`` (PEM file), ``from_email``, ``alert_emails`` (a
                list, or a text with commas between them), ``slack_webhook``, ``app_name`` (``ad_system``).

        Raises:
            ConfigurationError: a key is unknown, holds what it may not, or is missing.
        """
        config = {} if config is None else checked("error tracker", config, KEYS)
        app_name = config.get("app_name") or APP_NAME
        self.name = f"{app_name}.errors"
        handlers: list[logging.Handler] = []
        if config.get("slack_webhook"):
            handlers.append(SlackHandler(config["slack_webhook"], logging.ERROR))
        if config.get("email_alerts"):
            handlers.append(EmailHandler(mailbox(config)))
        stock = logging.getLogger(self.name)
        if files_above(stock) is None:
            AdSystemLogger.setup_logging(app_name)
        self.close()
        for handler in handlers:
            stock.addHandler(handler)
        self._log = Logger(self.name, {})
        self._lock = threading.RLock()
        self._types: dict[str, Type] = {}

    def track_error(
        self,
        error_type: str,
        error_message: str,
        context: Mapping[str, Any] | None = None,
        exception: BaseException | None = None,
    ) -> str:
        """Log an error and count it; the fingerprint of its group. Never raises, never waits for a network.

        The tenth of one type within five minutes makes one CRITICAL line, "high error rate"; then counting begins anew.
        """
        error_type, message = safe_text(error_type), safe_text(error_message)
        error = exception_in(exception)
        thrown = error.get("exc_info")
        group = fingerprint_of(thrown) if thrown else fingerprint(error_type, None, message)
        own = {"error_type": error_type, "error_message": message, "error_fingerprint": group}
        self._log.error(message, extra={**fields_in(context, "context"), **own}, stacklevel=2, **error)
        with self._lock:
            burst = bounded(self._types, error_type, MOST_TYPES, Type).add(now_ms(), group, message)
        if burst:
            words = f"high error rate: {BURST} errors of type {error_type} within {WINDOW_MS // 60_000} minutes"
            self._log.critical(words, extra={"error_type": error_type, "error_message": message}, stacklevel=2)
        return group

    def get_error_statistics(self) -> dict[str, dict[str, Any]]:
        """By error type: ``count``, ``first_seen``, ``last_seen``, newest ``message``, and the same by fingerprint.

        Shape: ``{type: {count, first_seen, last_seen, message, groups: {fingerprint: {count, …}}}}``; times are ISO
        8601 in UTC. Beyond 1,000 types, and 100 fingerprints of one, the rest is counted together as ``(others)``.
        """
        with self._lock:
            return {
                name: {**kind.seen.as_dict(), "groups": {group: seen.as_dict() for group, seen in kind.groups.items()}}
                for name, kind in self._types.items()
            }

    def close(self) -> None:
        """Send what waits, five seconds a route at the most, and let go of the routes."""
        stock = logging.getLogger(self.name)
        for handler in [each for each in stock.handlers if isinstance(each, SlackHandler | EmailHandler)]:
            stock.removeHandler(handler)
            handler.close()


class EmailHandler(CourierHandler):
    """Records as e-mail, one each, as ``logging.handlers.SMTPHandler`` does, but from a thread of its own."""

    def __init__(self, box: smtp.Mailbox, level: int | str = logging.CRITICAL) -> None:
        super().__init__(level)
        self._box = box
        self.courier: Courier[tuple[str, str, str]] = Courier("e-mail", self._send, batch=1)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record; never raises."""
        try:
            event = self.event(record)
            subject = f"[{record.levelname}] {event['service']['name']}: {event['message']}"
            self.courier.put((new_ulid(), subject, "\n".join(f"{name}: {value}" for name, value in told(event))))
        except Exception:
            self.handleError(record)

    def _send(self, mails: list[tuple[str, str, str]]) -> Answer:
        ((id, subject, text),) = mails
        return smtp.send(self._box, smtp.message(self._box, id, subject, text))


def told(event: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """Every field of an event as (dotted path, value)."""
    found: list[tuple[str, Any]] = []
    for key, value in event.items():
        here = f"{path}.{key}" if path else key
        found += told(value, here) if isinstance(value, dict) else [(here, value)]
    return found


def bounded(known: dict[str, T], key: str, most: int, make: Callable[[], T]) -> T:
    """The entry of ``key``; once ``most`` are kept apart, new keys share one entry."""
    if key not in known and len(known) >= most:
        key = OTHERS
    return known.setdefault(key, make())


def mailbox(config: Mapping[str, Any]) -> smtp.Mailbox:
    """The mail server, sender and recipients of ``config``.

    Raises:
        ConfigurationError: something that e-mail needs is missing.
    """
    for key in ("smtp_host", "from_email", "alert_emails"):
        if not config.get(key):
            raise ConfigurationError(f"error tracker: email_alerts needs {key}; set it")
    host, port = host_and_port(config["smtp_host"], config.get("smtp_port"))
    tls = config.get("smtp_tls") or ("none" if host in LOOPBACK else "starttls")
    if tls not in smtp.PORTS:
        raise ConfigurationError(f"error tracker: smtp_tls: expected one of {', '.join(smtp.PORTS)}; correct it")
    if (config.get("smtp_user") is None) != (config.get("smtp_password") is None):
        raise ConfigurationError("error tracker: smtp_user and smtp_password: set both or neither")
    return smtp.Mailbox(
        host=host,
        port=None if port is None else value({"smtp_port": port}, "smtp_port"),
        tls=tls,
        user=config.get("smtp_user"),
        password=config.get("smtp_password"),
        sender=value(config, "from_email"),
        to=value(config, "alert_emails"),
        ca=value(config, "smtp_ca") if config.get("smtp_ca") else None,
    )


def value(config: Mapping[str, Any], key: str) -> Any:
    """What a key of ``VALUES`` holds.

    Raises:
        ConfigurationError: it is not what it may be.
    """
    expected, convert = VALUES[key]
    try:
        return convert(config[key])
    except (ValueError, TypeError):
        raise ConfigurationError(f"error tracker: {key}: expected {expected}; correct it") from None


def host_and_port(host: Any, port: int | None) -> tuple[str, int | None]:
    """A mail server as SMTPHandler takes it: a name, or a name and a port; also ``name:port``.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        if not isinstance(host, str):
            name, number = host
            return str(name), int(number)
        name, colon, number = host.rpartition(":")
        return (name, int(number)) if colon and ":" not in name else (host, port)
    except (TypeError, ValueError):
        raise ConfigurationError("error tracker: smtp_host: expected a name, name:port or (name, port)") from None
