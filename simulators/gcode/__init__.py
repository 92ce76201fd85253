"""Part programs: a subset of ISO 6983 (G-code), parsed and interpreted to steps of a machine; no clock, no physics."""

from simulators.gcode.dialect import LASER, MILLING, TURNING, Dialect
from simulators.gcode.errors import GcodeError
from simulators.gcode.interpreter import Setup, interpret
from simulators.gcode.program import Program, load_program, parse_program
from simulators.gcode.words import Block, Word, format_block, parse_block

__all__ = [
    "LASER",
    "MILLING",
    "TURNING",
    "Block",
    "Dialect",
    "GcodeError",
    "Program",
    "Setup",
    "Word",
    "format_block",
    "interpret",
    "load_program",
    "parse_block",
    "parse_program",
]
