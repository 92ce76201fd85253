"""Load servers: some in one process, all with the same types and each with machines of its own."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import copy
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from simulators.load.changes import Schedule
from simulators.load.counters import Counters
from simulators.load.layout import Kind, kind_of
from simulators.load.machine import LoadMachine
from simulators.load.sealing import seal
from simulators.load.subscription import LoadSubscriptions, Prepared
from simulators.machine import TICKS_PER_SECOND
from simulators.opcua.builder import Builder
from simulators.opcua.mended import Core, Listener, MendedServer, Processor, Protocol
from simulators.opcua.nodesets import load_nodesets
from simulators.opcua.server import POLICIES, PRODUCT_URI, ServerConfig, ServerError
from simulators.opcua.space import Id, Space
from simulators.opcua.trust import Trust, application_uris
from simulators.opcua.types import Types
from simulators.opcua.users import Users
from simulators.opcua.values import Values, datetime_from_ticks, ticks_from_unix

_RESPONSE = struct.Struct("<BBHqIIBiHB")  # type; time, handle, result, no diagnostics, no texts, no additional header
_RESULT = struct.Struct("<Ii")  # subscription, number of available sequence numbers
_OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_CHANGED_IN_PLACE = {
    ua.NodeId(one)
    for one in (ua.ObjectIds.Server_NamespaceArray, ua.ObjectIds.Server_ServerArray, ua.ObjectIds.Server_ServerStatus)
}
_MACHINES = 1001
_MACHINERY = "http://opcfoundation.org/UA/Machinery/"
LIMIT = 5_000
"""Nodes and items in one request of a client."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the servers show.

    Attributes:
        servers: In this process, each at a port of its own.
        machines: Of each server.
        signals: Of each machine, beside the mandatory ones.
        types: Of the signals, in turns; see `layout.kind_of`.
        rate: Changes a second of all servers together; None: as many as the subscribers take.
        burst: Changes in one publication when there is no rate; 0: ten for each signal.
        queue: Values of a signal that a server keeps for a subscriber that does not ask.
    """

    servers: int = 1
    machines: int = 20
    signals: int = 50
    types: tuple[str, ...] = ("Double",)
    rate: float | None = 10_000.0
    burst: int = 0
    queue: int = 100

    def kinds(self) -> list[Kind]:
        """The types of a machine's signals.

        Raises:
            LookupError: One of them does not exist.
        """
        known = [kind_of(name) for name in self.types]
        return [known[at % len(known)] for at in range(self.signals)]


class Source:
    """The changes of one server."""

    def __init__(self, kinds: Sequence[Kind], load: Load, counters: Counters) -> None:
        self._began = ticks_from_unix(time.time())
        self._mark = time.monotonic_ns()
        self.kinds = kinds
        self.queue = load.queue
        self.counters = counters
        rate = None if load.rate is None else load.rate / load.servers
        self.schedule = Schedule(len(kinds), rate, load.burst or 10 * len(kinds), self.clock())
        self.signals: dict[Id, int] = {}
        self._variants: list[tuple[Values, Id, int]] = []

    def clock(self) -> int:
        """Ticks now; never backwards, and no faster than the monotonic clock."""
        return self._began + (time.monotonic_ns() - self._mark) * TICKS_PER_SECOND // 1_000_000_000

    def add(self, node: Id, values: Values, data_type: Id, rank: int) -> None:
        """The variable of the next signal."""
        self.signals[node] = len(self._variants)
        self._variants.append((values, data_type, rank))

    def value(self, signal: int, change: int) -> ua.DataValue:
        """What a signal shows after this change of the server."""
        values, data_type, rank = self._variants[signal]
        counter = self.schedule.counter(signal, change)
        last = (counter - 1) * self.schedule.signals + signal + 1
        moment = datetime_from_ticks(self.schedule.time(last))
        variant = values.variant(self.kinds[signal].value(counter), data_type, rank)
        return ua.DataValue(variant, SourceTimestamp=moment, ServerTimestamp=moment)

    def current(self, node: Id, _attribute: ua.AttributeIds) -> ua.DataValue:
        """What a signal shows now, for Read."""
        return self.value(self.signals[node], self.schedule.due(self.clock()))


class LoadProcessor(Processor):
    """A channel that sends prepared publications."""

    async def forward_publish_response(self, result: Any, requestdata: Any) -> None:
        """Answer a PublishRequest (OPC 10000-4, 5.14.5.2)."""
        if not isinstance(result, Prepared):
            await super().forward_publish_response(result, requestdata)
            return
        now = self.iserver.source.clock()
        head = _RESPONSE.pack(
            1, 0, ua.ObjectIds.PublishResponse_Encoding_DefaultBinary, now, requestdata.requesthdr.RequestHandle,
            0, 0, -1, 0, 0,
        )  # fmt: skip
        available = result.available
        statuses = [status.value for status in requestdata.results or ()]
        body = b"".join((
            head, _RESULT.pack(result.subscription, len(available)), struct.pack(f"<{len(available)}I", *available),
            b"\1" if result.more else b"\0", result.message,
            struct.pack(f"<i{len(statuses)}Ii", len(statuses), *statuses, -1),
        ))  # fmt: skip
        self._transport.write(seal(self._connection, body, requestdata.seqhdr.RequestId))


class LoadProtocol(Protocol):
    """A connection."""

    kind = LoadProcessor


class LoadListener(Listener):
    """The listening socket."""

    kind = LoadProtocol


class LoadCore(Core):
    """The services; the nodes of the standards are those of a prototype."""

    subscriptions = LoadSubscriptions
    source: Source
    prototype: Core | None = None

    async def init(self, shelffile: Path | None = None) -> None:
        """Take the prototype's nodes, and copies of those that a server changes."""
        if self.prototype is None:
            await super().init(shelffile)
            return
        nodes = self.prototype.aspace._nodes
        self.aspace._nodes = dict(nodes)
        for node in _own(self.prototype):
            self.aspace._nodes[node] = _copied(nodes[node])


