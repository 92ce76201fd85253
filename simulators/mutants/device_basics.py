"""Mutants of what OPC 40001-1, OPC 40501-1 and umati ask of every machine, whatever its types declare."""

from __future__ import annotations

from asyncua import ua

from simulators.mutants.device import DeviceMutant, operated
from simulators.mutants.surgery import Surgery
from simulators.opcua.instance import Instance
from simulators.opcua.space import Id

MACHINERY = "http://opcfoundation.org/UA/Machinery/"
_MACHINES = 1001


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
