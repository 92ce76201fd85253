from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.times import LAST_TICKS, iso_from_ticks, ticks_from_iso, ticks_from_unix_ns


@given(st.integers(0, LAST_TICKS))
def test_a_moment_comes_back(ticks: int) -> None:
    assert ticks_from_iso(iso_from_ticks(ticks)) == ticks


@given(st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31, 23, 59, 59)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_the_text_is_what_datetime_says(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    since = aware - datetime(1601, 1, 1, tzinfo=UTC)
    ticks = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 10
    assert iso_from_ticks(ticks) == aware.strftime("%Y-%m-%dT%H:%M:%S.").zfill(20) + f"{aware.microsecond:06d}0Z"


@pytest.mark.parametrize(("ticks", "text"), [(-5, "1601-01-01T00:00:00.0000000Z"), (2**62, iso_from_ticks(LAST_TICKS))])
def test_moments_outside_show_the_nearest_end(ticks: int, text: str) -> None:
    assert iso_from_ticks(ticks) == text


def test_unix_time() -> None:
    assert iso_from_ticks(ticks_from_unix_ns(1_000_000_000)) == "1970-01-01T00:00:01.0000000Z"


@pytest.mark.parametrize("text", ["", "2026-11-22", "2026-11-22T15:30:00Z", "2026-11-22T15:30:00.123456Z", "x" * 28])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ticks_from_iso(text)
