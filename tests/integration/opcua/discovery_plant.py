"""A process with an OPC UA server for the tests of discovery: full machine tools, and whatever else is asked for.

Prints the port once it listens, and ends when its standard input ends. Own process: asyncua registers structures of
the nodesets for the whole process, so a client in the same one would not see them as a gateway does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from asyncua import Server, ua
from discovery_machine import FullMachine
from discovery_oddities import add_oddities, add_other_machinery, forget_definitions, remove_nodes, unlist

from simulators.ledger import encode_variant
from simulators.opcua.builder import Builder
from simulators.opcua.nodesets import load_nodesets
from simulators.opcua.space import Space
from simulators.opcua.types import Types
from simulators.opcua.values import Values


async def serve(wanted: dict[str, Any]) -> None:
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for index in range(wanted.get("fillers", 0)):
        await server.register_namespace(f"urn:example:filler:{index}")
    if wanted.get("nodesets", True):
        await load_nodesets(server)
    for index in range(wanted.get("late_fillers", 0)):
        await server.register_namespace(f"urn:example:late:{index}")
    ledger = await machines(server, wanted) if wanted.get("machines", 1) else {}
    if wanted.get("limit"):
        await limit(server, wanted["limit"])
    await server.start()
    print(server.bserver._server.sockets[0].getsockname()[1], flush=True)
    print(json.dumps(ledger), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


async def machines(server: Server, wanted: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Build them; the values of each by path, as the simulators' ledger writes them."""
    made = [FullMachine(f"Machine{index}", f"M-{index}") for index in range(wanted.get("machines", 1))]
    spaces = [await server.register_namespace(machine.namespace) for machine in made]
    space = Space(server)
    await space.refresh_uris()
    builder = Builder(space, Types(space), Values(space))
    instances = [builder.build(one, index, 133_000_000_000_000_000) for one, index in zip(made, spaces, strict=True)]
    if wanted.get("oddities"):
        await add_oddities(server, instances[0])
    if wanted.get("other"):
        await add_other_machinery(server, space)
    await remove_nodes(server, instances[0], wanted.get("remove", ()))
    if wanted.get("old"):
        await forget_definitions(server)
    if wanted.get("unlisted"):
        await unlist(server, instances)
    return {
        instance.machine.name: {
            one.shown: encode_variant(one.value.Value, space.uris)
            for one in instance.variables.values()
            if not one.describing
        }
        for instance in instances
    }


async def limit(server: Server, number: int) -> None:
    prefix = "Server_ServerCapabilities_OperationLimits_"
    for name in ("MaxNodesPerRead", "MaxNodesPerBrowse", "MaxMonitoredItemsPerCall"):
        node = server.get_node(ua.NodeId(getattr(ua.ObjectIds, f"{prefix}{name}")))
        await node.write_value(ua.Variant(number, ua.VariantType.UInt32))

    def counted(service: Any, attribute: str) -> None:
        plain = getattr(service, attribute)

        def checked(params: Any, *more: Any) -> Any:
            items = params.NodesToBrowse if attribute == "browse" else params.NodesToRead
            if len(items) > number:
                raise ua.uaerrors.BadTooManyOperations
            return plain(params, *more)

        setattr(service, attribute, checked)

    counted(server.iserver.view_service, "browse")
    counted(server.iserver.attribute_service, "read")


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
