"""The ad system's logging as one object: set up by a mapping, it gives loggers, and a stream of events for monitors."""

from __future__ import annotations

import dataclasses
import logging.config
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from python_shipper.ads.config import Kinds, checked
from python_shipper.ads.contextual import ContextualLogger
from python_shipper.ads.stream import CLAIM_SECONDS, MemoryStream, Receipt, Stream, new_event
from python_shipper.ads.system import APP_NAME, console
from python_shipper.core.config import active, logging_dict, writable
from python_shipper.core.masking import default_masker
from python_shipper.errors import ConfigurationError
from python_shipper.settings import Settings

if TYPE_CHECKING:
    from python_shipper.ads.remote import Remote

TIMEOUT_SECONDS = 1.0
KEYS: Kinds = {
    "app_name": str,
    "redis_url": str,
    "redis_timeout": (int, float),
    "claim_seconds": (int, float),
    "enable_remote_logging": bool,
    "remote_url": str,
}


class AdLoggingSystem:
    """Sets the process's logging up (root logger), and takes events into a stream on Redis or in this process."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Set up; what an earlier set-up of the root logger did is replaced.

        Console at INFO; in LOG_DIR the shipped file, the file of the day and the file of errors, as ``configure`` does.

        Args:
            config: ``app_name`` (``ad_system``: the service's name and its files'), ``redis_url`` (REDIS_URL; without
                either the stream is within this process), ``redis_timeout`` (seconds that anybody waits for Redis; 1),
                ``claim_seconds`` (after which a monitor takes over what another one began and did not finish, and
                half of which it may take for one event; 60), ``enable_remote_logging`` (send every line as well, for
                machines without a disk or Filebeat), ``remote_url`` (where to: ``beats://host:5044`` or Elasticsearch's
                address; REMOTE_LOG_URL, else ELASTICSEARCH_URL).

        Raises:
            ConfigurationError: a key is unknown or holds what it may not, LOG_DIR cannot be written, or Redis's client
                is not installed.
        """
        config = {} if config is None else checked("logging system", config, KEYS)
        timeout = seconds(config, "redis_timeout", TIMEOUT_SECONDS)
        claim = seconds(config, "claim_seconds", CLAIM_SECONDS)
        settings = active()
        self.settings = dataclasses.replace(settings, service_name=config.get("app_name") or APP_NAME)
        self.stream = stream(config.get("redis_url") or settings.redis_url, timeout, claim)
        remote = None
        if config.get("enable_remote_logging"):
            from python_shipper.ads.remote import Remote

            remote = Remote.of(self.settings, config.get("remote_url"))
        set_up_root(self.settings, remote)

    def get_logger(self, /, name: str, **default_fields: Any) -> ContextualLogger:
        """A logger whose lines have ``default_fields`` where neither a context nor the call gives them."""
        return ContextualLogger(name, **default_fields)

    async def setup_redis(self) -> bool:
        """Whether the stream can be reached; where it cannot, events wait in memory and a warning says so."""
        return await self.stream.ready()

    async def log_event_async(self, event_type: str, data: Any) -> str | None:
        """Put an event ``{timestamp, type, data, id}`` into the stream; its id once it is stored.

        None where it is not stored within ``redis_timeout``: it then waits in memory, bounded, and is stored when Redis
        answers again; :meth:`counts` tells what had to be dropped. Personal data is masked. Calls that run at the same
        time share round trips.
        """
        return await self.put_event(event_type, data)

    def put_event(self, event_type: str, data: Any) -> Receipt:
        """As ``log_event_async``, from a plain function or any thread: never waits; the receipt may be awaited."""
        return self.stream.put(new_event(event_type, data))

    async def recent_alerts(self, count: int = 100) -> list[dict[str, Any]]:
        """The newest alerts of all monitors, newest first.

        Raises:
            StoreError: Redis does not answer.
        """
        return await self.stream.alerts(count)

    def counts(self) -> dict[str, int]:
        """Events by what became of them: stored, refused, dropped, waiting; on Redis also retries."""
        return self.stream.counts()

    def close(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Store the events that wait, within ``seconds``, and take no more; what is left then counts as dropped.

        Lines are still taken: ``logging.shutdown``, which the interpreter calls at its end, delivers what waits.
        """
        self.stream.close(seconds)


def seconds(config: Mapping[str, Any], key: str, default: float) -> float:
    """A time in the config.

    Raises:
        ConfigurationError: it is no time that can pass.
    """
    given = config.get(key)
    if given is not None and (isinstance(given, bool) or not 0 < given < math.inf):
        raise ConfigurationError(f"logging system: {key}: expected seconds above 0, got {given!r}; correct it")
    return default if given is None else float(given)


def stream(url: str | None, timeout_seconds: float, claim_seconds: float) -> Stream:
    """The stream at ``url``, or one within this process."""
    if url is None:
        return MemoryStream(claim_seconds=claim_seconds)
    from python_shipper.ads.redis_stream import RedisStream

    return RedisStream(url, timeout_seconds=timeout_seconds, claim_seconds=claim_seconds)


def set_up_root(settings: Settings, remote: Remote | None = None) -> None:
    """Give the root logger its handlers.

    Raises:
        ConfigurationError: masking's settings are wrong, or LOG_DIR cannot be written (a warning with ``remote``).
    """
    default_masker()  # its errors are clearer than dictConfig's
    without = unwritable(settings)
    if without and not remote:
        raise without
    wanted = logging_dict(settings)
    if remote:
        wanted["handlers"]["files"] = {"()": remote.handler, "settings": settings, "files": not without}
    wanted["handlers"]["console"] = {"()": console, "app_name": settings.service_name}
    wanted["root"]["handlers"] = list(wanted["handlers"])
    logging.config.dictConfig(wanted)
    if without:
        logging.getLogger(__name__).warning("%s; lines go to the console and elsewhere only", without)


def unwritable(settings: Settings) -> ConfigurationError | None:
    """Why no log files can be made in LOG_DIR; None where they can."""
    try:
        writable(settings.log_dir)
    except ConfigurationError as error:
        return error
    return None
