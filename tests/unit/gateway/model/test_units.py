from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Unit
from gateway.model.units import UCUM, UNECE, unece_code, unit, unit_id

CODES = st.text(string.digits + string.ascii_uppercase, min_size=1, max_size=4)


@given(CODES)
def test_codes_and_unit_ids_are_the_same_thing(code: str) -> None:
    assert unece_code(unit_id(code)) == code


@given(st.integers(-(2**31), 2**33))
def test_any_unit_id_is_a_code_or_none(number: int) -> None:
    code = unece_code(number)
    assert code is None or unit_id(code) == number


@pytest.mark.parametrize(
    ("code", "number"),
    [("MMT", 5066068), ("P1", 20529), ("C62", 4404786), ("RPM", 5394509), ("H81", 4732977), ("2X", 12888),
     ("CEL", 4408652), ("SEC", 5457219), ("C26", 4403766), ("HUR", 4740434), ("KWT", 4937556), ("KWH", 4937544),
     ("AMP", 4279632), ("VLT", 5655636), ("BAR", 4342098), ("NU", 20053), ("DD", 17476), ("4H", 13384)],
)  # fmt: skip
def test_known_unit_ids(code: str, number: int) -> None:
    assert unit_id(code) == number
    assert code in UCUM


@pytest.mark.parametrize("code", ["", "mmt", "ABCDE", "A ", "Ü", "A\n"])
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="is no UNECE code"):
        unit_id(code)


def test_every_code_of_the_table_is_one() -> None:
    assert all(unece_code(unit_id(code)) == code for code in UCUM)
    assert len(UCUM) > 60


def test_units_of_machines() -> None:
    assert unit(5066068, "mm", "millimetre", UNECE) == Unit(
        code="MMT", symbol="mm", description="millimetre", ucum="mm"
    )
    assert unit(0, "%", None, "") == Unit(symbol="%")
    assert unit(20529, "%", None, "") == Unit(code="P1", symbol="%", ucum="%")
    assert unit(-1, "", "", UNECE) is None
    assert unit(None, None) is None
    assert unit(5066068, "furlong", None, "urn:vendor:units") == Unit(symbol="furlong")
