from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import Outgoing
from gateway.outbox.tail import Tail

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.lists(st.integers(0, 60), max_size=5)),
        st.tuples(st.just("drop"), st.integers(0, 120)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 300), st.integers(1, 20), st.integers(0, 200))
def test_it_gives_what_a_list_would_or_says_that_it_cannot(steps, limit, messages, size):
    tail, everything, dropped = Tail(limit), [], 0
    for step, argument in steps:
        if step == "drop":
            dropped = max(dropped, min(argument, len(everything)))
            tail.drop(dropped)
        else:
            new = [
                Outgoing(len(everything) + index + 1, "M", "data", b"x" * length)
                for index, length in enumerate(argument)
            ]
            everything += new
            tail.extend(new)
        assert tail.bytes <= limit
    for cursor in range(dropped, len(everything)):
        found = tail.after(cursor, messages, size)
        if found is None:
            held = sum(len(message.payload) for message in everything[cursor:])
            assert held > limit, "it should have been kept"
            continue
        expected = everything[cursor : cursor + messages]
        while len(expected) > 1 and sum(len(message.payload) for message in expected) > size:
            expected.pop()
        assert list(found) == expected


def test_a_jump_of_the_ids_starts_anew():
    tail = Tail(1000)
    tail.extend([Outgoing(1, "M", "data", b"a"), Outgoing(2, "M", "data", b"b")])
    tail.extend([Outgoing(9, "M", "data", b"c")])
    assert tail.after(1, 10, 100) is None
    assert [message.id for message in tail.after(8, 10, 100)] == [9]
    assert tail.bytes == 1
