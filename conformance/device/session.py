"""The suite's session on a device: gentle, bounded, and gone when it is closed."""

# ruff: noqa: ANN401 - asyncua's objects come without usable annotations
from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509

from conformance.device.access import Access, Policy
from conformance.device.identity import (
    AccessError,
    Identity,
    distrust,
    first_certificate,
    read_certificates,
    read_identity,
)
from conformance.device.transport import bound
from conformance.device.values import Names
from conformance.suite.target import TargetError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
_CLASSES: dict[Policy, Any] = {
    Policy.AES256: security_policies.SecurityPolicyAes256Sha256RsaPss,
    Policy.AES128: security_policies.SecurityPolicyAes128Sha256RsaOaep,
    Policy.BASIC256: security_policies.SecurityPolicyBasic256Sha256,
}
"""Strongest first."""

_MODES = (ua.MessageSecurityMode.SignAndEncrypt, ua.MessageSecurityMode.Sign)
_CLOSE_SECONDS = 5.0
_REFERENCES = 2_000
_ROUNDS = 1_000
_LIMITS = {"read": "MaxNodesPerRead", "browse": "MaxNodesPerBrowse"}
_PRODUCT = "urn:area4:conformance"


class RefusedError(TargetError):
    """The device answered a request with an error, or with what cannot be decoded; the connection stands."""


