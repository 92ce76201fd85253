"""asyncua's server with what a measure of "nothing lost, nobody trusted" needs mended.

What asyncua 2.1 does instead is shown by the tests beside each mend; when one of them fails, asyncua was mended and
ours can go. Mended here:

- A full queue of a monitored item sets the Overflow bit (OPC 10000-4, 5.13.1.5); DiscardOldest is obeyed; a queue
  size of 0 means 1 for values.
- Republish keeps a message until it is acknowledged and answers BadMessageNotAvailable for one that is gone; an
  unknown sequence number in an acknowledgement is answered with BadSequenceNumberUnknown.
- TransferSubscriptions makes the new session publish, sends current values if asked to and tells the old session.
- A session that times out leaves its subscriptions to their own lifetime; a session that moved to a new channel is not
  closed with its old one; requests of a closed channel are forgotten.
- The client certificate must be trusted before a channel opens, be the same in CreateSession and on every channel of
  the session; tokens are random and compared with every request; without security only discovery is answered.
- Where-clauses with OfType know subtypes. A write goes to the owner of the variable or is refused with
  BadNotWritable, whoever asks. Method calls answer with the status that the method gives.
- Values are compared with the last one reported, without copying each of them.
- ModifySubscription changes the intervals; ModifyMonitoredItems changes the client handle and answers
  BadMonitoredItemIdInvalid for an item that is not there.
- OperationLimits are obeyed: BadTooManyOperations. The server stops at once.
- Tokens end after an hour at most, sessions and messages are limited, wrong logins are slowed down, a message for
  another receiver's certificate and requests before ActivateSession and after CloseSession are refused.

The sessions' subscriptions are in `subscriptions`, what limits a session's requests in `services`.
"""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from asyncio import current_task
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService, MethodService
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary
from cryptography.exceptions import InvalidSignature

from simulators.opcua.services import CHANNEL, LIMITS, LimitedSession, Views, fault
from simulators.opcua.space import Id
from simulators.opcua.subscriptions import Subscriptions
from simulators.opcua.throttle import Throttle
from simulators.opcua.trust import DistrustError, Trust, application_uris, first_certificate

_LOG = logging.getLogger(__name__)
_HELLO = 32
"""Bytes of a Hello besides its EndpointUrl."""
_MOST_CHUNKS, _LONGEST_MESSAGE = 256, 16 * 1024 * 1024
_LONGEST_URL = 4096
"""Bytes of an EndpointUrl (OPC 10000-6, 7.1.2.3)."""
_MESSAGES = (b"HEL", b"OPN", b"MSG", b"CLO", b"ERR")
"""Types of messages (OPC 10000-6, 7.1.2.2)."""

WriteHook = Callable[[Id, ua.DataValue], Awaitable[ua.StatusCode | None]]
CallHook = Callable[[Id, Id, list[ua.Variant]], Awaitable[ua.CallMethodResult | None]]

