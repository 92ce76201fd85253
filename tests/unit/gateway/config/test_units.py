from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.units import parse_address, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("5 s", 5.0), ("1.5min", 90.0), ("72h", 259_200.0), ("7d", 604_800.0), (3, 3), (0.5, 0.5)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 weeks", "-5s", "s", True])
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64kB", 64_000), ("2GiB", 2 * 1024**3), ("1.5 MB", 1_500_000), ("7B", 7), (9, 9)]
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "5 MBit", "-5MB", False])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [("127.0.0.1:80", True), ("[::1]:80", True), ("localhost:80", True), ("0.0.0.0:80", False), ("hall3:80", False)],
)
def test_addresses(text: str, loopback: bool) -> None:
    address = parse_address(text)
    assert str(address) == text
    assert address.loopback is loopback


@given(st.text(max_size=20))
def test_any_text_is_an_address_with_a_port_or_refused_with_a_sentence(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as problem:
        assert "host:port" in str(problem)  # noqa: PT017 - either branch is right, depending on the text
    else:
        assert parse_address(str(address)) == address
        assert 0 <= address.port <= 65_535
