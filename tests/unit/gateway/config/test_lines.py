from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.lines import Lines

TEXT = '''# first
[a]
x = 1   # y = 2
"quoted.key" = """
z = 3
[no.table]
"""
list = [
  1, # ]
  "]",
  { b = 2 },
]
literal = \'\'\'
q = '\'\'\'
c.d = 4
[[t]]
n = 1
[[t]]
n = 2
sub = { k = 1 }
[a . 'b c']
last = "x = [" # end
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("a",), 2),
        (("a", "x"), 3),
        (("a", "quoted.key"), 4),
        (("a", "list"), 8),
        (("a", "list", 2, "b"), 8),
        (("a", "literal"), 13),
        (("a", "c", "d"), 15),
        (("a", "c"), 15),
        (("t", 0, "n"), 17),
        (("t", 1), 18),
        (("t", 1, "n"), 19),
        (("t", 1, "sub", "k"), 20),
        (("a", "b c"), 21),
        (("a", "b c", "last"), 22),
        (("a", "y"), 2),
        (("nothing",), None),
    ],
)
def test_lines(key: tuple[str | int, ...], line: int | None) -> None:
    tomllib.loads(TEXT)
    assert Lines(TEXT).of(key) == line


_KEYS = st.text("ab", min_size=1, max_size=3)
_VALUES = st.sampled_from(["1", '"[#"', "'''\n[x]\n'''", '"""\\"\nb = "" """', "[1, [\n2]]", "{ a = '}' }", "true # c"])


@given(st.lists(st.tuples(st.booleans(), _KEYS, _VALUES), max_size=12))
def test_every_key_of_a_valid_text_is_found_where_it_was_written(rows: list[tuple[bool, str, str]]) -> None:
    text, line, expected, tables = "", 1, {}, 0
    table: tuple[str, ...] = ()
    for begins, key, value in rows:
        if begins:
            tables += 1
            table = (f"t{tables}",)
            text += f"\n[{table[0]}]\n"
            expected[table] = line + 1
            line += 2
        if (*table, key) in expected:
            continue
        expected[(*table, key)] = line
        text += f"{key} = {value}\n"
        line += value.count("\n") + 1
    tomllib.loads(text)
    lines = Lines(text)
    assert {key: lines.of(key) for key in expected} == expected


@given(st.text("[]{}\"'#=.\n\\ab ", max_size=60))
def test_any_text_that_is_toml_is_scanned_to_its_end(text: str) -> None:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = Lines(text)
    assert all(lines.of((key,)) is not None for key in tables)
