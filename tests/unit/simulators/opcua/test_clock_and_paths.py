from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.machine import TICKS_PER_SECOND
from simulators.opcua import paths
from simulators.opcua.clock import Clock
from simulators.opcua.values import datetime_from_ticks, ticks_from_datetime, ticks_from_unix


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_a_path_is_its_names(names: list[str]) -> None:
    path = ""
    for name in names:
        path = paths.join(path, name)
    assert paths.split(path) == names
    assert paths.name_of(path) == names[-1]
    assert paths.split(paths.parent_of(path)) == names[:-1]


@given(st.integers(0, 2_650_000_000_000_000_000))
def test_ticks_and_times(ticks: int) -> None:
    assert ticks_from_datetime(datetime_from_ticks(ticks)) == ticks // 10 * 10


class Hands:
    def __init__(self) -> None:
        self.wall, self.monotonic = 1_790_000_000.25, 10.0


def test_at_factor_one_it_is_the_wall_clock_and_never_runs_back() -> None:
    hands = Hands()
    clock = Clock(1, lambda: hands.wall, lambda: hands.monotonic)
    assert clock.now() == ticks_from_unix(hands.wall)
    hands.wall += 2.5
    later = clock.now()
    assert later == ticks_from_unix(1_790_000_002.75)
    hands.wall -= 3600
    assert clock.now() == later


def test_faster_it_begins_at_the_wall_clock_and_runs_by_the_monotonic_one() -> None:
    hands = Hands()
    clock = Clock(100, lambda: hands.wall, lambda: hands.monotonic)
    begin = clock.now()
    hands.wall += 5000
    hands.monotonic += 1.5
    assert clock.now() - begin == 150 * TICKS_PER_SECOND


@pytest.mark.parametrize("factor", [0, 0.5, 1001, -1])
def test_only_factors_from_1_to_1000(factor: float) -> None:
    with pytest.raises(ValueError, match="1 to 1000 are"):
        Clock(factor, lambda: 0.0, lambda: 0.0)
