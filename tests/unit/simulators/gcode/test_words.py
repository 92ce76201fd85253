from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.gcode import Block, GcodeError, Word, format_block, parse_block

WHOLE = st.integers(0, 9999).map(float)
DECIMAL = st.integers(-(10**9), 10**9).map(lambda n: n / 10**4)
WORDS = st.one_of(
    st.builds(Word, st.sampled_from("GMNTO"), WHOLE),
    st.builds(Word, st.sampled_from("ABCDFHIJKLPQRSUWXYZ"), DECIMAL),
)
COMMENTS = st.text(st.characters(exclude_characters="();\r\n", exclude_categories=("C", "Z")), max_size=20)


@given(st.builds(Block, st.lists(WORDS, max_size=12).map(tuple), st.booleans(), COMMENTS))
def test_a_formatted_block_is_parsed_back(block: Block) -> None:
    assert parse_block(format_block(block)) == block


@given(st.text(max_size=40))
def test_any_text_is_a_block_or_a_named_error(text: str) -> None:
    line = text.replace("\n", " ").replace("\r", " ")
    try:
        block = parse_block(line, "any.nc", 7)
    except GcodeError:
        with pytest.raises(GcodeError, match=r"^program any\.nc, line 7: found .+; allowed: "):
            parse_block(line, "any.nc", 7)
    else:
        assert parse_block(format_block(block)) == block


def test_spacing_case_and_comments() -> None:
    block = parse_block("/n10g01 x-1.50Y+.25 (first) F100 ; rest")
    assert block.skip
    assert block.words == (Word("N", 10), Word("G", 1), Word("X", -1.5), Word("Y", 0.25), Word("F", 100))
    assert block.comment == "first rest"
    assert block.get("X") == -1.5
    assert block.get("Z") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("G1 X", "'X'"),
        ("G1 X1 $5", "'$5'"),
        ("V3", "address V"),
        ("G1.5 X2", "G1.5"),
        ("X1 (open", "'(open'"),
        ("X1 (a (b))", "'(a (b))'"),
        ("12 X1", "'12 X1'"),
    ],
)
def test_errors_tell_place_found_and_allowed(text: str, found: str) -> None:
    with pytest.raises(GcodeError) as caught:
        parse_block(text, "part.nc", 12)
    assert str(caught.value).startswith(f"program part.nc, line 12: found {found}")
    assert caught.value.allowed
