from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mqtt.window import ANNOUNCEMENTS_IN_FLIGHT, Sent, Window


def test_a_message_larger_than_the_limit_goes_alone() -> None:
    window = Window(10, 100, 65535)
    assert window.room(500)
    window.take(1, Sent("t", 500, 1))
    assert not window.room(1)
    assert window.settle(1) == Sent("t", 500, 1)
    assert window.room(1)
    assert (len(window), window.size, window.messages) == (0, 0, 0)


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    window = Window(10, 100, 65535)
    assert window.settle(7) is None


def test_an_identifier_in_flight_cannot_be_used_twice() -> None:
    window = Window(10, 100, 65535)
    window.take(1, Sent("t", 1, 1))
    with pytest.raises(ValueError, match="in flight already"):
        window.take(1, Sent("t", 1, 2))


def test_one_place_of_the_receive_maximum_is_kept_for_announcements() -> None:
    window = Window(100, 10_000, 3)
    assert window.limit == 2
    window.take(1, Sent("t", 1, 1))
    window.take(2, Sent("t", 1, 2))
    assert not window.room(1)
    assert window.room_for_announcement()
    window.take(3, Sent("s", 1, None))
    assert not window.room_for_announcement()


@given(
    st.integers(1, 50),
    st.integers(1, 1000),
    st.integers(1, 60),
    st.lists(st.tuples(st.sampled_from(["send", "announce", "acknowledge"]), st.integers(1, 400)), max_size=300),
)
def test_no_limit_is_ever_passed_and_room_always_comes_back(
    messages: int, size_limit: int, receive_maximum: int, steps: list[tuple[str, int]]
) -> None:
    window = Window(messages, size_limit, receive_maximum)
    flying: list[int] = []
    mid = 0
    for step, size in steps:
        announcement = step == "announce"
        if step == "acknowledge":
            if flying:
                assert window.settle(flying.pop(size % len(flying))) is not None
        elif window.room_for_announcement() if announcement else window.room(size):
            mid += 1
            window.take(mid, Sent("t", size, None if announcement else mid))
            flying.append(mid)
        assert len(window) == len(flying) <= receive_maximum
        assert window.messages <= messages
        assert len(window) - window.messages <= ANNOUNCEMENTS_IN_FLIGHT
        assert window.size <= size_limit or window.messages == 1
    for one in flying:
        window.settle(one)
    assert window.room(10**9)
    assert window.room_for_announcement()
    assert (len(window), window.size, window.messages) == (0, 0, 0)
