"""kill -9 at any moment, also between the store's commit and the checkpoint: nothing lost, nothing twice."""

import random
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_killed_at_random_under_traffic(ground, traffic, rounds):
    traffic.start(600)
    for _ in range(rounds(5, 200)):
        ground.start()
        time.sleep(random.uniform(0.05, 0.9))
        ground.end()
    traffic.stop()
    ground.start()
    ground.assert_all_is_well()


@pytest.mark.parametrize("fault", ["before-checkpoint", "between-days"])
def test_killed_between_the_steps_of_a_commit(ground, traffic, rounds, fault):
    traffic.start(300)
    for _ in range(rounds(4, 60)):
        ground.start(fault)
        deadline = time.monotonic() + 60
        while ground.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not ground.alive(), "the fault did not strike"
    traffic.stop()
    ground.start()
    ground.assert_all_is_well()
