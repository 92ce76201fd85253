from __future__ import annotations

from simulators.opcua.throttle import FREE, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_wrong_logins_cost_nothing_and_the_next_ones_more_and_more() -> None:
    throttle = Throttle(Clock())
    delays = []
    for _ in range(FREE + 10):
        throttle.failed("client")
        delays.append(throttle.delay("client"))
    assert delays[: FREE - 1] == [0.0] * (FREE - 1)
    grown = delays[FREE - 1 :]
    assert grown[0] > 0
    assert grown == sorted(grown)
    assert grown[0] < grown[1] < grown[-1] == grown[-2]


def test_others_do_not_wait_and_a_right_login_forgets() -> None:
    throttle = Throttle(Clock(), free=1)
    throttle.failed("client")
    assert throttle.delay("client") > 0
    assert throttle.delay("another") == 0
    throttle.succeeded("client")
    assert throttle.delay("client") == 0


def test_time_forgets_too() -> None:
    clock = Clock()
    throttle = Throttle(clock, free=1)
    throttle.failed("client")
    clock.now += 61
    assert throttle.delay("client") == 0
    throttle.failed("client")
    assert throttle.delay("client") > 0


def test_a_crowd_of_clients_fills_no_memory() -> None:
    throttle = Throttle(Clock(), free=1)
    for number in range(5_000):
        throttle.failed(number)
    assert throttle.delay(4_999) > 0
    assert throttle.delay(0) == 0
