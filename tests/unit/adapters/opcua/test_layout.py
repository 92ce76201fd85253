from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.layout import MOST_RUNS, Layout, items_of, runs_of
from adapters.opcua.progress import ProgressWriter, decode_progress, short_name

placed = st.tuples(st.integers(0, 60), st.integers(1, 90))
items = st.lists(st.one_of(placed, st.just((-1, 0))), max_size=80)


@given(items)
def test_runs_give_the_items_back(given_items: list[tuple[int, int]]) -> None:
    runs = runs_of(given_items)
    assert runs is not None
    assert items_of(runs) == given_items


def test_handles_in_order_are_one_run() -> None:
    assert runs_of([(number, 100 + number) for number in range(5000)]) == [(0, 100, 5000)]


def test_ids_without_order_are_left_out_and_handles_without_order_are_not_stored() -> None:
    count = MOST_RUNS + 1
    assert runs_of([(number, 7 * (number % 90) + 1) for number in range(count)]) == [(0, 0, count)]
    assert runs_of([(2 * number, 1) for number in range(count)]) is None


@given(
    sequence=st.integers(0, 2**32 - 1),
    complete=st.integers(0, 2**62),
    hole=st.none() | st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)),
    given_items=items,
    times=st.lists(st.integers(0, 2**62), min_size=2, max_size=2),
)
def test_progress_comes_back(
    sequence: int,
    complete: int,
    hole: tuple[int, int] | None,
    given_items: list[tuple[int, int]],
    times: list[int],
) -> None:
    layout = Layout("digest", runs_of(given_items) or [], [(1, 2, None), (2, 3, "m")], True, 0.1, 5.0)
    names = [short_name("m", "a"), short_name("m", "b")]
    stored = ProgressWriter(7, {"m": "d"}, "run", layout, names).encode(sequence, complete, hole, times)
    found = decode_progress(stored)
    assert found is not None
    assert (found.subscription, found.sequence, found.complete, found.server) == (7, sequence, complete, "run")
    assert (found.layout, found.hole, found.descriptions) == (layout, hole, {"m": "d"})
    assert found.last_times() == {name: time for name, time in zip(names, times, strict=True) if time}


def test_progress_of_the_first_version_says_what_is_missing() -> None:

    found = decode_progress(msgspec.msgpack.encode((1, 7, 8, 9, {"m": "d"})))
    assert found is not None
    assert (found.complete, found.layout, found.server) == (9, None, "")


def test_times_of_names_that_two_signals_share_are_not_used() -> None:
    found = decode_progress(ProgressWriter(7, {}, "", None, [5, 6, 5]).encode(1, 2, None, [10, 20, 30]))
    assert found is not None
    assert found.last_times() == {6: 20}