class LoadServer(MendedServer):
    """A server of a load."""

    core = LoadCore
    listener = LoadListener


def _copied(node: NodeData) -> NodeData:
    """A node that another server may change; values that are changed in place are copied as well."""
    made = NodeData(node.nodeid)
    made.references = list(node.references)
    made.call = node.call
    deep = node.nodeid in _CHANGED_IN_PLACE
    for name, attribute in node.attributes.items():
        made.attributes[name] = AttributeValue(copy.deepcopy(attribute.value) if deep else attribute.value)
    return made


def _own(core: Core) -> set[Id]:
    """The nodes of namespace 0 that belong to one server, and the folders that hold machines."""
    nodes = core.aspace._nodes
    uris = nodes[ua.NodeId(ua.ObjectIds.Server_NamespaceArray)].attributes[ua.AttributeIds.Value].value
    assert uris is not None
    assert uris.Value is not None
    found = {_OBJECTS, ua.NodeId(_MACHINES, uris.Value.Value.index(_MACHINERY))}
    queue = deque([_SERVER])
    while queue:
        node = queue.popleft()
        if node in found or node not in nodes:
            continue
        found.add(node)
        queue.extend(one.NodeId for one in nodes[node].references if one.IsForward and not _is_type(one))
    return found


def _is_type(reference: Any) -> bool:
    kinds = (ua.NodeClass.ObjectType, ua.NodeClass.VariableType, ua.NodeClass.DataType, ua.NodeClass.ReferenceType)
    return reference.NodeClass in kinds or reference.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasTypeDefinition)


