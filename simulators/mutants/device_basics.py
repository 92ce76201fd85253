"""Mutants of what OPC 40001-1, OPC 40501-1 and umati ask of every machine, whatever its types declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncua import ua

from simulators.mutants.device import Apply, DeviceMutant, Revert
from simulators.mutants.surgery import Surgery
from simulators.opcua.instance import Instance
from simulators.opcua.runner import Shown
from simulators.opcua.space import Id

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

MACHINERY = "http://opcfoundation.org/UA/Machinery/"
_MACHINES = 1001

Change = Callable[[Surgery, Instance], None]
"""Breaks the first machine's part of the address space."""


def first(server: SimulatorServer) -> Shown:
    """The machine that mutants break."""
    assert server.runner is not None
    return server.runner.machines[0]


def operated(change: Change) -> Apply:
    """A mutant by surgery on the address space of the first machine."""

    async def apply(server: SimulatorServer) -> Revert:
        shown = first(server)
        surgery = Surgery(shown.builder.space)
        change(surgery, shown.instance)

        async def revert() -> None:
            surgery.undo()

        return revert

    return apply


def machines_folder(surgery: Surgery) -> Id:
    """The Machines folder (OPC 40001-1)."""
    return ua.NodeId(_MACHINES, surgery.space.index(MACHINERY))


def _empty_machines(surgery: Surgery, instance: Instance) -> None:
    surgery.cut(machines_folder(surgery), instance.node)


MUTANTS: tuple[DeviceMutant, ...] = (
    DeviceMutant(
        "device.basics.machines-folder-empty",
        "The Machines folder is empty",
        "The machine is in the address space, but no reference leads from the Machines folder to it, so a client that "
        "looks for machines finds none.",
        "OPC 40001-1, 10",
        operated(_empty_machines),
    ),
)
