"""Connections to Redis that wait a set time and never try again by themselves: that is decided where it is known what
was stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from python_shipper.errors import ConfigurationError

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis


def client(url: str, timeout_seconds: float) -> Redis:
    """A client that waits ``timeout_seconds`` and leaves trying again to us: its own retries could store twice.

    Raises:
        ConfigurationError: the address is none, or the Redis client is not installed.
    """
    try:
        from redis import Redis, RedisError
    except ImportError as error:
        raise ConfigurationError(
            "redis_url: the Redis client is not installed; pip install 'python-shipper[redis]'"
        ) from error
    try:
        made = Redis.from_url(url, **options(timeout_seconds))
        made.connection_pool.connection_class(**made.connection_pool.connection_kwargs)  # the address may hold options
    except (ValueError, TypeError, RedisError):  # whose words may hold a part of the password
        expected = "an address such as redis://:password@localhost:6379/0, with %2F for a / in the password and so on"
        raise ConfigurationError(f"redis_url: expected {expected}; correct it") from None
    return made


def async_client(url: str, timeout_seconds: float) -> AsyncRedis:
    """As ``client``, for the running event loop."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry

    return Redis.from_url(url, **{**options(timeout_seconds), "retry": Retry(no_backoff(), 0)})


def options(timeout_seconds: float) -> dict[str, Any]:
    """What both clients are told."""
    from redis.retry import Retry

    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(no_backoff(), 0),
    }


def gone() -> tuple[type[Exception], ...]:
    """The errors of a Redis that does not answer, or not as it should."""
    from redis.exceptions import RedisError

    return RedisError, OSError


def no_backoff() -> Any:
    """No pause, for no retry."""
    from redis.backoff import NoBackoff

    return NoBackoff()


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
