import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.ceiling import Ceiling


def test_without_a_rate_everything_may_go():
    ceiling = Ceiling(None)
    assert ceiling.allowed(10**6, 0.0) == 10**6
    ceiling.took(10**6)
    assert ceiling.wait() == 0.0


@example(2.5, [0.0, 0.375, 0.5, 0.375, 0.5, 0.25, 0.5, 0.25])
@given(st.floats(1, 5000), st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200))
def test_the_rate_is_kept_and_nearly_used(rate, steps):
    ceiling, now, gone = Ceiling(rate), 0.0, 0
    for step in steps:
        now += step
        allowed = ceiling.allowed(10**6, now)
        ceiling.took(allowed)
        gone += allowed
    burst = rate / 4
    assert gone <= rate * now + burst + 1 + 1e-6
    assert gone >= sum(min(step * rate, burst) for step in steps[1:]) - 1 - 1e-6


def test_the_wait_is_just_long_enough():
    ceiling = Ceiling(10.0)
    ceiling.took(ceiling.allowed(100, 5.0))
    assert ceiling.allowed(1, 5.0) == 0
    wait = ceiling.wait()
    assert 0 < wait <= 0.1
    assert ceiling.allowed(5, 5.0 + wait + 1e-9) == 1
    assert ceiling.wait() == pytest.approx(0.0, abs=1e-6)
