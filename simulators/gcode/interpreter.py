"""From the blocks of a program to the steps of the machine: modes, offsets, cycles and subprograms resolved.

Cutter radius compensation (G41, G42) is taken for wear compensation: the programmed path is the tool's.
Comments `(CUT AP2 AE12)` tell depth and width of cut in mm until the next such comment; a model needs them for
forces, a control does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from simulators.gcode.arcs import ArcError, centre_from_radius, sweep_angle
from simulators.gcode.cycles import Stroke, drilling, threading
from simulators.gcode.dialect import WAIT_MARKS
from simulators.gcode.errors import GcodeError
from simulators.gcode.modal import Modal, Setup
from simulators.gcode.program import Program
from simulators.gcode.steps import (
    Arc,
    Coolant,
    Dwell,
    FeedMode,
    Motion,
    Position,
    ProgramEnd,
    ProgramStop,
    SpindleCommand,
    Step,
    ToolChange,
    WaitMark,
)
from simulators.gcode.words import Block, format_block

__all__ = ["Setup", "interpret"]

MAX_DEPTH = 8
MAX_STEPS = 100_000
_CUT = re.compile(r"CUT\s+AP([\d.]+)(?:\s+AE([\d.]+))?")
_CLAMP_SECONDS = 1.2


def interpret(program: Program, setup: Setup) -> list[Step]:
    """Resolve a program to its steps, from the reference point on.

    Raises:
        GcodeError: A motion without feed, off the machine's range, an arc that is none, an unknown subprogram or tool.
    """
    return _Interpreter(program, setup).run()


class _Interpreter:
    def __init__(self, program: Program, setup: Setup) -> None:
        self._program = program
        self._setup = setup
        self._dialect = setup.dialect
        self._modal = Modal(plane=setup.dialect.plane)
        self._place = setup.home
        self._steps: list[Step] = []
        self._line = 0
        self._text = ""

    def run(self) -> list[Step]:
        for block in self._flatten(self._program.blocks, 0):
            self._line, self._text = block.line, format_block(block)
            self._block(block)
            if len(self._steps) > MAX_STEPS:
                raise self._wrong(f"more than {MAX_STEPS} steps", "a shorter program")
            if self._steps and isinstance(self._steps[-1], ProgramEnd):
                break
        return self._steps

    def _flatten(self, blocks: tuple[Block, ...], depth: int) -> Iterator[Block]:
        for block in blocks:
            if block.skip and self._setup.block_skip:
                continue
            codes = block.codes("M")
            if 98 in codes:
                yield from self._call(block, depth)
            elif 99 not in codes:
                yield block

    def _call(self, block: Block, depth: int) -> Iterator[Block]:
        self._line = block.line
        number = int(block.get("P") or 0)
        body = self._program.subprograms.get(number)
        if body is None:
            known = ", ".join(f"P{n}" for n in self._program.subprograms) or "none in this file"
            raise self._wrong(f"call of subprogram P{number}", f"subprograms {known}")
        if depth >= MAX_DEPTH:
            raise self._wrong(f"calls nested over {MAX_DEPTH} deep", f"{MAX_DEPTH} levels")
        for _ in range(int(block.get("L") or 1)):
            yield from self._flatten(body, depth + 1)

    def _block(self, block: Block) -> None:
        cut = _CUT.search(block.comment)
        if cut:
            self._modal.ap, self._modal.ae = float(cut.group(1)), float(cut.group(2) or 0.0)
        g_codes = block.codes("G")
        self._modal.apply(g_codes)
        self._lengths(block, g_codes)
        feed = block.get("F")
        if feed is not None and 76 not in g_codes:
            self._modal.feed = feed * self._modal.scale
        self._speed(block, g_codes)
        self._tool(block)
        ends = self._actions(block)
        if 4 in g_codes:
            self._steps.append(Dwell(self._line, self._text, self._dwell(block)))
        elif 28 in g_codes:
            self._reference(block)
        elif 76 in g_codes:
            self._thread(block)
        elif not {50, 92} & set(g_codes):
            self._travel(block, machine=53 in g_codes)
        self._steps.extend(ends)

    def _lengths(self, block: Block, g_codes: list[int]) -> None:
        if 43 in g_codes:
            number = int(block.get("H") or self._modal.tool)
            if number not in self._setup.lengths:
                raise self._wrong(f"H{number}", "tools " + " ".join(f"{n}" for n in sorted(self._setup.lengths)))
            self._modal.length = self._setup.lengths[number]
        elif 49 in g_codes:
            self._modal.length = 0.0

    def _speed(self, block: Block, g_codes: list[int]) -> None:
        modal = self._modal
        speed = block.get("S")
        if {50, 92} & set(g_codes):
            if speed is None:
                raise self._wrong("a speed limit without S", "G50 S<rpm> or G92 S<rpm>")
            modal.limit = speed
            return
        turned = [code for code in block.codes("M") if code in {3, 4, 5}]
        if turned:
            modal.direction = {3: 1, 4: -1, 5: 0}[turned[-1]]
        if speed is not None:
            modal.speed = speed
        if turned or (modal.direction and (speed is not None or {96, 97} & set(g_codes))):
            if modal.direction and modal.speed <= 0:
                raise self._wrong("a start without speed", "S above 0 with or before M3 and M4")
            value = modal.speed if modal.direction else 0.0
            self._steps.append(
                SpindleCommand(self._line, self._text, modal.direction, value, modal.surface, modal.limit)
            )

    def _tool(self, block: Block) -> None:
        modal, word = self._modal, block.get("T")
        if word is not None:
            modal.next_tool = int(word) // 100 if self._dialect.tool_by_t and word >= 100 else int(word)
        if 6 in block.codes("M") or (self._dialect.tool_by_t and word is not None):
            if modal.next_tool not in self._setup.lengths:
                known = " ".join(f"T{n}" for n in sorted(self._setup.lengths))
                raise self._wrong(f"tool T{modal.next_tool}", known or "no tools on this machine")
            modal.tool = modal.next_tool
            self._steps.append(ToolChange(self._line, self._text, modal.tool))

    def _actions(self, block: Block) -> list[Step]:
        after: list[Step] = []
        for code in block.codes("M"):
            if code in {8, 9}:
                self._steps.append(Coolant(self._line, self._text, code == 8))
            elif code in {10, 11}:
                after.append(Dwell(self._line, self._text, _CLAMP_SECONDS, code))
            elif code == 12:
                self._steps.append(Dwell(self._line, self._text, (block.get("P") or 300.0) / 1000.0, code))
            elif code in WAIT_MARKS:
                after.append(WaitMark(self._line, self._text, code))
            elif code in {0, 1}:
                after.append(ProgramStop(self._line, self._text, code == 1))
            elif code in {2, 30}:
                after.append(ProgramEnd(self._line, self._text))
        return after

    def _dwell(self, block: Block) -> float:
        if block.get("P") is not None:
            return (block.get("P") or 0.0) / 1000.0
        seconds = block.get("X")
        if seconds is None:
            raise self._wrong("G4 without time", "G4 P<milliseconds> or G4 X<seconds>")
        return seconds

    def _target(self, block: Block, *, machine: bool = False) -> Position:
        modal, setup = self._modal, self._setup
        offset = setup.offsets[modal.offset]
        target = list(self._place)
        for index, letter in enumerate(self._dialect.axes):
            value = block.get(letter)
            if value is None:
                continue
            value *= modal.scale * (0.5 if self._dialect.diameter and letter == "X" else 1.0)
            if machine:
                target[index] = value
            elif modal.absolute:
                target[index] = value + offset[index] + self._length_of(index)
            else:
                target[index] += value
        return tuple(target)

    def _length_of(self, index: int) -> float:
        return self._modal.length if index == len(self._dialect.axes) - 1 else 0.0

    def _travel(self, block: Block, *, machine: bool) -> None:
        modal = self._modal
        if modal.motion in {81, 82, 83}:
            modal.cycle.update({w.letter: w.value for w in block.words if w.letter in "ZRQPL"})
        ends = (*self._dialect.axes, *("IJK" if modal.motion in {2, 3} else ""))
        if all(block.get(letter) is None for letter in ends):
            return
        if modal.motion in {81, 82, 83}:
            self._drill(block)
            return
        target = self._target(block, machine=machine)
        if modal.motion in {2, 3}:
            self._arc(block, target)
        elif modal.motion in {32, 33}:
            self._line_to(target, FeedMode.THREAD, self._feed())
        elif modal.motion == 1:
            self._line_to(target, modal.feed_mode, self._feed())
        else:
            self._line_to(target, FeedMode.RAPID, 0.0)

    def _feed(self) -> float:
        if self._modal.feed <= 0:
            raise self._wrong(f"G{self._modal.motion} without feed", "F above 0 in this block or before")
        return self._modal.feed

    def _line_to(
        self, target: Position, mode: FeedMode, feed: float, engaged: tuple[float, float] | None = None
    ) -> None:
        self._inside(target)
        if target == self._place:
            return
        ap, ae = self._engaged(target, mode) if engaged is None else engaged
        self._steps.append(Motion(self._line, self._text, self._place, target, mode, feed, ap, ae))
        self._place = target

    def _engaged(self, target: Position, mode: FeedMode) -> tuple[float, float]:
        if mode is FeedMode.RAPID:
            return 0.0, 0.0
        if self._dialect.beam:
            return (self._modal.ap, self._modal.ae) if self._modal.direction else (0.0, 0.0)
        surface = self._setup.offsets[self._modal.offset][-1] + self._modal.length
        if not self._dialect.diameter and max(target[-1], self._place[-1]) >= surface:
            return 0.0, 0.0
        return self._modal.ap, self._modal.ae

    def _arc(self, block: Block, target: Position) -> None:
        modal = self._modal
        feed = self._feed()
        self._inside(target)
        names = {17: "XY", 18: "ZX", 19: "YZ"}[modal.plane]
        a, b = (self._dialect.axes.index(letter) for letter in names)
        start, end = (self._place[a], self._place[b]), (target[a], target[b])
        clockwise = modal.motion == 2
        letters = {"X": "I", "Y": "J", "Z": "K"}
        centres = [block.get(letters[name]) for name in names]
        radius = block.get("R")
        if radius is None and centres == [None, None]:
            raise self._wrong(f"G{modal.motion} without centre", f"{letters[names[0]]} {letters[names[1]]} or R")
        try:
            if radius is not None:
                centre = centre_from_radius(start, end, radius * modal.scale, clockwise=clockwise)
            else:
                centre = (start[0] + (centres[0] or 0.0) * modal.scale, start[1] + (centres[1] or 0.0) * modal.scale)
            sweep = sweep_angle(start, end, centre, clockwise=clockwise)
        except ArcError as error:
            raise self._wrong(str(error), "start and end on one circle around the centre") from error
        ap, ae = self._engaged(target, modal.feed_mode)
        self._steps.append(
            Arc(self._line, self._text, self._place, target, modal.feed_mode, feed, ap, ae, (a, b), centre, sweep)
        )
        self._place = target

    def _reference(self, block: Block) -> None:
        named = [i for i, letter in enumerate(self._dialect.axes) if block.get(letter) is not None]
        self._line_to(self._target(block), FeedMode.RAPID, 0.0)
        chosen = named or range(len(self._place))
        target = tuple(self._setup.home[i] if i in chosen else value for i, value in enumerate(self._place))
        self._line_to(target, FeedMode.RAPID, 0.0)

    def _drill(self, block: Block) -> None:
        modal, axis = self._modal, len(self._dialect.axes) - 1
        cycle = modal.cycle
        if "Z" not in cycle or "R" not in cycle:
            raise self._wrong(f"G{modal.motion} without Z and R", "Z (depth) and R (retract level)")
        zero = self._setup.offsets[modal.offset][axis] + modal.length
        initial = self._place[axis]
        depth, level = zero + cycle["Z"] * modal.scale, zero + cycle["R"] * modal.scale
        if depth >= level:
            raise self._wrong(f"Z{cycle['Z']:g} not below R{cycle['R']:g}", "Z below R")
        over = self._target(block)
        peck = cycle.get("Q", 0.0) * modal.scale if modal.motion == 83 else 0.0
        dwell = cycle.get("P", 0.0) / 1000.0 if modal.motion == 82 else 0.0
        back = max(initial, level) if modal.to_initial else level
        diameter = self._setup.diameters.get(modal.tool, 0.0)
        self._line_to((*over[:axis], initial), FeedMode.RAPID, 0.0)
        for stroke in drilling(level, depth, peck, dwell, back):
            self._stroke(stroke, axis, diameter)

    def _stroke(self, stroke: Stroke, axis: int, diameter: float) -> None:
        target = (*self._place[:axis], stroke.to)
        if stroke.feed:
            self._line_to(target, self._modal.feed_mode, self._feed(), (0.785 * diameter, diameter))
        else:
            self._line_to(target, FeedMode.RAPID, 0.0)
        if stroke.dwell > 0:
            self._steps.append(Dwell(self._line, self._text, stroke.dwell))

    def _thread(self, block: Block) -> None:
        pitch, height, first = (block.get(letter) for letter in "FKQ")
        if not pitch or not height or not first or block.get("Z") is None or block.get("X") is None:
            raise self._wrong(
                "G76 without one of X Z K Q F", "G76 X<core diameter> Z<end> K<height> Q<first cut> F<pitch>"
            )
        scale = self._modal.scale
        core = self._target(block)
        retreat = self._place
        for depth, cut in threading(height * scale, first * scale):
            x = core[0] + height * scale - depth
            self._line_to((x, retreat[1]), FeedMode.RAPID, 0.0)
            self._line_to((x, core[1]), FeedMode.THREAD, pitch * scale, (cut, 0.0))
            self._line_to((retreat[0], core[1]), FeedMode.RAPID, 0.0)
            self._line_to(retreat, FeedMode.RAPID, 0.0)

    def _inside(self, target: Position) -> None:
        for letter, value, low, high in zip(self._dialect.axes, target, self._setup.low, self._setup.high, strict=True):
            if not low - 1e-6 <= value <= high + 1e-6:
                raise self._wrong(
                    f"a motion to {letter} {value:g} mm in machine coordinates", f"{letter} from {low:g} to {high:g}"
                )

    def _wrong(self, found: str, allowed: str) -> GcodeError:
        return GcodeError(self._program.name, self._line, found, allowed)
