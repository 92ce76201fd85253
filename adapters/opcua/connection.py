"""One connection to a server: a new asyncua client per attempt, trusted before any credential, closed politely."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from asyncua import Client, ua
from asyncua.crypto import security_policies

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.endpoints import (
    POLICY_CLASSES,
    check_not_downgraded,
    choose_endpoint,
    choose_user_token,
    policy_name,
)
from adapters.opcua.faults import Stage, explain
from adapters.opcua.identity import Identity, load_identity, thumbprint
from adapters.opcua.limits import OperationLimits, read_limits
from adapters.opcua.transport import bound_transport, check_library, quiet_library
from adapters.opcua.trust import Trusted, verify_server
from gateway.errors import RefusedError, UnreachableError

MIN_NONCE = 32
"""Bytes of a server nonce (OPC 10000-4, 5.7.2.2)."""

RENEW_AT = 0.75
"""Part of a security token's life after which it is renewed (OPC 10000-4, 5.6.2.1)."""

CLOSE_WITHIN = 3.0
"""Seconds for each step of leaving politely."""

DIAL_WITHIN = 2.5
"""Seconds for a TCP connection at most.

Towards a computer that is off nobody answers, and the kernel asks again after 1, 3 and 7 s: a new attempt each 2.5 s,
with at most 2 s before it (`gateway.pipeline.settings`), keeps data back within 5 s of its return.
"""

PRODUCT_URI = "urn:area4:gateway"


class NonceMemory:
    """Server nonces of earlier sessions: one that comes again is a replay."""

    def __init__(self, size: int = 256) -> None:
        self._seen: deque[bytes] = deque(maxlen=size)

    def check(self, url: str, nonce: bytes | None) -> None:
        """Refuse a nonce that is too short or known, else remember it."""
        if nonce is None or len(nonce) < MIN_NONCE:
            raise RefusedError(
                f"{url} sent a nonce of {len(nonce or b'')} bytes; {MIN_NONCE} are required, else a user's proof can "
                "be replayed. None was given.",
                advice="The server's security is faulty: update it.",
            )
        if nonce in self._seen:
            raise RefusedError(
                f"{url} sent the nonce of an earlier session again, so a user's proof can be replayed. None was given.",
                advice="The server's security is faulty, or somebody replays an earlier session.",
            )
        self._seen.append(nonce)


@dataclass(frozen=True, slots=True)
class SessionTicket:
    """What takes up a session on another channel: kept in memory only, for it is a secret.

    Attributes:
        token: The session's authentication token.
        nonce: The server's last nonce, which the next proof of the user covers.
        endpoints: As the session told them.
    """

    token: ua.NodeId = field(repr=False)
    nonce: bytes = field(repr=False)
    endpoints: Sequence[ua.EndpointDescription] = field(repr=False)


@dataclass(slots=True)
class Connection:
    """A session on a secure channel.

    Attributes:
        trusted: The server's verified certificate; None without security.
        endpoints: As the session told them.
        taken_up: It is the session of an earlier connection.
        lost: Set when the connection is gone, with the reason in `reason`.
        reason: Why it was lost.
    """

    config: OpcUaConfig
    client: Client
    endpoint: ua.EndpointDescription
    identity: Identity
    trusted: Trusted | None
    limits: OperationLimits = field(default_factory=OperationLimits)
    endpoints: Sequence[ua.EndpointDescription] = ()
    taken_up: bool = False
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    reason: UnreachableError | None = None
    on_lost: Callable[[], None] | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _closing: bool = False

    @property
    def expiry(self) -> float:
        """Unix seconds at which the first certificate of either side ends."""
        own = self.identity.application.certificate.not_valid_after_utc.timestamp()
        user = self.identity.user.certificate.not_valid_after_utc.timestamp() if self.identity.user else own
        return min(own, user, self.trusted.expiry if self.trusted is not None else own)

    def watch(self) -> None:
        """Keep channel and session alive, and notice when they are not."""
        self.client.uaclient.protocol.on_connection_lost = self._socket_lost
        name = self.config.url
        self._tasks = [
            asyncio.create_task(self._renew(), name=f"opcua channel {name}"),
            asyncio.create_task(self._keep_session(), name=f"opcua session {name}"),
        ]

    def fail(self, reason: UnreachableError) -> None:
        """Take the connection as lost."""
        if self.lost.is_set() or self._closing:
            return
        self.reason = reason
        self.lost.set()
        if self.on_lost is not None:
            self.on_lost()

    def _socket_lost(self, problem: Exception | None) -> None:
        self.client.uaclient._on_transport_lost(problem)
        refused = getattr(self.client.uaclient.protocol, "refused", None)
        why = refused or problem or "the server closed it"
        self.fail(UnreachableError(f"{self.config.url}: the connection was lost ({why}).", advice="It is tried again."))

    async def _renew(self) -> None:
        """Renew the security token before it ends."""
        while True:
            await asyncio.sleep(RENEW_AT * self.client.secure_channel_timeout / 1000)
            try:
                await self.client.open_secure_channel(renew=True)
                self.client.uaclient.revolve_security_token()
            except (OSError, ua.UaError) as problem:
                self.fail(_unreachable(explain(self.config.url, "channel", problem)))
                return

    async def _keep_session(self) -> None:
        """Ask for the server's state: keeps the session while reading pauses, and finds a peer that fell silent."""
        state = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)
        while True:
            await asyncio.sleep(self.client.session_timeout / 3000)
            try:
                await self.client.uaclient.read_attributes([state], ua.AttributeIds.Value)
            except (OSError, ua.UaError) as problem:
                self.fail(_unreachable(explain(self.config.url, "read", problem)))
                return

    def ticket(self) -> SessionTicket:
        """To take the session up on another channel, after `abandon`."""
        client = self.client
        return SessionTicket(client.uaclient.session.authentication_token, client._server_nonce, self.endpoints)

    async def abandon(self) -> None:
        """Cut the connection; the server keeps session and subscriptions for their time. Never raises."""
        await self._end_tasks()
        self.client.uaclient.disconnect_socket()

    async def _end_tasks(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self, *, keep_subscriptions: bool = False) -> None:
        """Close session, channel and socket; never raises, takes seconds at most."""
        await self._end_tasks()
        await close_client(self.client, delete_subscriptions=not keep_subscriptions)