class LoadServers:
    """All servers of a process: start them, stop them."""

    def __init__(self, load: Load, config: ServerConfig) -> None:
        self.load = load
        self.config = config
        self.counters = Counters()
        self.servers: list[LoadServer] = []
        self.machines: list[str] = []

    @property
    def urls(self) -> list[str]:
        """Where they listen."""
        return [f"opc.tcp://{self.config.host}:{server.bserver.port}/" for server in self.servers]

    def nodes(self) -> dict[str, list[str]]:
        """NodeIds of all signals by URL, in the order in which they change."""
        found = {}
        for url, server in zip(self.urls, self.servers, strict=True):
            found[url] = [node.to_string() for node in server.iserver.source.signals]
        return found

    async def start(self) -> None:
        """Load the nodesets once, build all machines, listen.

        Raises:
            ServerError: Certificate, key or port cannot be used.
            NodesetError: The official nodesets are missing.
            LookupError: A type of signal does not exist.
        """
        kinds = self.load.kinds()
        trust = Trust(self.config.trust)
        users = Trust(self.config.user_trust) if self.config.user_trust else trust
        prototype = await self._made(trust, users, None)
        await load_nodesets(prototype)
        for number in range(self.load.servers):
            server = await self._made(trust, users, prototype)
            await self._fill(server, number, kinds)
            self.servers.append(server)
            try:
                await server.start()
            except OSError as fault:
                raise ServerError(f"cannot listen on {self.config.host}: {fault.strerror}") from fault
            for endpoint in server.iserver.endpoints:
                endpoint.EndpointUrl = self.urls[-1]
                endpoint.Server.DiscoveryUrls = [self.urls[-1]]
        await prototype.iserver.stop()
        self._count_anew()

    async def stop(self) -> None:
        """Close all connections."""
        for server in self.servers:
            if server.bserver is not None:
                await server.stop()

    def set_rate(self, rate: float | None) -> dict[str, Any]:
        """Change the rate of all servers together; None: as many as the subscribers take.

        Returns:
            The counts until then; they begin anew.
        """
        for server in self.servers:
            source = server.iserver.source
            for subscription in server.iserver.subscription_service.subscriptions.values():
                subscription.flush()
            source.schedule.set_rate(None if rate is None else rate / len(self.servers), source.clock())
        before = self.summary()
        self._count_anew()
        return before

    def _count_anew(self) -> None:
        self.counters = Counters()
        for server in self.servers:
            server.iserver.source.counters = self.counters

    def summary(self) -> dict[str, Any]:
        """Counts since the start, or since the rate was last changed."""
        schedules = [server.iserver.source.schedule for server in self.servers]
        elastic = any(schedule.elastic for schedule in schedules)
        rate = None if elastic else sum(schedule.rate or 0 for schedule in schedules)
        return {"rate": rate, **self.counters.summary(elastic=elastic)}

    async def _made(self, trust: Trust, users: Trust, prototype: LoadServer | None) -> LoadServer:
        config = self.config
        manager = Users(config.users, users, certificates=config.user_certificates, anonymous=config.anonymous)
        server = LoadServer(trust, manager)
        server.iserver.prototype = prototype.iserver if prototype is not None else None
        port = config.port + len(self.servers) if config.port else 0
        server.socket_address = (config.host, port)
        server.set_endpoint(f"opc.tcp://{config.host}:{port}/")
        server.set_identity_tokens(manager.token_types())
        server.set_security_policy(POLICIES)
        try:
            await server.load_certificate(config.certificate)
            await server.load_private_key(config.key)
        except (OSError, ValueError, TypeError) as fault:
            raise ServerError(f"{config.certificate} or its key {config.key} cannot be read: {fault}") from fault
        uris = application_uris(server.iserver.certificate)
        if not uris:
            raise ServerError(
                f"{config.certificate} has no URI in SubjectAltName; OPC UA needs the ApplicationUri there"
            )
        server.name, server.product_uri, server.manufacturer_name = config.name, PRODUCT_URI, "area4"
        server.application_type = ua.ApplicationType.Server
        server._application_uri = uris[0]
        server.iserver.attribute_service.hook = _nobody
        server.iserver.method_service.hook = _nobody
        await server.init()
        return server

    async def _fill(self, server: LoadServer, number: int, kinds: Sequence[Kind]) -> None:
        """Build the machines of one server."""
        source = Source([*kinds] * self.load.machines, self.load, self.counters)
        server.iserver.source = source
        names = [f"Load{number + 1}-{at + 1}" for at in range(self.load.machines)]
        machines = [LoadMachine(name, kinds) for name in names]
        namespaces = [await server.register_namespace(machine.namespace) for machine in machines]
        await server.set_limits(LIMIT)
        space = Space(server)
        await space.refresh_uris()
        values = Values(space)
        builder = Builder(space, Types(space), values)
        now = source.clock()
        for machine, namespace in zip(machines, namespaces, strict=True):
            instance = builder.build(machine, namespace, now)
            self.machines.append(f"urn:area4-sim:load:{machine.name}")
            for path in machine.paths:
                variable = instance.variables[path]
                source.add(variable.node, values, variable.data_type, variable.rank)
                space.nodes.set_attribute_value_callback(variable.node, ua.AttributeIds.Value, source.current)


async def _nobody(*_: Any) -> None:
    """Writes and calls: nobody takes them."""
