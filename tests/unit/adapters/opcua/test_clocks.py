"""Where a gap begins and ends, whichever clock stamps the values: it encloses every value that can be lost."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.clocks import FRESH, WINDOW, Clocks, Skew
from adapters.opcua.losses import outage_of
from adapters.opcua.progress import Progress, ProgressWriter, decode_progress
from adapters.opcua.publish import SHOWN_WITHIN
from gateway.model import Gap, Sample, Samples, SignalRef

SECOND = 10_000_000
START = 1_000_000 * SECOND
REF = SignalRef("A")


def brought(*times: int, status: str | None = None) -> list[Samples | Gap]:
    return [Gap("m", [], 0, 0, "connection"), Samples("m", [Sample(REF, 1, time, status) for time in times])]


def progress(complete: int, skew: Skew) -> Progress:
    found = decode_progress(ProgressWriter(1, {"m": "d"}).encode(1, complete, None, (), skew))
    assert found is not None
    assert found.skew == skew
    return found


def test_values_of_the_servers_own_clock_move_nothing() -> None:
    clocks = Clocks()
    for step in range(100):
        now = START + step * SECOND
        clocks.heard(now, brought(now - SECOND // 10, now - SECOND // 20), now, float(step))
    assert clocks.skew.begin(START) == clocks.skew.end(START) == START


def test_what_is_measured_is_forgotten_after_two_windows() -> None:
    clocks = Clocks(Skew(behind=40 * SECOND, ahead=3 * SECOND))
    assert clocks.skew.begin(START) == START - 40 * SECOND
    assert clocks.skew.end(START) == START + 3 * SECOND
    for at in (0.0, WINDOW, 2 * WINDOW):
        assert clocks.skew.behind == (40 * SECOND if at <= WINDOW else 0)
        clocks.heard(START, brought(START), START, at)
    assert clocks.skew.begin(START) == clocks.skew.end(START) == START


def test_current_values_of_new_items_and_of_a_bad_status_are_not_measured() -> None:
    clocks = Clocks()
    clocks.created(100.0)
    clocks.heard(START, brought(START - 9 * SECOND), START, 100.0 + FRESH - 0.1)
    clocks.heard(START, brought(START - 9 * SECOND, status="BadNotConnected"), START, 100.0 + FRESH)
    clocks.heard(START, brought(0), START, 101.0 + FRESH)
    assert clocks.skew.behind == 0
    clocks.heard(START, brought(START - 9 * SECOND), START, 102.0 + FRESH)
    assert clocks.skew.behind == 9 * SECOND


def test_each_of_many_values_has_its_turn() -> None:
    clocks = Clocks()
    times = [START] * 20
    times[13] = START - 5 * SECOND
    for turn in range(20):
        clocks.heard(START, brought(*times), START, float(turn))
    assert clocks.skew.behind == 5 * SECOND


@given(
    offset=st.integers(-100 * SECOND, 100 * SECOND),
    seconds=st.integers(1, 300),
    shown=st.integers(0, SHOWN_WITHIN // 2),
    set_back=st.integers(0, 400 * SECOND),
    killed=st.booleans(),
)
def test_every_value_of_the_outage_lies_in_the_gap(
    offset: int, seconds: int, shown: int, set_back: int, killed: bool
) -> None:
    """`offset` is that of the source's clock, `set_back` what the server's loses at its restart."""
    clocks = Clocks()
    for step in range(10):
        now = START + step * SECOND
        clocks.heard(now, brought(now + offset - shown), now + 7, float(step))
    last = START + 9 * SECOND
    resume = progress(last - SHOWN_WITHIN, clocks.skew)
    first_lost, last_lost = last - shown + offset, last + (seconds - 1) * SECOND + offset
    if killed:
        clocks = Clocks(resume.skew)
    now, at = last + seconds * SECOND - set_back, 9.0 + seconds
    if killed and last - SHOWN_WITHIN <= now < last + seconds * SECOND:
        now = last + seconds * SECOND  # that such a clock was set back, nothing tells another process
    expected = clocks.expected(resume.complete, now, last + 7 + seconds * SECOND, at)
    outage = outage_of(resume, now, expected)
    assert outage.begin <= first_lost
    assert outage.end >= last_lost


def test_a_process_that_ran_before_our_clock_was_right_names_no_future() -> None:
    clocks = Clocks(Skew(wall=START - 86_400 * SECOND))
    now = START + 10 * SECOND
    assert clocks.expected(START, now, START + 10 * SECOND, 5.0) == now


def test_without_any_earlier_message_the_servers_word_counts() -> None:
    assert Clocks().expected(START + SECOND, START, START, 1.0) == START


def test_progress_of_an_earlier_version_has_no_distance() -> None:
    whole = ProgressWriter(1, {}).encode(1, 2)
    found = decode_progress(bytes([whole[0] - 1]) + whole[1:-4])
    assert found is not None
    assert found.skew == Skew()