def _unreachable(problem: Exception) -> UnreachableError:
    return problem if isinstance(problem, UnreachableError) else UnreachableError(str(problem))


async def close_client(client: Client, *, delete_subscriptions: bool = True) -> None:
    """Leave as politely as the state of the connection allows."""
    transport = client.uaclient
    if transport.protocol is not None and not transport.protocol.is_closed:
        with contextlib.suppress(OSError, ua.UaError):
            async with asyncio.timeout(CLOSE_WITHIN):
                await transport.close_session(delete_subscriptions)
        with contextlib.suppress(OSError, ua.UaError):
            async with asyncio.timeout(CLOSE_WITHIN):
                await transport.close_secure_channel()
    transport.disconnect_socket()


@contextmanager
def stage(url: str, name: Stage, identity: Identity | None = None) -> Iterator[None]:
    """Whatever goes wrong in here becomes an error that names the peer and what to do."""
    try:
        yield
    except asyncio.CancelledError:
        raise
    except Exception as problem:
        own = thumbprint(identity.application.certificate) if identity is not None else ""
        raise explain(url, name, problem, thumbprint=own) from problem


def new_client(config: OpcUaConfig) -> Client:
    """An asyncua client for one attempt, with bounds."""
    client = Client(config.url, timeout=config.transport.timeout)
    bound_transport(client, config.transport.max_message)
    client.name = client.description = "area4 gateway"
    client.application_uri = config.security.application_uri
    client.product_uri = PRODUCT_URI
    client.session_timeout = int(config.transport.session_timeout * 1000)
    return client


async def _dial(client: Client) -> None:
    async with asyncio.timeout(DIAL_WITHIN):
        await client.connect_socket()


@asynccontextmanager
async def discovery_channel(config: OpcUaConfig) -> AsyncIterator[Client]:
    """A channel without security and without session, for GetEndpoints alone."""
    client = new_client(config)
    try:
        with stage(config.url, "connect"):
            await _dial(client)
        with stage(config.url, "discover"):
            await client.send_hello()
            await client.open_secure_channel()
        yield client
    finally:
        with contextlib.suppress(OSError, ua.UaError):
            if client.uaclient.protocol is not None and not client.uaclient.protocol.is_closed:
                await client.close_secure_channel()
        client.disconnect_socket()


async def get_endpoints(config: OpcUaConfig) -> Sequence[ua.EndpointDescription]:
    """What the server offers; nothing of it is protected yet."""
    async with discovery_channel(config) as client:
        with stage(config.url, "discover"):
            return list(await client.get_endpoints())


