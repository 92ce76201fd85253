from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.gcode import LASER, MILLING, TURNING, Dialect, GcodeError, Setup, interpret, parse_program
from simulators.gcode.arcs import centre_from_radius, sweep_angle
from simulators.gcode.cycles import drilling, threading
from simulators.gcode.steps import Arc, Dwell, FeedMode, Motion, ProgramEnd, ProgramStop, SpindleCommand, Step, WaitMark


def setup(dialect: Dialect, *, block_skip: bool = False) -> Setup:
    size = len(dialect.axes)
    return Setup(
        dialect,
        home=(0.0,) * size,
        low=(-1000.0,) * size,
        high=(1000.0,) * size,
        offsets={number: (100.0 * (number - 54),) * size for number in range(54, 60)},
        lengths={1: 50.0, 2: 60.0},
        diameters={1: 10.0, 2: 8.0},
        block_skip=block_skip,
    )


def steps(text: str, dialect: Dialect = MILLING, **options: bool) -> list[Step]:
    return interpret(parse_program(text, "test.nc", dialect), setup(dialect, **options))


def motions(text: str, dialect: Dialect = MILLING) -> list[Motion]:
    return [step for step in steps(text, dialect) if isinstance(step, Motion)]


def test_absolute_incremental_inches_and_offsets() -> None:
    found = motions("G54 G0 X10 Y20\nG91 G1 X5 F100\nG90 G20 G1 X1 F10\nG21 G55 G0 X0\nG53 G0 X7\nM30")
    assert [move.end[0] for move in found] == pytest.approx([10, 15, 25.4, 100, 7])
    assert [move.feed for move in found] == pytest.approx([0, 100, 254, 0, 0])
    assert found[0].mode is FeedMode.RAPID


def test_tool_length_moves_the_last_axis() -> None:
    assert motions("T1 M6\nG43 H1 G0 Z5\nG49 G0 Z5\nM2")[0].end[2] == 55.0


def test_turning_programs_diameters_with_feed_per_revolution() -> None:
    found = motions("G95 G0 X60 Z2\nG1 Z-10 F0.2\nM30", TURNING)
    assert found[0].end == (30.0, 2.0)
    assert (found[1].mode, found[1].feed) == (FeedMode.PER_REVOLUTION, 0.2)


def test_speed_limit_and_surface_speed() -> None:
    found = [s for s in steps("G50 S3000\nG96 S200 M3\nG97 S500\nM5\nM30", TURNING) if isinstance(s, SpindleCommand)]
    assert [(s.direction, s.speed, s.surface, s.limit) for s in found] == [
        (1, 200.0, True, 3000.0), (1, 500.0, False, 3000.0), (0, 0.0, False, 3000.0),
    ]  # fmt: skip


def test_subprograms_repeat_and_nest() -> None:
    text = "M98 P10 L3\nM30\nO10\nG91 G0 X1\nM98 P20\nM99\nO20\nG91 G0 Y1\nM99"
    assert motions(text)[-1].end == (3.0, 3.0, 0.0)


def test_block_skip_and_stops() -> None:
    text = "/G0 X10\nM1\nM0\nG4 P250\nG4 X2\nM30"
    assert not [s for s in steps(text, block_skip=True) if isinstance(s, Motion)]
    found = steps(text)
    assert [s.optional for s in found if isinstance(s, ProgramStop)] == [True, False]
    assert [s.seconds for s in found if isinstance(s, Dwell)] == [0.25, 2.0]
    assert isinstance(found[-1], ProgramEnd)


def test_wait_marks() -> None:
    assert [s.mark for s in steps("M200\nM215\nM30", TURNING) if isinstance(s, WaitMark)] == [200, 215]


def test_beam_and_pierce() -> None:
    found = steps("G0 X5\n(CUT AP3 AE0.2)\nM3 S2000\nM12 P350\nG1 X20 F3000\nM5\nG1 X30\nM30", LASER)
    assert [s.seconds for s in found if isinstance(s, Dwell) and s.code == 12] == [0.35]
    assert [s.ap for s in found if isinstance(s, Motion)] == [0.0, 3.0, 0.0]


def test_cut_only_below_the_surface() -> None:
    found = motions("(CUT AP2 AE8)\nG1 X10 F100\nG1 Z-2\nG1 X20 Z-3\nG0 Z5\nM30")
    assert [(move.ap, move.ae) for move in found] == [(0, 0), (0, 0), (2, 8), (0, 0)]


def test_drilling_cycles_return_to_initial_or_retract_level() -> None:
    for code, level in (("G98", 20.0), ("G99", 3.0)):
        found = motions(f"T1 M6\nG0 Z20\n{code} G81 X10 Y0 Z-8 R3 F200\nX20\nG80\nM30")
        assert [move.end[2] for move in found][1:4] in ([20.0, 3.0, -8.0], [20.0, 3.0, -8.0])
        assert found[-1].end == (20.0, 0.0, level)


def test_pecks_reach_the_depth_and_never_pass_it() -> None:
    strokes = list(drilling(2.0, -20.0, 5.0, 0.5, 10.0))
    assert min(stroke.to for stroke in strokes) == -20.0
    assert [stroke.to for stroke in strokes if stroke.feed] == [-3.0, -8.0, -13.0, -18.0, -20.0]
    assert sum(stroke.dwell for stroke in strokes) == 0.5
    assert strokes[-1].to == 10.0


