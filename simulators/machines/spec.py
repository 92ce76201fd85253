"""What tells one machine from another: its build, its tools, its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.gcode import Dialect
from simulators.gcode.steps import Position
from simulators.physics.path import Axis


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A kind of tool: place, name, diameter and length (mm), life (cutting minutes at half load)."""

    number: int
    name: str
    diameter: float
    length: float
    life: float


@dataclass(frozen=True, slots=True)
class SpindleSpec:
    """A spindle or beam source: highest speed (1/min) and its change per second, rated power (kW), texts."""

    name: str
    max_speed: float
    ramp: float
    rated_power: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """A channel with what it moves.

    Attributes:
        name: Display name.
        dialect: Vocabulary of its programs.
        axes: In the dialect's order; their names are unique in the machine.
        home: Reference point.
        offsets: Work offsets by G number.
        spindle: Its spindle or beam.
        tools: Its magazine or turret.
        holder: Name of that.
        first_tool: Tool in use at the start.
    """

    name: str
    dialect: Dialect
    axes: tuple[Axis, ...]
    home: Position
    offsets: Mapping[int, Position]
    spindle: SpindleSpec
    tools: tuple[ToolSpec, ...]
    holder: str
    first_tool: int = 1


@dataclass(frozen=True, slots=True)
class Product:
    """A part that the machine makes.

    Attributes:
        name: Its name.
        programs: A program for each channel.
        specific_force: kc of its material, N/mm2.
        loading: Seconds to load and unload by hand.
    """

    name: str
    programs: tuple[str, ...]
    specific_force: float
    loading: float


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine.

    Attributes:
        kind: Short name, part of URIs.
        model: Model text, and its locale.
        product_code: The maker's code.
        axes_text: Text of the vendor's axes folder.
        change_seconds: Time of a tool change.
        idle_power: kW when nothing moves.
        pump_power: kW of coolant or gas supply when on.
        fluid: Name of what is pumped.
    """

    kind: str
    model: str
    product_code: str
    year: int
    location: str
    channels: tuple[ChannelSpec, ...]
    products: tuple[Product, ...]
    change_seconds: float
    idle_power: float
    pump_power: float
    fluid: str
    software: Mapping[str, str] = field(default_factory=dict)