class Session:
    """Connect with `open`, ask with `read` and `browse`, end with `close`.

    Attributes:
        client: asyncua's, connected; for services that are not offered here, within `guarded`.
        endpoints: What the device offers.
        endpoint: The one in use.
        certificate: Of the device, if it shows one.
        names: Writes node ids with namespace URIs.
        requests: How many were made.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.client: Client
        self.endpoints: list[ua.EndpointDescription] = []
        self.endpoint: ua.EndpointDescription | None = None
        self.certificate: x509.Certificate | None = None
        self.names = Names((), access.limits)
        self.requests = 0
        self._most = dict.fromkeys(_LIMITS, access.limits.items_per_call)
        self._next = 0.0
        self._turn = asyncio.Lock()
        self._alive: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ask for the endpoints, choose, connect, log in.

        Raises:
            TargetError: It does not work; the text says where it stopped.
        """
        own = self._own()
        self.endpoints = await endpoints(self.access)
        self.endpoint = choose(self.access, self.endpoints)
        self.client = new_client(self.access, own)
        secure = self.endpoint.SecurityMode != ua.MessageSecurityMode.None_
        if self.endpoint.ServerCertificate:
            self.certificate = first_certificate(self.endpoint.ServerCertificate)
        if secure:
            self._secure(own)
        try:
            async with asyncio.timeout(self.access.limits.connect_seconds * 2):
                await self._connect()
            await self.learn()
        except BaseException:
            await self.close()
            raise
        self._alive = asyncio.create_task(self._keep(), name="conformance session")

    def _own(self) -> Identity | None:
        access = self.access
        if access.certificate is not None and access.key is not None:
            return read_identity(access.certificate, access.key)
        if access.policy is not Policy.NONE:
            raise AccessError("a secured channel needs a certificate and its key; or choose the policy None")
        return None

    def _secure(self, own: Identity | None) -> None:
        assert self.endpoint is not None
        if own is None or self.certificate is None:
            raise AccessError("the device shows no certificate at its secured endpoint")
        if self.access.trust:
            trusted = [one for place in self.access.trust for one in read_certificates(place)]
            reason = distrust(self.certificate, trusted)
            if reason:
                raise AccessError(f"{self.access.url} is not trusted: {reason}")
        policy = _CLASSES[Policy(self.endpoint.SecurityPolicyUri.removeprefix(_POLICY_URI))]
        made = policy(self.certificate, own.certificate, own.key, self.endpoint.SecurityMode)
        self.client.security_policy = made
        self.client.uaclient.set_security(made)

    async def _connect(self) -> None:
        client, access = self.client, self.access
        for stage, step in (
            ("connection", client.connect_socket),
            ("hello", client.send_hello),
            ("secure channel", client.open_secure_channel),
            ("session", client.create_session),
        ):
            await self.guarded(step, f"the {stage}")
        if access.user_certificate is not None and access.user_key is not None:
            user = read_identity(access.user_certificate, access.user_key)
            client.user_certificate, client.user_private_key = user.certificate, user.key
        login = partial(
            client.activate_session,
            username=access.user or None,
            password=access.password or None,
            certificate=client.user_certificate,
        )
        await self.guarded(login, "the login")

    async def learn(self) -> None:
        """Read the namespace table and the OperationLimits again."""
        (uris,) = await self.values([ua.NodeId(ua.ObjectIds.Server_NamespaceArray)])
        if not isinstance(uris, list) or not all(isinstance(one, str) for one in uris):
            raise TargetError("its NamespaceArray cannot be read")
        self.names = Names(uris, self.access.limits)
        for name, source in _LIMITS.items():
            node = ua.NodeId(getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{source}"))
            (most,) = await self.values([node])
            if isinstance(most, int) and most > 0:
                self._most[name] = min(most, self.access.limits.items_per_call)

    async def guarded(self, service: Callable[[], Awaitable[_Result]], what: str) -> _Result:
        """Await a service of the client, one at a time, not too often, not for ever.

        Raises:
            RefusedError: The device answered with an error, or with what cannot be decoded.
            TargetError: It does not answer, or the connection is gone.
        """
        async with self._turn:
            now = time.monotonic()
            if self._next > now:
                await asyncio.sleep(self._next - now)
            self._next = max(now, self._next) + 1.0 / self.access.limits.requests_per_second
            self.requests += 1
            return await guarded(service, what, self.access.limits.request_seconds, self.client)

    async def read(self, wanted: Sequence[tuple[ua.NodeId, int]]) -> list[Any]:
        """A DataValue for every node and attribute, in order; a RefusedError where the answer cannot be decoded."""
        return await self._chunked(list(wanted), self._most["read"], self._read)

    async def values(self, nodes: Sequence[ua.NodeId]) -> list[Any]:
        """Decoded values; None where there is none."""
        found = await self.read([(node, ua.AttributeIds.Value) for node in nodes])
        return [one.Value.Value if isinstance(one, ua.DataValue) and one.Value is not None else None for one in found]

    async def browse(self, nodes: Sequence[ua.NodeId], *, inverse: ua.NodeId | None = None) -> list[Any]:
        """References of every node, in order: all forward ones, or the inverse ones of a type; else a RefusedError."""

        async def call(chunk: Sequence[ua.NodeId]) -> list[Any]:
            return await self._browse(chunk, inverse)

        return await self._chunked(list(nodes), self._most["browse"], call)

    async def _chunked(
        self, items: list[_Item], size: int, call: Callable[[Sequence[_Item]], Awaitable[list[Any]]]
    ) -> list[Any]:
        found: list[Any] = []
        source = iter(items)
        while chunk := list(islice(source, size)):
            found += await self._halving(chunk, call)
        return found

    async def _halving(
        self, chunk: Sequence[_Item], call: Callable[[Sequence[_Item]], Awaitable[list[Any]]]
    ) -> list[Any]:
        """In halves where it is too much, or where one item spoils the answer: that one's error is its result."""
        try:
            return await call(chunk)
        except RefusedError as error:
            if len(chunk) == 1:
                return [error]
        middle = len(chunk) // 2
        return await self._halving(chunk[:middle], call) + await self._halving(chunk[middle:], call)

    async def _read(self, chunk: Sequence[tuple[ua.NodeId, int]]) -> list[Any]:
        items = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node, attribute in chunk]
        parameters = ua.ReadParameters(NodesToRead=items, TimestampsToReturn=ua.TimestampsToReturn.Both)
        return _as_many(await self.guarded(partial(self.client.uaclient.read, parameters), "Read"), chunk, "Read")

    async def _browse(self, chunk: Sequence[ua.NodeId], inverse: ua.NodeId | None) -> list[Any]:
        direction = ua.BrowseDirection.Forward if inverse is None else ua.BrowseDirection.Inverse
        kind = inverse or ua.NodeId(ua.ObjectIds.References)
        wanted = [ua.BrowseDescription(node, direction, kind, True, 0, 63) for node in chunk]
        parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=_REFERENCES, NodesToBrowse=wanted)
        answer = await self.guarded(partial(self.client.uaclient.browse, parameters), "Browse")
        results = _as_many(answer, chunk, "Browse")
        found: list[Any] = []
        for node, result in zip(chunk, results, strict=True):
            if not result.StatusCode.is_good():
                found.append(RefusedError(f"Browse of {self.names.id(node)}: {result.StatusCode.name}"))
            else:
                found.append(await self._rest(result))
        return found

    async def _rest(self, result: Any) -> list[Any]:
        references = list(result.References or ())
        for _ in range(_ROUNDS):
            if not result.ContinuationPoint:
                return references
            parameters = ua.BrowseNextParameters(
                ReleaseContinuationPoints=False, ContinuationPoints=[result.ContinuationPoint]
            )
            answer = await self.guarded(partial(self.client.uaclient.browse_next, parameters), "BrowseNext")
            (result,) = _as_many(answer, [None], "BrowseNext")
            references += list(result.References or ())
        raise TargetError(f"BrowseNext does not come to an end: {len(references)} references")

    async def _keep(self) -> None:
        """Ask for the state now and then, or the device forgets the session while others are asked."""
        state = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)
        while True:
            await asyncio.sleep(self.access.limits.session_seconds / 3)
            with contextlib.suppress(TargetError):
                await self.read([(state, ua.AttributeIds.Value)])

    async def close(self) -> None:
        """Delete the subscriptions, close session, channel and connection. Never raises, takes seconds at most."""
        if self._alive is not None:
            self._alive.cancel()
            await asyncio.gather(self._alive, return_exceptions=True)
        if hasattr(self, "client"):
            await close_client(self.client)


