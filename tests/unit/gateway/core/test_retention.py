from hypothesis import given
from hypothesis import strategies as st

from gateway.core.retention import SLACK, Bounds, Verdict, fits, judge

AMOUNT = st.integers(0, 10**9)


@given(AMOUNT, AMOUNT, st.integers(1, 10**9))
def test_after_it_everything_fits_and_not_much_more_than_needed_left(stored, adding, bound):
    verdict = judge(Bounds(bound, 100), stored, adding, oldest=0, now=0)
    assert stored + adding - verdict.free <= bound or verdict.free >= stored
    if stored + adding <= bound:
        assert not verdict
    else:
        assert verdict.free <= stored + adding - bound + bound * SLACK


@given(AMOUNT, AMOUNT)
def test_what_is_too_old_leaves(oldest, now):
    verdict = judge(Bounds(10, 1000), 1, 1, oldest=oldest, now=now)
    assert bool(verdict) == (now - oldest > 1000)
    if verdict:
        assert oldest < verdict.before <= now - 980


def test_an_empty_store_has_nothing_to_lose():
    assert judge(Bounds(10, 10), 0, 100, oldest=None, now=10**9) == Verdict()


@given(AMOUNT, AMOUNT, st.integers(1, 10**9), st.booleans())
def test_what_may_come_stays_within_the_bound(stored, adding, bound, waited):
    found = fits(Bounds(bound, 100), stored, adding, waited=waited)
    if stored and found:
        assert stored + adding <= (bound - int(bound * SLACK) if waited else bound)
    if not found:
        assert stored
        assert stored + adding > bound * (1 - SLACK) - 1
