from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.backoff import Backoff


@given(st.integers(), st.integers(1, 200))
def test_delays_stay_below_a_doubling_ceiling(seed, failures):
    backoff = Backoff(Random(seed), first=0.5, longest=4.0)
    for number in range(failures):
        assert backoff.ceiling == min(4.0, 0.5 * 2**number)
        assert 0.0 <= backoff.failed(float(number)) <= min(4.0, 0.5 * 2**number)


def test_jitter_is_full_and_seeded():
    def drawn(seed):
        backoff = Backoff(Random(seed), first=4.0, longest=4.0)
        return [backoff.failed(0.0) for _ in range(1000)]

    delays = drawn(1)
    assert delays == drawn(1)
    assert delays != drawn(2)
    assert min(delays) < 0.1
    assert max(delays) > 3.9
    assert 1.8 < sum(delays) / 1000 < 2.2


def test_only_a_stable_connection_forgives():
    backoff = Backoff(Random(0), first=1.0, longest=60.0, stable=30.0)
    for now in (0.0, 1.0, 2.0):
        backoff.failed(now)
    backoff.succeeded(10.0)
    backoff.failed(15.0)
    assert backoff.failures == 4
    backoff.succeeded(20.0)
    backoff.failed(50.0)
    assert backoff.failures == 1
