"""Ids sort by time, keep their order within a millisecond, and are never repeated, also across threads and forks."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

from python_shipper.core import ulid


def test_an_id_carries_its_time_and_has_the_shape_of_the_specification() -> None:
    # The example of the ULID specification: 1469918176385 ms is 01ARYZ6S41.
    made = ulid.new_ulid(1469918176385)
    assert made.startswith("01ARYZ6S41")
    assert ulid.is_ulid(made)


def test_ids_of_one_millisecond_keep_their_order_over_block_ends() -> None:
    made = [ulid.new_ulid(5) for _ in range((1 << 20) + 70_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_later_times_sort_later() -> None:
    times = [0, 1, 1023, 1024, 1025, 2**20, 2**40, ulid.MAX_MS]
    made = [ulid.new_ulid(ms) for ms in times]
    assert made == sorted(made)


def test_times_outside_of_the_range_are_clamped() -> None:
    assert ulid.new_ulid(-1)[:10] == "0000000000"
    assert ulid.new_ulid(2**60)[:10] == "7ZZZZZZZZZ"


def test_threads_never_share_an_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: [ulid.new_ulid(7) for _ in range(5_000)], range(8)))
    assert len({one for part in parts for one in part}) == 40_000


def test_a_forked_child_draws_its_own_random_part() -> None:
    ulid.new_ulid(1)
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(write, ulid.new_ulid(1).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    child, parent = os.read(read, 26).decode(), ulid.new_ulid(1)
    assert ulid.is_ulid(child)
    assert child[10:20] != parent[10:20]


def test_what_is_no_ulid() -> None:
    good = ulid.new_ulid()
    for bad in [None, 7, "", good[:-1], good + "0", good.lower(), "8" + good[1:], good[:-1] + "U", good[:-1] + "\n"]:
        assert not ulid.is_ulid(bad)


def test_a_hashed_id_is_a_function_of_digest_and_time() -> None:
    digest = hashlib.sha256(b"line").digest()
    timed, timeless = ulid.hashed_ulid(digest, 1469918176385), ulid.hashed_ulid(digest, None)
    assert timed[:10] == "01ARYZ6S41"
    assert ulid.is_ulid(timed) and ulid.is_ulid(timeless)
    assert timed[10:] == ulid.encoded(int.from_bytes(digest[:10]), 16)