async def open_connection(config: OpcUaConfig, nonces: NonceMemory, ticket: SessionTicket | None = None) -> Connection:
    """One attempt, with the session of the ticket if the server still has it (`taken_up`).

    Raises:
        UnreachableError: Try again.
        RefusedError: The server or its certificate is refused, or refuses us.
        ConfigurationError: A file or setting must be changed.
    """
    check_library()
    quiet_library()
    identity = load_identity(config)
    offered = await get_endpoints(config)
    endpoint = choose_endpoint(config, offered)
    token = choose_user_token(config, endpoint)
    trusted = verify_server(config, endpoint)
    client = new_client(config)
    connection = Connection(config, client, endpoint, identity, trusted)
    try:
        await open_channel(connection)
        if ticket is not None:
            connection.taken_up = await take_up_session(connection, ticket, offered, token, nonces)
        if not connection.taken_up:
            await open_session(connection, offered, token, nonces)
        with stage(config.url, "read"):
            most = config.subscription.items_per_call
            connection.limits = await read_limits(client, _ceilings(most) if most is not None else None)
    except BaseException:
        await close_client(client, delete_subscriptions=ticket is None)
        raise
    connection.watch()
    return connection


def _ceilings(most: int) -> OperationLimits:
    return OperationLimits(
        nodes_per_read=most,
        nodes_per_browse=most,
        nodes_per_history_read=most,
        nodes_per_translate=most,
        monitored_items_per_call=most,
    )


async def open_channel(connection: Connection) -> None:
    """Dial the configured host, whatever the endpoint says, and open the secure channel."""
    config, client, identity = connection.config, connection.client, connection.identity
    policy = security_policy(connection.endpoint, identity, connection.trusted)
    client.security_policy = policy
    client.uaclient.set_security(policy)
    with stage(config.url, "connect"):
        await _dial(client)
    with stage(config.url, "channel", identity):
        await client.send_hello()
        await client.open_secure_channel()


def security_policy(
    endpoint: ua.EndpointDescription, identity: Identity, trusted: Trusted | None
) -> security_policies.SecurityPolicy:
    """The channel's security: our certificate and key, and the server's verified certificate."""
    if endpoint.SecurityMode == ua.MessageSecurityMode.None_:
        return security_policies.SecurityPolicyNone(trusted.certificate if trusted is not None else None)
    if trusted is None:
        raise AssertionError("a protected channel needs a verified certificate")
    own = identity.application
    policy = POLICY_CLASSES[policy_name(endpoint.SecurityPolicyUri)]
    return policy(trusted.certificate, own.certificate, own.key, endpoint.SecurityMode, host_cert_chain=list(own.chain))


async def open_session(
    connection: Connection,
    offered: Sequence[ua.EndpointDescription],
    token: ua.UserTokenPolicy,
    nonces: NonceMemory,
) -> None:
    """Create the session, check what the server shows, and only then tell the user."""
    config, client, identity = connection.config, connection.client, connection.identity
    with stage(config.url, "session", identity):
        created = await client.create_session()
        connection.endpoints = created.ServerEndpoints or []
        check_not_downgraded(config.url, offered, connection.endpoints)
        if not config.user.anonymous or connection.trusted is not None:
            nonces.check(config.url, created.ServerNonce)
    with stage(config.url, "user", identity):
        await activate(connection, token)


async def activate(connection: Connection, token: ua.UserTokenPolicy) -> None:
    """Tell the user, with the proof that belongs to this channel and the server's last nonce."""
    client, identity = connection.client, connection.identity
    client._policy_ids = [token]
    if identity.user is not None:
        client.user_certificate = identity.user.certificate
        client.user_private_key = identity.user.key
        client.user_certificate_chain = list(identity.user.chain)
    await client.activate_session(
        username=connection.config.user.name, password=identity.password, certificate=client.user_certificate
    )


async def take_up_session(
    connection: Connection,
    ticket: SessionTicket,
    offered: Sequence[ua.EndpointDescription],
    token: ua.UserTokenPolicy,
    nonces: NonceMemory,
) -> bool:
    """Activate an earlier session on this channel (OPC 10000-4, 5.7.3); False if the server has it no longer.

    Whatever is doubtful about it is no error: a new session is asked for everything anew.
    """
    config, session = connection.config, connection.client.uaclient.session
    try:
        check_not_downgraded(config.url, offered, ticket.endpoints)
        nonces.check(config.url, ticket.nonce)
        connection.client._server_nonce = ticket.nonce
        session.restore_authentication_token(ticket.token)
        with stage(config.url, "user", connection.identity):
            await activate(connection, token)
    except RefusedError:
        session.reset_authentication_token()
        return False
    except UnreachableError as problem:
        if not isinstance(problem.__cause__, ua.UaStatusCodeError):
            raise
        session.reset_authentication_token()
        return False
    connection.endpoints = ticket.endpoints
    return True