@given(st.floats(0.2, 4.0), st.floats(0.1, 1.0))
def test_thread_passes_add_up_to_the_height(height: float, first: float) -> None:
    passes = list(threading(height, first))
    assert passes[-1][0] == pytest.approx(height)
    assert sum(cut for _, cut in passes) == pytest.approx(height)
    assert all(cut > 0 for _, cut in passes)


def test_threading_is_bound_to_the_spindle() -> None:
    found = motions("G97 S500 M3\nG0 X30 Z5\nG76 X27 Z-20 K1.2 Q0.4 F2\nM30", TURNING)
    cuts = [move for move in found if move.mode is FeedMode.THREAD]
    assert len(cuts) == 9
    assert cuts[-1].end == pytest.approx((13.5, -20.0))
    assert {move.feed for move in cuts} == {2.0}


ANGLE = st.floats(0.0, 6.28)


@given(st.floats(1.0, 200.0), ANGLE, st.floats(0.1, 6.1), st.booleans())
def test_arcs_end_where_they_should(radius: float, begin: float, turn: float, clockwise: bool) -> None:
    sign = -1.0 if clockwise else 1.0
    start = (radius * math.cos(begin), radius * math.sin(begin))
    end = (radius * math.cos(begin + sign * turn), radius * math.sin(begin + sign * turn))
    sweep = sweep_angle(start, end, (0.0, 0.0), clockwise=clockwise)
    assert sweep == pytest.approx(sign * turn, abs=1e-6)
    arc = Arc(1, "", start, end, FeedMode.PER_MINUTE, 100, 0, 0, (0, 1), (0.0, 0.0), sweep)
    assert arc.at(arc.length) == pytest.approx(end, abs=1e-6)
    assert arc.at(0.0) == pytest.approx(start, abs=1e-6)
    assert math.hypot(*arc.at(arc.length / 3)) == pytest.approx(radius)
    wanted = radius if turn <= math.pi else -radius
    centre = centre_from_radius(start, end, wanted, clockwise=clockwise)
    assert centre == pytest.approx((0.0, 0.0), abs=max(0.05, radius * 0.02))


def test_a_full_circle_is_one_turn() -> None:
    arc = motions("G0 X10\nG2 I-10 J0 F100\nM30")[1]
    assert arc.length == pytest.approx(20 * math.pi)
    assert arc.at(arc.length / 2) == pytest.approx((-10, 0, 0))
    assert arc.end == arc.start


@pytest.mark.parametrize(
    ("text", "dialect", "found", "allowed"),
    [
        ("G5 X1\nM30", MILLING, "G5", "G0 G1 G2"),
        ("G76 X1\nM30", MILLING, "G76", "milling"),
        ("M77\nM30", MILLING, "M77", "M0 M1 M2"),
        ("G0 G1 X1\nM30", MILLING, "G0 and G1", "one code of the group motion"),
        ("G90 G91\nM30", MILLING, "G90 and G91", "distance"),
        ("G0 X1 X2\nM30", MILLING, "X twice", "once"),
        ("G0 Y1\nM30", TURNING, "address Y", "X Z"),
        ("G1 X10\nM30", MILLING, "G1 without feed", "F above 0"),
        ("G0 X2000\nM30", MILLING, "X 2000 mm", "X from -1000 to 1000"),
        ("G2 X10 F100\nM30", MILLING, "G2 without centre", "I J or R"),
        ("G2 X10 R2 F100\nM30", MILLING, "R2.000 for points 10.000 apart", "circle"),
        ("G2 X10 I3 J3 F100\nM30", MILLING, "radius", "circle"),
        ("M98 P7\nM30", MILLING, "subprogram P7", "none in this file"),
        ("M98 P7\nM30\nO7\nM98 P7\nM99", MILLING, "nested", "8 levels"),
        ("M30\nO7\nG0 X1", MILLING, "O7 without M99", "M99"),
        ("G0 X1", MILLING, "without end", "M2 or M30"),
        ("T9 M6\nM30", MILLING, "tool T9", "T1 T2"),
        ("G43 H9 G0 Z1\nM30", MILLING, "H9", "1 2"),
        ("M3\nM30", MILLING, "without speed", "S above 0"),
        ("G4\nM30", MILLING, "G4 without time", "G4 P"),
        ("G50\nM30", TURNING, "speed limit without S", "G50 S"),
        ("G81 X1 Z-5 F100\nM30", MILLING, "without Z and R", "retract"),
        ("G81 X1 Z5 R2 F100\nM30", MILLING, "Z5 not below R2", "below"),
        ("G76 X10 Z-5 F1\nM30", TURNING, "G76 without", "K<height>"),
    ],
)
def test_errors_of_programs(text: str, dialect: Dialect, found: str, allowed: str) -> None:
    with pytest.raises(GcodeError) as caught:
        steps(text, dialect)
    assert found in caught.value.found
    assert allowed in caught.value.allowed
    assert caught.value.program == "test.nc"
    assert caught.value.line >= 1
