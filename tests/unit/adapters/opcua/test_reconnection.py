"""How soon an attempt meets a server that is back: the schedule alone, without a network and without waiting."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.connection import DIAL_WITHIN
from gateway.core.backoff import Backoff
from gateway.pipeline.settings import PipelineSettings

WITHIN = 3.5
"""Seconds; what remains of the promised 5 is for channel, session, subscription and the first publication."""

REPEATS = (0.0, 1.0, 3.0, 7.0)
"""Seconds after which a kernel asks (again) for a connection."""


def met(back: float, backoff: Backoff, *, silent: bool) -> float:
    """When the connection is made.

    Args:
        back: The server is there from this second on; the first attempt is at 0.
        backoff: Of the source.
        silent: Its computer was off, so nobody refused: an attempt takes its time.
    """
    now = 0.0
    while True:
        asked = [now + after for after in REPEATS if after < DIAL_WITHIN] if silent else [now]
        answered = [moment for moment in asked if moment >= back]
        if answered:
            return answered[0]
        now += DIAL_WITHIN if silent else 0.0
        now += backoff.failed(now)


@given(seed=st.integers(0, 2**32), back=st.floats(0, 7200), silent=st.booleans())
def test_a_server_that_is_back_is_met_in_time_however_long_it_was_away(seed: int, back: float, silent: bool) -> None:
    settings = PipelineSettings()
    backoff = Backoff(Random(seed), first=settings.retry_first, longest=settings.retry_longest, stable=settings.stable)
    assert met(back, backoff, silent=silent) - back <= WITHIN


def test_the_schedule_would_be_too_slow_with_longer_delays_or_dials() -> None:
    slow = [met(float(back), Backoff(Random(back), first=0.5, longest=30.0), silent=False) - back for back in range(99)]
    assert max(slow) > WITHIN
