"""The simulated machine tools by their kind."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from simulators.machine import Machine
from simulators.machines.base import SimulatedMachine
from simulators.machines.laser import LASER_CUTTER, LaserMachine
from simulators.machines.milling import MACHINING_CENTRE
from simulators.machines.turning import TURNING_CENTRE


class Maker(Protocol):
    """Makes a machine of one kind."""

    def __call__(self, *, serial: str, seed: int, eventful: bool = False) -> Machine:
        """A machine; see `build`."""


KINDS: dict[str, Maker] = {
    "machining-centre": partial(SimulatedMachine, MACHINING_CENTRE),
    "turning-centre": partial(SimulatedMachine, TURNING_CENTRE),
    "laser-cutter": partial(LaserMachine, LASER_CUTTER),
}
"""Makers of machines by kind."""


def build(kind: str, *, serial: str, seed: int, eventful: bool = False) -> Machine:
    """A machine of a kind; the same serial and seed give the same run.

    An `eventful` one shows alarms and an interruption within its first minute, for a demonstration.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no machine of kind {kind!r}; there are: {', '.join(KINDS)}")
    return KINDS[kind](serial=serial, seed=seed, eventful=eventful)
