import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.names import escape_level, join_path, split_path, unescape_level

any_text = st.text(st.characters())


@given(any_text)
def test_a_level_comes_back(text: str) -> None:
    level = escape_level(text)
    assert unescape_level(level) == text
    assert level
    assert not set(level) & set("/+#$\x00 ")
    assert level.isascii()
    assert level.isprintable()


@given(any_text, any_text)
def test_different_names_never_meet(one: str, other: str) -> None:
    assert (escape_level(one) == escape_level(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("nsu=http://example.com/M/;i=66382", "nsu=http:_2F_2Fexample.com_2FM_2F;i=66382"),
        ("Fräser_1", "Fr_C3_A4ser_5F1"),
        ("a/b+c#", "a_2Fb_2Bc_23"),
        ("", "_"),
        ("\x00\n", "_00_0A"),
    ],
)
def test_levels_as_documented(text: str, level: str) -> None:
    assert escape_level(text) == level


@pytest.mark.parametrize("level", ["", "a b", "_G0", "_5f", "a/b", "_4", "ä"])
def test_what_is_never_written_is_refused(level: str) -> None:
    with pytest.raises(ValueError, match="topic level"):
        unescape_level(level)


def test_plain_characters_written_in_hexadecimal_are_read_leniently_but_never_written() -> None:
    assert unescape_level("_41") == "A"


@given(st.lists(any_text.filter(bool), min_size=1))
def test_a_path_comes_back(names: list[str]) -> None:
    assert split_path(join_path(names)) == names


def test_a_standard_path_stands_as_it_is() -> None:
    assert join_path(["Monitoring", "Spindle1", "Override"]) == "Monitoring/Spindle1/Override"
    assert join_path(["a/b", "50%"]) == "a%2Fb/50%25"
    assert split_path("") == []
