from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.physics.profile import plan

LENGTH = st.floats(0.01, 2000.0)
SPEED = st.floats(0.5, 800.0)
RATE = st.floats(100.0, 10_000.0)


@pytest.mark.parametrize(
    ("length", "speed", "rate", "seconds"),
    [
        (100.0, 50.0, 100.0, 2.5),  # 0.5 s up, 1.5 s steady, 0.5 s down
        (25.0, 50.0, 100.0, 1.0),  # triangle that just reaches its speed
        (4.0, 1000.0, 100.0, 0.4),  # triangle
    ],
)
def test_durations_worked_out_by_hand(length: float, speed: float, rate: float, seconds: float) -> None:
    assert plan(length, 0.0, speed, 0.0, rate).duration == pytest.approx(seconds)


@given(LENGTH, SPEED, RATE, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_path_is_covered_within_the_limits(
    length: float, target: float, rate: float, begin: float, finish: float
) -> None:
    first = begin * min(target, math.sqrt(2 * rate * length))
    last = finish * target
    profile = plan(length, first, target, last, rate)
    assert profile.at(0.0) == pytest.approx((0.0, first))
    way, speed = profile.at(profile.duration)
    assert way == pytest.approx(length, rel=1e-6, abs=1e-6)
    assert speed <= max(last, math.sqrt(max(first**2 - 2 * rate * length, 0))) + 1e-3
    before = (0.0, first)
    for number in range(1, 41):
        time = profile.duration * number / 40
        now = profile.at(time)
        step = profile.duration / 40
        assert now[0] >= before[0] - 1e-9
        assert now[1] <= max(target, first) * (1 + 1e-9) + 1e-9
        assert abs(now[1] - before[1]) <= rate * step * (1 + 1e-6) + 1e-6
        before = now


@given(LENGTH, SPEED, RATE, st.floats(0.05, 0.95))
def test_a_new_plan_in_the_middle_goes_on_without_a_jump(
    length: float, speed: float, rate: float, share: float
) -> None:
    profile = plan(length, 0.0, speed, 0.0, rate)
    way, now = profile.at(profile.duration * share)
    slower = plan(length - way, now, speed * 0.5, 0.0, rate)
    assert slower.at(0.0)[1] == pytest.approx(now)
    assert slower.at(slower.duration)[0] == pytest.approx(length - way, rel=1e-6, abs=1e-6)
    assert slower.at(slower.duration)[1] == pytest.approx(0.0, abs=0.02 * speed + 1e-3)


def test_target_zero_comes_to_rest_on_the_way_and_stays() -> None:
    profile = plan(100.0, 50.0, 0.0, 0.0, 100.0)
    assert math.isinf(profile.duration)
    assert profile.at(0.5) == pytest.approx((12.5, 0.0))
    assert profile.at(1000.0) == pytest.approx((12.5, 0.0))
    assert plan(100.0, 0.0, 0.0, 0.0, 100.0).at(50.0) == (0.0, 0.0)
