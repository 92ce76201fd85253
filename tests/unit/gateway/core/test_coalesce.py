from hypothesis import given
from hypothesis import strategies as st

from gateway.core.coalesce import Draft, coalesce
from gateway.model import Gap, Sample, Samples, SignalRef

SIGNAL = SignalRef("s")
RECORDS = st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 12))), max_size=40)


def flat(drafts, machine):
    """What one machine's consumer sees, in order."""
    result = []
    for draft in drafts:
        if draft.record.machine == machine:
            if isinstance(draft.record, Samples):
                result += [sample.value for sample in draft.record.samples]
            else:
                result.append(draft.record)
    return result


@given(RECORDS, st.integers(1, 10))
def test_order_per_machine_is_kept_and_nothing_is_lost(shape, limit):
    drafts, value = [], 0
    for taken, (machine, size) in enumerate(shape):
        if size is None:
            drafts.append(Draft(taken, Gap(machine, None, taken, taken, "connection")))
        else:
            values = range(value, value + size)
            value += size
            drafts.append(Draft(taken, Samples(machine, [Sample(SIGNAL, number, 0) for number in values])))
    before = [list(draft.record.samples) for draft in drafts if isinstance(draft.record, Samples)]
    result = coalesce(drafts, limit)
    for machine in "abc":
        assert flat(result, machine) == flat(drafts, machine)
    for draft in result:
        if isinstance(draft.record, Samples):
            assert 1 <= len(draft.record.samples) <= limit
    assert before == [draft.record.samples for draft in drafts if isinstance(draft.record, Samples)]


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(1, 10))
def test_samples_of_one_machine_need_the_fewest_messages(sizes, limit):
    drafts = [Draft(0, Samples("a", [Sample(SIGNAL, 0, 0)] * size)) for size in sizes]
    assert len(coalesce(drafts, limit)) == -(-sum(sizes) // limit)


def test_a_joined_message_was_taken_when_its_first_sample_was():
    drafts = [Draft(taken, Samples("a", [Sample(SIGNAL, taken, 0)])) for taken in (7, 8, 9)]
    assert [draft.taken for draft in coalesce(drafts, 2)] == [7, 9]
