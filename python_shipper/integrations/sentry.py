"""Sentry: errors go there masked by the same rules as log lines, tagged with the trace id, each exception once.

Where the application has called `sentry_sdk.init` itself nothing is changed; give that call our `before_send`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from python_shipper.core import tracing
from python_shipper.core.config import active
from python_shipper.core.masking import DROPPED, default_masker
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

# What an event holds of the application's data; the rest is Sentry's own: ids, times, release, modules.
# https://develop.sentry.dev/sdk/data-model/event-payloads/
MASKED_PARTS = ("message", "logentry", "exception", "threads", "breadcrumbs", "request", "extra", "contexts", "tags")
COOKIES = re.compile(r"""(?<=cookie)['"]?[ ]?[:=,][ ]?(?:b?'[^']*'|b?"[^"]*"|[^'"\s][^\r\n]*)""", re.IGNORECASE)
MARK = "_python_shipper_sent_in"  # on an exception: the trace in which it was sent


def install(settings: Settings | None = None) -> bool:
    """Start the SDK if SENTRY_DSN is set and the application has not; whether Sentry is on.

    Raises:
        ConfigurationError: there is a DSN and it cannot be used, or sentry-sdk is not installed.
    """
    settings = settings or active()
    if not settings.sentry_dsn:
        return False
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        raise ConfigurationError(
            "SENTRY_DSN: is set, but sentry-sdk is not installed; pip install 'python-shipper[sentry]', or unset it"
        ) from error
    if sentry_sdk.get_client().is_active():
        return True
    try:
        sentry_sdk.init(
            dsn=settings.sentry_dsn,
            environment=settings.app_env,
            release=settings.service_version,
            send_default_pii=settings.sentry_send_default_pii,
            before_send=before_send,
        )
    except BadDsn as error:
        raise ConfigurationError(f"SENTRY_DSN: {error}; copy it from the project's settings in Sentry") from error
    return True


def before_send(event: Event, hint: Hint) -> Event | None:
    """The event masked and tagged with the trace id; None for an exception that was already sent in this trace."""
    trace_id = tracing.current()
    if already_sent((hint.get("exc_info") or (None, None))[1], trace_id):
        return None
    masked: dict[str, Any] = dict(event)
    masked.update({part: default_masker().value("", paired(masked[part])) for part in MASKED_PARTS if part in masked})
    if "user" in masked:
        masked["user"] = masked_user(masked["user"])
    if "cookies" in masked.get("request", {}):
        masked["request"]["cookies"] = DROPPED
    if trace_id:
        masked["tags"] = {**dict(masked.get("tags") or {}), "trace_id": trace_id}
    return masked  # type: ignore[return-value]


def paired(value: Any) -> Any:
    """``value`` with pairs of a name and a value masked by the name, and cookies taken out of text.

    The frames of a stack trace hold ASGI's headers as such pairs (``["b'cookie'", "b'session=…'"]``), and requests as
    text; the masking rules know keys of objects.
    """
    if isinstance(value, str):
        return COOKIES.sub(DROPPED, value)
    if isinstance(value, dict):
        return {name: paired(item) for name, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    if len(value) == 2 and isinstance(value[0], str):
        name = value[0].removeprefix("b").strip("'\"")
        return [value[0], default_masker().value(name, paired(value[1]))]
    return [paired(item) for item in value]


def already_sent(error: BaseException | None, trace_id: str | None) -> bool:
    """Whether ``error`` was sent before in this trace; the SDK's own check does not see across tasks."""
    if error is None or trace_id is None:
        return False
    if vars(error).get(MARK) == trace_id:
        return True
    vars(error)[MARK] = trace_id  # past a __setattr__ of its own
    return False


def masked_user(user: dict[str, Any]) -> dict[str, Any]:
    """The user with everything masked but the id, the one identifier that never is."""
    kept = {name: user[name] for name in ("id", "ip_address") if name in user}
    return {**default_masker().value("", user), **kept}