def new_client(access: Access, own: Identity | None) -> Client:
    """A client with bounds that is not connected."""
    quiet_library()
    if urlsplit(access.url).scheme != "opc.tcp" or not urlsplit(access.url).hostname:
        raise AccessError(f"{access.url!r} is no address of an OPC UA server: opc.tcp://host:port/")
    client = Client(access.url, timeout=access.limits.request_seconds)
    bound(client, access.limits.message_bytes)
    client.name = client.description = "area4 conformance"
    client.application_uri = (own.uri if own is not None else "") or "urn:area4:conformance:client"
    client.product_uri = _PRODUCT
    client.session_timeout = int(access.limits.session_seconds * 1000)
    return client


def quiet_library() -> None:
    """Keep asyncua's log out: it writes every error of the device twice, and what it sends."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


async def guarded(service: Callable[[], Awaitable[_Result]], what: str, seconds: float, client: Client) -> _Result:
    """As `Session.guarded`, for other clients."""
    try:
        async with asyncio.timeout(seconds):
            return await service()
    except TimeoutError:
        raise TargetError(f"{what}: no answer within {seconds:g} s") from None
    except ua.UaStatusCodeError as error:
        raise RefusedError(f"{what}: {ua.StatusCode(error.code).name}") from error
    except OSError as error:
        refused = getattr(getattr(client.uaclient, "protocol", None), "refused", "")
        raise TargetError(f"{what}: the connection is gone: {refused or error}") from error
    except Exception as error:  # whatever asyncua's decoder raises over the device's bytes is about the device
        raise RefusedError(f"{what}: the answer cannot be decoded: {type(error).__name__}: {error}") from error


async def endpoints(access: Access) -> list[ua.EndpointDescription]:
    """What the device offers, asked without security and without session.

    Raises:
        TargetError: It does not answer.
    """
    client = new_client(access, None)
    limit = access.limits.connect_seconds
    try:
        await guarded(client.connect_socket, f"{access.url}: the connection", limit, client)
        await guarded(client.send_hello, f"{access.url}: the hello", limit, client)
        await guarded(client.open_secure_channel, f"{access.url}: the channel for GetEndpoints", limit, client)
        return list(await guarded(client.get_endpoints, f"{access.url}: GetEndpoints", limit, client))
    finally:
        await close_client(client)


def choose(access: Access, offered: Sequence[ua.EndpointDescription]) -> ua.EndpointDescription:
    """The strongest endpoint of the policy that is asked for.

    Raises:
        AccessError: There is none.
    """
    usable = [one for one in offered if (one.EndpointUrl or "").startswith("opc.tcp:")]
    wanted = list(_CLASSES) if access.policy is Policy.BEST else [access.policy]
    for policy in wanted:
        modes = (ua.MessageSecurityMode.None_,) if policy is Policy.NONE else _MODES
        for mode in modes:
            for one in usable:
                if one.SecurityPolicyUri == f"{_POLICY_URI}{policy.value}" and one.SecurityMode == mode:
                    return one
    found = sorted({f"{(one.SecurityPolicyUri or '').rpartition('#')[2]}/{one.SecurityMode.name}" for one in usable})
    raise AccessError(f"{access.url} offers no endpoint for {access.policy}; it offers {', '.join(found) or 'none'}")


async def close_client(client: Client) -> None:
    """Leave as politely as the state of the connection allows. Never raises."""
    transport = client.uaclient
    protocol = getattr(transport, "protocol", None)
    if protocol is not None and not protocol.is_closed:
        for farewell in (partial(transport.close_session, True), transport.close_secure_channel):
            with contextlib.suppress(TargetError):
                await guarded(farewell, "the end", _CLOSE_SECONDS, client)
    with contextlib.suppress(OSError, ua.UaError):
        transport.disconnect_socket()


def _as_many(results: Any, wanted: Sequence[Any], what: str) -> list[Any]:
    if not isinstance(results, list | tuple) or len(results) != len(wanted):
        count = len(results) if isinstance(results, list | tuple) else "no"
        raise RefusedError(f"{what}: {count} results to {len(wanted)} questions")
    return list(results)
