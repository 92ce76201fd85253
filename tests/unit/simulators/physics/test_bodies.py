from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.physics.spindle import Spindle
from simulators.physics.thermal import Body, Tank, ambient_at
from simulators.physics.tools import Tool, cutting_power, draw_strength


def test_a_spindle_ramps_with_constant_acceleration() -> None:
    spindle = Spindle(6000.0, 2000.0, 10.0)
    spindle.command(-4000.0, 10.0)
    assert spindle.at(10.5) == pytest.approx(-1000.0)
    assert spindle.reached_at() == pytest.approx(12.0)
    assert spindle.at(20.0) == -4000.0
    spindle.advance(13.0)
    assert spindle.revolutions == pytest.approx((2000 * 2 + 4000) / 60)
    spindle.command(9000.0, 13.0)
    assert spindle.target == 6000.0


@given(st.lists(st.floats(-6000, 6000), min_size=1, max_size=8), st.floats(0.05, 3.0))
def test_speed_never_changes_faster_than_its_ramp(targets: list[float], pause: float) -> None:
    spindle, time = Spindle(6000.0, 2000.0, 10.0), 0.0
    for target in targets:
        before = spindle.at(time)
        spindle.command(target, time)
        assert spindle.at(time) == pytest.approx(before)
        assert abs(spindle.at(time + pause) - before) <= 2000.0 * pause + 1e-6
        time += pause


def test_temperature_lags_power_and_does_not_depend_on_the_step() -> None:
    fine, coarse = Body(10.0, 100.0, 20.0), Body(10.0, 100.0, 20.0)
    for _ in range(1000):
        fine.advance(0.1, 2.0, 20.0)
    coarse.advance(100.0, 2.0, 20.0)
    assert fine.temperature == pytest.approx(coarse.temperature)
    assert coarse.temperature == pytest.approx(20 + 20 * 0.632, abs=0.01)


def test_tanks_and_the_day() -> None:
    tank = Tank(50.0, 10.0)
    tank.use(3600.0)
    assert tank.level == pytest.approx(40.0)
    tank.use(1e6)
    assert tank.level == 0.0
    tank.fill(150.0)
    assert tank.level == 100.0
    assert ambient_at(17 * 3600) > ambient_at(5 * 3600)


def test_tools_wear_with_time_and_load_and_break_when_overloaded() -> None:
    def cut(minutes: int, load: float) -> Tool:
        tool = Tool(1, "", "", 10.0, 100.0, 60.0, strength=3.0)
        for _ in range(minutes * 60):
            tool.cut(1.0, load)
        return tool

    assert cut(30, 50.0).wear == pytest.approx(0.5)
    assert cut(30, 100.0).wear > 2 * cut(30, 50.0).wear
    assert cut(60, 50.0).worn_out
    assert not cut(60, 50.0).broken
    assert cut(60, 250.0).broken
    assert draw_strength(Random(1)) == draw_strength(Random(1)) > 0


def test_cutting_power_of_a_known_cut() -> None:
    # 100 cm3/min of steel with kc 2100 N/mm2 needs 3.5 kW at the edge
    assert cutting_power(100_000.0, 0.0, 2100.0) * 0.85 == pytest.approx(3.5)
    assert cutting_power(100_000.0, 1.0, 2100.0) > cutting_power(100_000.0, 0.0, 2100.0)
    assert cutting_power(0.0, 1.0, 2100.0) == 0.0
