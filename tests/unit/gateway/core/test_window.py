import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.window import Window


@given(st.lists(st.integers(1, 5), max_size=40), st.randoms(use_true_random=False), st.floats(0, 1))
def test_the_cursor_is_the_end_of_the_acknowledged_beginning(steps, random, share):
    ids, last = [], 0
    for step in steps:
        last += step
        ids.append(last)
    window = Window(0)
    for message in ids:
        window.sent(message)
    order = list(ids)
    random.shuffle(order)
    acknowledged = set()
    for message in order[: int(len(order) * share)]:
        before = window.cursor
        moved = window.acknowledged(message)
        acknowledged.add(message)
        expected = 0
        for candidate in ids:
            if candidate not in acknowledged:
                break
            expected = candidate
        assert window.cursor == expected
        assert moved == (expected != before)
        assert window.untold == len(ids) - len(acknowledged)


@given(st.sets(st.integers(1, 30)), st.integers(1, 30))
def test_a_refused_message_holds_the_cursor_for_ever(ids, refused):
    window = Window(0)
    ids = sorted(ids | {refused})
    for message in ids:
        window.sent(message)
    assert window.refused(refused)
    for message in ids:
        window.acknowledged(message)
    assert window.untold == 0
    assert window.cursor == max((message for message in ids if message < refused), default=0)


def test_rewinding_sends_from_the_cursor_again():
    window = Window(10)
    for message in (11, 12, 15):
        window.sent(message)
    window.acknowledged(11)
    window.acknowledged(15)
    window.rewind()
    assert (window.cursor, window.last, window.untold) == (11, 11, 0)
    window.sent(12)
    assert not window.acknowledged(15)
    assert window.acknowledged(12)
    assert window.cursor == 12


def test_repeated_and_unknown_answers_change_nothing():
    window = Window(0)
    window.sent(1)
    assert window.acknowledged(1)
    assert not window.acknowledged(1)
    assert not window.acknowledged(9)
    assert not window.refused(9)
    assert window.cursor == 1


def test_ids_must_rise():
    window = Window(5)
    with pytest.raises(ValueError, match="message 5 is sent after 5"):
        window.sent(5)
