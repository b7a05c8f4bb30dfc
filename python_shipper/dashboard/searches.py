"""Searches run beside the event loop, few at a time and for a bounded time, so that none can starve the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from python_shipper.dashboard.problems import RequestError
from python_shipper.errors import QueryError, ShipperError

T = TypeVar("T")


class Searches:
    """A few threads for questions to the store; ``seconds`` bounds the wait for an answer, ``waiting`` the queue."""

    def __init__(self, threads: int = 4, waiting: int = 32, seconds: float = 20.0) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self.most = threads + waiting
        self.seconds = seconds
        self.running = 0

    async def run(self, question: Callable[..., T], *arguments: Any) -> T:
        """The answer of ``question(*arguments)``.

        Raises:
            RequestError: 400 for a wrong question, 503 when too many run or the store fails, 504 after ``seconds``.
        """
        if self.running >= self.most:
            raise RequestError(
                503, "too many searches at once", "server", "try again in a second", {"retry-after": "1"}
            )
        self.running += 1
        future = asyncio.get_running_loop().run_in_executor(self.pool, question, *arguments)
        future.add_done_callback(self.done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.seconds)
        except TimeoutError:
            raise RequestError(504, f"no answer within {self.seconds:g} s", "search", "narrow the time range") from None
        except QueryError as error:
            raise RequestError(
                400, str(error), "query", "correct the query; shipper search --help shows the language"
            ) from None
        except RecursionError:
            raise RequestError(400, "nested too deeply", "query", "nest fewer clauses") from None
        except ShipperError as error:
            raise RequestError(503, str(error), "store", "see shipper status") from None

    def done(self, future: asyncio.Future[Any]) -> None:
        """One question less; reading the exception keeps an abandoned one from being reported as forgotten."""
        self.running -= 1
        if not future.cancelled():
            future.exception()
