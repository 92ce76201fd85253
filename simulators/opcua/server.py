"""A server with simulated machines: its configuration, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from asyncua import ua
from cryptography import x509

from simulators.ledger import Ledger
from simulators.machine import Machine
from simulators.opcua.builder import Builder
from simulators.opcua.clock import Clock
from simulators.opcua.events import Emitter
from simulators.opcua.mended import MendedServer
from simulators.opcua.nodesets import load_nodesets
from simulators.opcua.runner import Runner, Shown
from simulators.opcua.space import Space
from simulators.opcua.trust import Trust, application_uris
from simulators.opcua.types import Types
from simulators.opcua.users import Users
from simulators.opcua.values import Values

_LOG = logging.getLogger(__name__)
POLICIES = [
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
]
PRODUCT_URI = "urn:area4:simulators"
PROFILES = ("Basic", "BasicSecure", "Monitoring", "Production", "ErrorsAndAlerts", "Components")
"""What every simulated machine has of OPC 40501-1, 14.2."""


class ServerError(Exception):
    """A simulated server cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server needs.

    Attributes:
        certificate: PEM or DER file; its URI in SubjectAltName becomes the ApplicationUri.
        key: PEM file of its private key.
        trust: Files and folders with trusted client certificates, authorities and revocation lists.
        host: Address to listen on.
        port: 0 for a free one.
        users: Passwords by name.
        user_certificates: Users with a trusted certificate may log in.
        user_trust: Files and folders with trusted user certificates, their authorities and revocation lists; without,
            whoever is trusted as a client is trusted as a user.
        anonymous: Anyone with a trusted client certificate may log in.
        ledger: File of the ledger; none is written without.
        factor: Simulated seconds per second, 1 to 1000.
        tick: Seconds between two looks at the machines.
        limit: Nodes, items and methods in one request of a client; more are refused (OperationLimits).
        strict: Authorities of clients without a revocation list are not believed.
    """

    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 0
    name: str = "area4 simulated machines"
    users: Mapping[str, str] = field(default_factory=dict)
    user_certificates: bool = True
    user_trust: tuple[Path, ...] = ()
    anonymous: bool = False
    ledger: Path | None = None
    factor: float = 1.0
    tick: float = 0.05
    limit: int = 1_000
    strict: bool = False


class SimulatorServer:
    """An OPC UA server that shows machines; start it, stop it."""

    def __init__(self, machines: Sequence[Machine], config: ServerConfig) -> None:
        self.machines = list(machines)
        self.config = config
        self.trust = Trust(config.trust, strict=config.strict)
        users = Trust(config.user_trust) if config.user_trust else self.trust
        self.users = Users(config.users, users, certificates=config.user_certificates, anonymous=config.anonymous)
        self.server = MendedServer(self.trust, self.users)
        self.runner: Runner | None = None
        self.ledger: Ledger | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        listener = self.server.bserver
        if listener is None:
            raise ServerError("the server was not started yet")
        return f"opc.tcp://{self.config.host}:{listener.port}/"

    async def start(self) -> None:
        """Load the nodesets, build the machines, listen, and let the machines run.

        Raises:
            ServerError: Certificate, key or port cannot be used.
            NodesetError: The official nodesets are missing.
            BuildError: A machine does not fit the companion specifications.
        """
        began = time.monotonic()
        clock = Clock(self.config.factor, time.time, time.monotonic)
        await self._identity()
        self.server.socket_address = (self.config.host, self.config.port)
        self.server.set_endpoint(f"opc.tcp://{self.config.host}:{self.config.port}/")
        self.server.set_identity_tokens(self.users.token_types())
        self.server.set_security_policy(POLICIES)
        await load_nodesets(self.server)
        await self.set_limit(self.config.limit)
        shown = await self._build(clock.now())
        assert self.ledger is not None
        self.runner = Runner(self.server, shown, self.ledger, clock, self.config.tick)
        self.server.iserver.attribute_service.hook = self.runner.write
        self.server.iserver.method_service.hook = self.runner.call
        await self.runner.begin()
        try:
            await self.server.start()
        except OSError as fault:
            self.ledger.close()
            raise ServerError(
                f"cannot listen on {self.config.host}:{self.config.port}: {fault.strerror}; "
                "choose another port, 0 finds a free one"
            ) from fault
        self._correct_endpoints()
        self._task = asyncio.create_task(self.runner.run(), name="simulated machines")
        _LOG.info("%d machines at %s after %.1f s", len(self.machines), self.url, time.monotonic() - began)

    async def stop(self) -> None:
        """Stop the machines, close all connections, flush the ledger."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self.server.bserver is not None:
            await self.server.stop()
        if self.ledger is not None:
            self.ledger.close()

    async def wait(self) -> None:
        """Return when the machines stop running, with the error that stopped them, if any."""
        if self._task is not None:
            await self._task

    def uris(self) -> list[str]:
        """ProductInstanceUris of the machines."""
        return [shown.instance.uri for shown in self.runner.machines] if self.runner is not None else []

    def drop(self) -> None:
        """Cut all connections; sessions and subscriptions stay for those who come back."""
        for transport in list(self.server.iserver.asyncio_transports):
            transport.abort()

    async def forget(self) -> None:
        """Cut all connections and forget all sessions and subscriptions."""
        self.drop()
        core = self.server.iserver
        for session in list(core._external_sessions.values()):
            await session.close_session()
        await core.subscription_service.delete_subscriptions(list(core.subscription_service.subscriptions))

    def lose(self, count: int) -> int:
        """Let every subscription forget its last `count` unacknowledged messages; how many that were."""
        lost = 0
        for subscription in self.server.iserver.subscription_service.subscriptions.values():
            for number in list(subscription._not_acknowledged_results)[-count:]:
                del subscription._not_acknowledged_results[number]
                lost += 1
        return lost

    async def restart(self, seconds: float) -> None:
        """Close the port, forget all clients, listen again at the same port after `seconds`."""
        listener = self.server.bserver
        if listener is None:
            raise ServerError("the server was not started yet")
        await self.forget()
        await listener.stop()
        await asyncio.sleep(seconds)
        self.server.iserver.asyncio_transports.clear()
        await self.server.listen(self.config.host, listener.port)

    async def _identity(self) -> None:
        """Certificate, key, ApplicationUri, names."""
        try:
            await self.server.load_certificate(self.config.certificate)
            await self.server.load_private_key(self.config.key)
        except (OSError, ValueError, TypeError) as fault:
            raise ServerError(
                f"the server's certificate {self.config.certificate} or its key {self.config.key} "
                f"cannot be read: {fault}"
            ) from fault
        certificate = self.server.iserver.certificate
        assert isinstance(certificate, x509.Certificate)
        uris = application_uris(certificate)
        if not uris:
            raise ServerError(
                f"{self.config.certificate} has no URI in SubjectAltName; OPC UA needs the ApplicationUri there"
            )
        self.server.name = self.config.name
        self.server.product_uri = PRODUCT_URI
        self.server.manufacturer_name = "area4"
        self.server.application_type = ua.ApplicationType.Server
        self.server._application_uri = uris[0]
        await self.server.init()
        built = datetime(2026, 1, 1, tzinfo=UTC)
        await self.server.set_build_info(PRODUCT_URI, "area4", self.config.name, "0.1.0", "1", built)
        shown = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_ServerProfileArray)
        uris = [f"http://opcfoundation.org/UA-Profile/MachineTool/Server/{name}" for name in PROFILES]
        await self.server.get_node(shown).write_value(ua.Variant(uris, ua.VariantType.String))

    async def set_limit(self, limit: int) -> None:
        """Advertise and enforce OperationLimits."""
        await self.server.set_limits(limit)

    async def _build(self, now: int) -> list[Shown]:
        namespaces = [await self.server.register_namespace(machine.namespace) for machine in self.machines]
        space = Space(self.server)
        await space.refresh_uris()
        types = Types(space)
        values = Values(space)
        builder = Builder(space, types, values)
        self.ledger = Ledger(self.config.ledger, space.uris)
        shown = []
        for machine, namespace in zip(self.machines, namespaces, strict=True):
            instance = builder.build(machine, namespace, now)
            emitter = Emitter(self.server, instance, types, values, self.ledger)
            shown.append(Shown(instance, emitter, builder))
        return shown

    def _correct_endpoints(self) -> None:
        """Put the real port into the endpoints."""
        for endpoint in self.server.iserver.endpoints:
            endpoint.EndpointUrl = self.url
            endpoint.Server.DiscoveryUrls = [self.url]
