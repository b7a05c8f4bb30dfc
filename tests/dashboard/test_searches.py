"""Questions to the store are few at a time, bounded in their wait, and their errors become clear answers."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from python_shipper.dashboard.problems import RequestError
from python_shipper.dashboard.searches import Searches
from python_shipper.errors import QueryError, StoreError


def refusal(searches: Searches, question: Callable[[], Any]) -> RequestError:
    with pytest.raises(RequestError) as error:
        asyncio.run(searches.run(question))
    return error.value


def raising(error: Exception) -> Callable[[], Any]:
    def question() -> None:
        raise error

    return question


@pytest.mark.parametrize(
    ("error", "status"),
    [(QueryError("no such thing"), 400), (RecursionError(), 400), (StoreError("gone"), 503)],
)
def test_errors_of_the_store_become_answers(error: Exception, status: int) -> None:
    assert refusal(Searches(), raising(error)).status == status


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Searches().run(lambda: 1 / 0))


def test_a_slow_question_is_given_up_and_its_thread_counted_until_it_ends() -> None:
    release = threading.Event()
    searches = Searches(threads=1, seconds=0.05)
    try:
        assert refusal(searches, release.wait).status == 504
        assert searches.running == 1
    finally:
        release.set()
        searches.pool.shutdown()


def test_too_many_questions_are_refused_at_once_and_the_others_answered() -> None:
    release = threading.Event()
    searches = Searches(threads=1, waiting=1)

    async def crowd() -> list[Any]:
        waiting = [asyncio.ensure_future(searches.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as error:
            await searches.run(release.wait)
        assert (error.value.status, error.value.headers) == (503, {"retry-after": "1"})
        release.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(crowd()) == [True, True]
    assert searches.running == 0