_DISCOVERY = {
    ua.NodeId(ua.ObjectIds.FindServersRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.CloseSecureChannelRequest_Encoding_DefaultBinary),
}
_REGISTER = {
    ua.NodeId(ua.ObjectIds.RegisterServerRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.RegisterServer2Request_Encoding_DefaultBinary),
}
_CREATE_SESSION = ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary)
_ACTIVATE_SESSION = ua.NodeId(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_BEFORE_LOGIN = {
    _ACTIVATE_SESSION,
    ua.NodeId(ua.ObjectIds.CloseSessionRequest_Encoding_DefaultBinary),
}


def _with_lifetime(body: Any, longest: int) -> Any:
    """An OpenSecureChannelRequest whose lifetime, its last four bytes, is at most `longest` ms."""
    data = body.copy().read(len(body))
    lifetime = min(int.from_bytes(data[-4:], "little"), longest)
    return ua.utils.Buffer(data[:-4] + lifetime.to_bytes(4, "little"))


def _who(certificate: bytes | None, params: Any) -> tuple[bytes | None, str | None]:
    """For whom wrong logins are counted: a client with a user's name, so that no other user has to wait."""
    return certificate, getattr(params.UserIdentityToken, "UserName", None)


class Writes(AttributeService):
    """Writes of clients: only what the hook takes."""

    hook: WriteHook

    async def write(self, params: ua.WriteParameters, user: User = User(role=UserRole.Admin)) -> list[ua.StatusCode]:  # noqa: B008 - asyncua's signature
        """Write; the server itself (the one administrator) writes as it likes."""
        if user.role == UserRole.Admin:
            return list(await super().write(params, user))
        return [await self._external(item) for item in params.NodesToWrite]

    async def _external(self, item: ua.WriteValue) -> ua.StatusCode:
        if item.NodeId not in self._aspace:
            return ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        if item.AttributeId != ua.AttributeIds.Value:
            return ua.StatusCode(ua.StatusCodes.BadNotWritable)
        if item.IndexRange:
            return ua.StatusCode(ua.StatusCodes.BadWriteNotSupported)
        status = await self.hook(item.NodeId, item.Value)
        return status if status is not None else ua.StatusCode(ua.StatusCodes.BadNotWritable)


class Calls(MethodService):
    """Method calls: the hook first, then what asyncua knows."""

    hook: CallHook

    async def _call(self, method: ua.CallMethodRequest) -> ua.CallMethodResult:
        arguments = list(method.InputArguments or ())
        done = await self.hook(method.ObjectId, method.MethodId, arguments)
        if done is None:
            return await super()._call(method)
        done.InputArgumentResults = done.InputArgumentResults or [ua.StatusCode() for _ in arguments]
        return done


class Session(LimitedSession):
    """A session bound to one client certificate."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        external = kwargs.pop("external", False)
        super().__init__(*args, external=False, **kwargs)
        self.external = external
        self.limits = self.iserver.limits if external else {}
        self.certificate: bytes | None = None
        self.channel: Processor | None = None
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        if external:
            self.iserver.register_external_session(self)

    def user_key(self) -> tuple[bytes | None, str | None]:
        """Who the client is: its certificate and its user."""
        return self.certificate, self.user.name

    async def create_session(self, params: ua.CreateSessionParameters, sockname: Any = None) -> ua.CreateSessionResult:
        """Create the session for the client that opened the channel, and for no other."""
        if len(self.iserver._external_sessions) > self.iserver.max_sessions:
            raise fault("BadTooManySessions")
        channel = CHANNEL.get()
        peer = channel.peer_certificate()
        self.check_peer(peer, first_certificate(params.ClientCertificate or b""))
        if peer is not None:
            self.check_uri(params.ClientDescription.ApplicationUri, channel.check_trust(channel.sender))
        self.certificate, self.channel = peer, channel
        return await super().create_session(params, sockname)

    def check_peer(self, peer: bytes | None, sent: bytes) -> None:
        """The certificate in CreateSession is that of the channel."""
        if peer is None or sent != peer:
            _LOG.warning(
                "%s sent in CreateSession another certificate than on its channel, or none: refused", self.name
            )
            raise fault("BadSecurityChecksFailed")

    def check_uri(self, uri: str | None, certificate: Any) -> None:
        """The client's ApplicationUri is that of its certificate."""
        if uri not in application_uris(certificate):
            raise fault("BadCertificateUriInvalid")

    def activate_session(self, params: Any, peer_certificate: bytes | None) -> Any:
        """Log the user in; only a user certificate is one, not that of the channel."""
        user_certificate = isinstance(params.UserIdentityToken, ua.X509IdentityToken)
        try:
            result = super().activate_session(params, peer_certificate if user_certificate else None)
        except ServiceError:
            self.iserver.throttle.failed(_who(self.certificate, params))
            raise
        self.iserver.throttle.succeeded(_who(self.certificate, params))
        return result

    async def close_session(self, delete_subs: bool = True) -> None:
        """Close; after a timeout the subscriptions live on for their own lifetime."""
        timed_out = self._timeout_task is not None and current_task() is self._timeout_task
        await super().close_session(delete_subs and not timed_out)

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> Any:
        """Acknowledge messages of the session's own subscriptions."""
        service = self.subscription_service
        own = {number: found for number, found in service.subscriptions.items() if found.session_id == self.session_id}
        if not own:
            raise fault("BadNoSubscription")
        results = []
        for ack in acks or ():
            found = own.get(ack.SubscriptionId)
            unknown = ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid)
            results.append(unknown if found is None else found.acknowledge(ack.SequenceNumber))
        return len(own), results

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """A message again."""
        found = self.subscription_service.owned(params.SubscriptionId, self.session_id)
        return found.republish(params.RetransmitSequenceNumber)

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Change the intervals of a subscription of the session's own."""
        self.subscription_service.owned(params.SubscriptionId, self.session_id)
        return self.subscription_service.modify_subscription(params)


