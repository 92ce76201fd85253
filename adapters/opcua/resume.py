"""The way back to a subscription that an earlier connection, or an earlier process, has made.

The rungs, each tried when the one before it did not bring it:

1. The session is still there: it is activated on the new channel, the subscription was never without it.
2. A new session takes the subscription over (TransferSubscriptions, OPC 10000-4, 5.14.7).
3. A new subscription; what the server keeps history of is read from there.

After 1 and 2 the engine asks again (Republish) for what was sent and not committed. A subscription is only taken over
from the same run of the same server, with the same namespaces, and if the stored handles still mean the same.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

import msgspec
from asyncua import ua

from adapters.opcua.connection import Connection, SessionTicket, stage
from adapters.opcua.decode import ticks
from adapters.opcua.reading import Reading
from gateway.model.times import ticks_from_unix_ns

logger = logging.getLogger("adapters.opcua")

_START_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime)
_NAMESPACES = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
_SERVERS = ua.NodeId(ua.ObjectIds.Server_ServerArray)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself at the beginning of a connection.

    Attributes:
        now: Its time in ticks, since source times are compared with it; ours where it tells none.
        run: Which run of which server: a digest of its URI, start time and namespaces.
    """

    now: int
    run: str


@dataclass(slots=True)
class Kept:
    """What a lost connection leaves to the next one of the same process.

    Attributes:
        reading: The items and what they mean.
        ticket: The session, where it was not closed.
        owing: The server's machines were about to be looked at again.
    """

    reading: Reading
    ticket: SessionTicket | None
    owing: bool = False


async def read_facts(connection: Connection) -> Facts:
    """Ask the server who it is, when it started, and what time it is.

    Its time is that of its answer (ResponseHeader): some servers refresh CurrentTime only once a second, and a gap that
    ends a second early names too little.
    """
    answers = []
    sent = 0
    with stage(connection.config.url, "read"):
        for node in (_START_TIME, _NAMESPACES, _SERVERS):  # one by one: some servers fail a whole call for one node
            request = ua.ReadRequest()
            request.Parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds.Value)]
            body = await connection.client.uaclient.session._send_request(request)
            response = ua.ua_binary.struct_from_binary(ua.ReadResponse, body)
            response.ResponseHeader.ServiceResult.check()
            sent = ticks(response.ResponseHeader.Timestamp)
            (answer,) = response.Results
            answers.append(answer.Value.Value if answer.Value is not None else None)
    started, namespaces, servers = answers
    identity = (ticks(started), list(namespaces or ()), list(servers or ())[:1])
    run = hashlib.sha256(msgspec.msgpack.encode(identity)).hexdigest()[:16]
    return Facts(sent if sent > 0 else ticks_from_unix_ns(time.time_ns()), run)


async def transfer(connection: Connection, subscription: int) -> list[int] | str:
    """Take a subscription over into this session: the numbers that can be sent again, or why it was refused."""
    wanted = ua.TransferSubscriptionsParameters([subscription], SendInitialValues=False)
    try:
        with stage(connection.config.url, "subscribe"):
            results = await connection.client.uaclient.session.transfer_subscriptions(wanted)
    except Exception as problem:
        if isinstance(problem.__cause__, ua.UaStatusCodeError):  # the service is refused, the connection is sound
            return str(ua.StatusCode(problem.__cause__.code).name)
        raise
    if len(results) != 1:
        return f"{len(results)} results for one subscription"
    status = results[0].StatusCode
    return list(results[0].AvailableSequenceNumbers or ()) if status.is_good() else str(status.name)


async def discard(connection: Connection, subscription: int) -> None:
    """Delete what a predecessor left and nobody reads any more; its queues cost the server memory and time."""
    if isinstance(await transfer(connection, subscription), str):
        return
    with stage(connection.config.url, "subscribe"):
        statuses = await connection.client.uaclient.session.delete_subscriptions([subscription])
    logger.info("%s: deleted the earlier subscription %d: %s", connection.config.url, subscription, statuses)
