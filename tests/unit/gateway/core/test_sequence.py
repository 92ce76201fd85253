from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sequence import Numbering, Position

TRANSACTIONS = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=6), st.booleans()), max_size=30)


@given(TRANSACTIONS)
def test_durable_numbers_have_no_hole_whatever_fails(transactions):
    names = count()
    numbering = Numbering({"a": Position("old", 41)}, lambda: f"epoch{next(names)}")
    durable = {"a": [41], "b": [0], "c": [0]}
    epochs = {"a": {"old"}, "b": set(), "c": set()}
    for machines, succeeds in transactions:
        positions = [(machine, numbering.reserve(machine)) for machine in machines]
        if not succeeds:
            numbering.rollback()
            continue
        stored = dict(numbering.reserved())
        numbering.commit()
        for machine, position in positions:
            durable[machine].append(position.seq)
            epochs[machine].add(position.epoch)
        for machine, position in stored.items():
            assert numbering.settled(machine) == position
            assert position.seq == durable[machine][-1]
    for machine, seqs in durable.items():
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert len(epochs[machine]) <= 1


def test_a_machine_is_known_from_its_first_reservation_on():
    numbering = Numbering({}, lambda: "e")
    assert not numbering.knows("m")
    numbering.reserve("m")
    assert numbering.knows("m")
    numbering.rollback()
    assert not numbering.knows("m")