class Processor(UaProcessor):
    """A channel of one client.

    Attributes:
        sender: The certificates that the client sent when it opened the channel, its own first.
    """

    session: Any
    sender: bytes = b""

    def peer_certificate(self) -> bytes | None:
        """The certificate with which the client opened the channel."""
        raw = self._connection.security_policy.peer_certificate
        return first_certificate(raw) if raw else None

    def check_trust(self, der: bytes) -> Any:
        """The client's certificate, if it is trusted; what is wrong goes to the log, not to the client."""
        try:
            return self.iserver.trust.check_application(der)
        except DistrustError as found:
            _LOG.warning("client %s is refused: %s", self.name, found)
            raise fault("BadSecurityChecksFailed") from found

    async def process(self, header: Any, body: Any) -> Any:
        """Process a message; whatever is wrong with the channel itself ends it."""
        try:
            self.check_open(header)
            return await super().process(header, body)
        except Exception as found:  # noqa: BLE001 - what a decoder says of foreign bytes is of any kind
            code = getattr(found, "code", ua.StatusCodes.BadSecurityChecksFailed)
            _LOG.warning("channel of %s ends: %s", self.name, ua.StatusCode(code).name)
            error = ua.ErrorMessage(ua.StatusCode(code), ua.StatusCode(code).name)
            self._transport.write(uatcp_to_binary(ua.MessageType.Error, error))
            return False

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """Open or renew the channel, for a trusted client that means this server, and not for ever."""
        if algohdr.SenderCertificate:
            self.check_trust(algohdr.SenderCertificate)
            self.sender = algohdr.SenderCertificate
            self.check_receiver(algohdr.ReceiverCertificateThumbPrint)
        super().open_secure_channel(algohdr, seqhdr, _with_lifetime(body, self.iserver.longest_token))

    def check_open(self, header: Any) -> None:
        """Refuse a message without a channel; asyncua takes one whose ids are 0."""
        if header.MessageType == ua.MessageType.SecureMessage and not self._connection.is_open():
            raise fault("BadSecureChannelIdInvalid")

    def check_receiver(self, thumbprint: bytes | None) -> None:
        """Refuse a message that was meant for the holder of another certificate (OPC 10000-6, 6.7.2.3)."""
        own = self._connection.security_policy.host_certificate
        if thumbprint != hashlib.sha1(own, usedforsecurity=False).digest():
            raise fault("BadCertificateInvalid")

    async def _process_message(self, typeid: Id, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        CHANNEL.set(self)
        self._admit(typeid, requesthdr)
        if typeid == _CREATE_SESSION:
            return await self._create_session(typeid, requesthdr, seqhdr, body)
        if typeid == _ACTIVATE_SESSION:
            given = struct_from_binary(ua.ActivateSessionParameters, body.copy())
            await self.iserver.throttle.wait(_who(self.peer_certificate(), given))
        try:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        except InvalidSignature as found:
            raise fault("BadApplicationSignatureInvalid") from found

    async def _create_session(self, typeid: Id, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        before = self.session
        try:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        except (ServiceError, ua.UaError):
            if self.session is not None and self.session is not before:
                await self.session.close_session()
                self.session = None
            raise

    def _admit(self, typeid: Id, requesthdr: Any) -> None:
        """Refuse what must not be asked on this channel or with this token."""
        if typeid in _REGISTER:
            raise fault("BadServiceUnsupported")
        if typeid in _DISCOVERY:
            return
        self.check_mode()
        if typeid == _CREATE_SESSION:
            return
        token = requesthdr.AuthenticationToken
        if self.session is not None and self.session.auth_token == token:
            self.check_state(typeid)
            if typeid == _ACTIVATE_SESSION:
                self.session.channel = self
            return
        if typeid != _ACTIVATE_SESSION:
            raise fault("BadSessionIdInvalid")
        existing = self.iserver.lookup_external_session(token)
        if existing is None:
            raise fault("BadSessionIdInvalid")
        self.check_owner(existing)
        self.session = None  # asyncua looks the session up by its token and binds its subscriptions to this channel
        existing.channel = self

    def check_mode(self) -> None:
        """Nothing but discovery without signature and encryption."""
        if self._connection.security_policy.Mode != ua.MessageSecurityMode.SignAndEncrypt:
            raise fault("BadSecurityPolicyRejected")

    def check_owner(self, session: Session) -> None:
        """A session goes on with the certificate that it began with (OPC 10000-4, 5.7.3)."""
        if session.certificate != self.peer_certificate():
            raise fault("BadSecurityChecksFailed")

    def check_state(self, typeid: Id) -> None:
        """Nothing before ActivateSession, nothing after CloseSession."""
        if self.session.state is SessionState.Closed:
            raise fault("BadSessionIdInvalid")
        if self.session.state is SessionState.Created and typeid not in _BEFORE_LOGIN:
            raise fault("BadSessionNotActivated")

    def _should_close_session_on_transport_loss(self) -> bool:
        if self.session is not None and self.session.channel is not self:
            return False
        return bool(super()._should_close_session_on_transport_loss())

    async def close(self) -> None:
        """The client is gone: its requests cannot be answered any more."""
        self._publish_requests.clear()
        self._publish_results_subs.clear()
        await super().close()


class Protocol(OPCUAProtocol):
    """A connection."""

    kind: type[Processor] = Processor
    processor: Any

    def connection_made(self, transport: Any) -> None:
        """Use our processor."""
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = self.kind(self.iserver, self.transport, self.limits)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        """Take bytes; what cannot be a message of OPC UA ends the connection at once."""
        head = (self._buffer + data)[:8]
        size = int.from_bytes(head[4:8], "little") if len(head) == 8 else 0
        most = self.most_bytes(head[:3])
        if (head[:3] not in _MESSAGES and len(head) >= 3) or size > most:
            _LOG.warning("%s does not speak OPC UA, its connection ends", self.peer_name)
            self.transport.close()
            return
        super().data_received(data)

    def most_bytes(self, kind: bytes) -> int:
        """Longest chunk of this type of message."""
        return _LONGEST_URL + _HELLO if kind == b"HEL" else int(self.limits.max_recv_buffer)


class Listener(BinaryServer):
    """The listening socket."""

    kind: type[Protocol] = Protocol

    def _make_protocol(self) -> Protocol:
        return self.kind(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)


class Core(InternalServer):
    """The services.

    Attributes:
        fastest_publishing: Shortest publishing interval in ms.
        limits: Greatest number of operations in a request of a client, by name of the variable in OperationLimits.
        longest_token: Longest lifetime of a security token in ms.
        max_sessions: Sessions of all clients at once.
        throttle: Slows down who logs in wrongly.
    """

    session: type[Session] = Session
    subscriptions: type[Subscriptions] = Subscriptions
    method_service: Any
    time_task: Any

    def __init__(self, trust: Trust, user_manager: Any) -> None:
        super().__init__(user_manager=user_manager)
        self.trust = trust
        self.throttle = Throttle(time.monotonic)
        self.fastest_publishing = 10.0
        self.longest_token = 3_600_000
        self.max_sessions = 100
        self.max_unacked_messages_per_subscription = 1_000
        self.limits: dict[str, int] = {}
        self.attribute_service = Writes(self.aspace)
        self.view_service = Views(self.aspace)
        self.method_service.stop()
        self.method_service = Calls(self.aspace)
        self.subscription_service = self.subscriptions(self.aspace, iserver=self)
        self.isession.subscription_service = self.subscription_service
        self.allow_remote_admin = False
        self.max_pending_activation_seconds = 10.0

    def create_session(self, name: str, user: Any = User(role=UserRole.Anonymous), external: bool = False) -> Session:  # noqa: B008 - asyncua's signature
        """A session of our class."""
        return self.session(self, self.aspace, self.subscription_service, name, user=user, external=external)

    async def stop(self) -> None:
        """Stop at once; asyncua waits out the second of its clock."""
        if self.time_task is not None:
            self.time_task.cancel()
            await asyncio.gather(self.time_task, return_exceptions=True)
            self.time_task = None
        await super().stop()


class MendedServer(Server):
    """asyncua's server with the mended parts."""

    core: type[Core] = Core
    listener: type[Listener] = Listener
    bserver: Any

    def __init__(self, trust: Trust, user_manager: Any) -> None:
        super().__init__(iserver=self.core(trust, user_manager))
        self.limits = TransportLimits(max_chunk_count=_MOST_CHUNKS, max_message_size=_LONGEST_MESSAGE)

    async def start(self) -> None:
        """Listen; `bserver.port` is the real port."""
        await self._setup_server_nodes()
        await self.iserver.start()
        try:
            await self.listen(*self._get_bind_socket_info())
        except OSError:
            self.bserver = None
            await self.iserver.stop()
            raise

    async def listen(self, host: str, port: int) -> None:
        """Open the port."""
        self.bserver = self.listener(self.iserver, host, port, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()

    async def set_limits(self, limit: int) -> None:
        """Advertise and enforce OperationLimits."""
        for name in LIMITS:
            node = ua.NodeId(getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}"))
            await self.get_node(node).write_value(ua.Variant(limit, ua.VariantType.UInt32))
            self.iserver.limits[name] = limit
