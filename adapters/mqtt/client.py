"""One MQTT connection: a new paho client for each, driven by the running event loop.

paho keeps messages of a lost connection and sends them again in one burst, and takes no notice of Receive Maximum
(paho-mqtt 2.2). So a client is used once, the window is ours (`adapters.mqtt.window`), and so is sending again (the
outbox). Publications and their acknowledgements, of which there are hundreds a second, do not go through paho at all
(`adapters.mqtt.packets`); all that opens, keeps and ends a connection does.

Private names of paho that are used: `Client._create_socket`, which hands it a socket that is already open and verified
(`adapters.mqtt.wire` opens it), and the two times from which it knows that the connection is alive.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from adapters.mqtt.packets import (
    PUBACK,
    MalformedPacketError,
    packet_end,
    puback,
    publish,
    publish_properties,
)
from adapters.mqtt.reasons import closed_error, connack_error, disconnect_error, link_error
from adapters.mqtt.wire import Wire
from gateway.errors import Area4Error, ConfigurationError, UnreachableError

TICK = 1.0
"""Seconds between looks at the keep-alive."""

RECEIVE_MAXIMUM = 65_535
"""Of a broker that names none (MQTT 5.0, 3.2.2.3.3), and of MQTT 3.1.1, which has no such limit."""

INCOMING_MAXIMUM = 1_048_576
"""Largest packet that we let the broker send, in bytes."""

MIDS = 65_535
"""Packet identifiers are 1 to this (MQTT 5.0, 2.2.1)."""

_TIMES = ("_last_msg_out", "_last_bytes_received")


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """What goes into CONNECT.

    Attributes:
        peer: The broker, for error texts.
        protocol: MQTT version, `5` or `3.1.1`.
        keep_alive: Seconds.
        will_topic: Topic of the retained last will; None for none.
    """

    peer: str
    client_id: str
    protocol: str
    keep_alive: float
    username: str | None
    password: str | None
    will_topic: str | None = None
    will_payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Granted:
    """What the broker grants in CONNACK.

    Attributes:
        maximum_packet: Largest packet that it takes, in bytes; None where it names none.
        retain: It keeps retained messages.
        qos: Highest quality of service.
    """

    receive_maximum: int = RECEIVE_MAXIMUM
    maximum_packet: int | None = None
    retain: bool = True
    qos: int = 2


class _OpenedClient(Client):
    """A paho client on a socket that is already connected."""

    def __init__(self, wire: Wire, options: ConnectOptions) -> None:
        version_5 = options.protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=MQTTv5 if version_5 else MQTTv311,
            clean_session=None if version_5 else True,
            reconnect_on_failure=False,
        )
        self._wire = wire
        if not all(hasattr(self, name) for name in _TIMES):
            raise ConfigurationError(
                f"paho-mqtt {paho.mqtt.__version__} has no {' or no '.join(_TIMES)} as this gateway needs it.",
                advice="Install the versions of the lock file.",
            )

    def _create_socket(self) -> Wire:
        return self._wire

    def sent(self) -> None:
        """Something was sent without paho: no PINGREQ is needed for a while."""
        self._last_msg_out = time.monotonic()

    def heard(self) -> None:
        """Something came: the broker lives, even if it is late with its PINGRESP."""
        self._last_bytes_received = time.monotonic()


class Connection:
    """From CONNECT to DISCONNECT or loss.

    `acknowledged` is called from the event loop for each PUBACK with its packet identifier and, if it tells a
    failure, the reason. `lost` is called once when the connection ends otherwise than by `leave`.
    """

    def __init__(
        self,
        wire: Wire,
        options: ConnectOptions,
        *,
        acknowledged: Callable[[int, str | None], None],
        lost: Callable[[Area4Error], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._number = wire.fileno()
        self._options = options
        self._acknowledged = acknowledged
        self._lost = lost
        self._mid = 0
        self._unanswered: set[int] = set()
        self._connack: asyncio.Future[Granted] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._leaving = False
        self._flush_planned = False
        self._writing = False
        self._tick: asyncio.TimerHandle | None = None
        self._version_5 = options.protocol == "5"
        self._client = _OpenedClient(wire, options)
        self._prepare()

    def _prepare(self) -> None:
        client, options = self._client, self._options
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_socket_register_write = self._on_register_write
        client.on_socket_close = self._on_socket_close
        if options.will_topic is not None:
            client.will_set(options.will_topic, options.will_payload, qos=1, retain=True)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)

    async def open(self, within: float) -> Granted:
        """Send CONNECT and wait for the broker's answer.

        Raises:
            RefusedError: The broker refuses us.
            ConfigurationError: It cannot do what is configured.
            UnreachableError: No answer within `within` seconds, or the connection ended.
        """
        keep_alive = max(1, math.ceil(self._options.keep_alive))
        if self._options.protocol == "5":
            properties = _properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = INCOMING_MAXIMUM
            self._client.connect("broker", 1, keep_alive, clean_start=True, properties=properties)
        else:
            self._client.connect("broker", 1, keep_alive)
        self._loop.add_reader(self._number, self._on_readable)
        self._tick = self._loop.call_later(TICK, self._on_tick)
        if self._wire.pending():
            self._loop.call_soon(self._on_readable)
        try:
            async with asyncio.timeout(within):
                return await self._connack
        except TimeoutError:
            self.abort()
            raise UnreachableError(
                f"{self._options.peer} accepted the connection but did not answer CONNECT within {within:g} s.",
                advice=f"Check that a broker of MQTT {self._options.protocol} listens at the port in url.",
            ) from None
        except BaseException:
            self.abort()
            raise

    def publish(self, topic: str, payload: bytes, *, retain: bool, expiry: int | None = None) -> int:
        """Send at QoS 1; the packet identifier.

        Raises:
            UnreachableError: The connection is lost.
        """
        if self._ended.done():
            raise UnreachableError(f"The connection to {self._options.peer} is lost.")
        mid = self._next_mid()
        properties = publish_properties(expiry, version_5=self._version_5)
        self._wire.put(publish(topic.encode(), mid, payload, properties=properties, retain=retain))
        self._unanswered.add(mid)
        if not self._flush_planned and not self._writing:
            self._flush_planned = True
            self._loop.call_soon(self._flush)
        return mid

    def _next_mid(self) -> int:
        """An identifier that is free; the window is smaller than their number."""
        mid = self._mid
        while True:
            mid = mid % MIDS + 1
            if mid not in self._unanswered:
                self._mid = mid
                return mid

    async def leave(self, within: float) -> None:
        """DISCONNECT and close, in `within` seconds."""
        if not self._ended.done():
            self._leaving = True
            self._client.disconnect()
            try:
                async with asyncio.timeout(within):
                    await asyncio.shield(self._ended)
            except TimeoutError:
                pass  # the broker does not take bytes any more; it will publish the last will, which says the same
        self.abort()

    def abort(self) -> None:
        """Close the socket at once; the broker publishes the last will."""
        self._leaving = True
        self._finish()
        self._wire.close()

    # Called by the event loop.

    def _on_readable(self) -> None:
        if self._ended.done():
            return
        if self._wire.fill():
            self._client.heard()
        self._take_packets()
        if self._wire.ended and not self._ended.done():
            self._client.loop_read()  # finds the end, and tells it as its own

    def _take_packets(self) -> None:
        """Acknowledgements are ours; every other packet is paho's, once it is whole."""
        wire = self._wire
        try:
            while not self._ended.done():
                data, start = wire.look()
                end = packet_end(data, start, INCOMING_MAXIMUM)
                if end is None:
                    return
                if data[start] == PUBACK:
                    wire.skip(end)
                    mid, reason = puback(data[start:end])
                    self._unanswered.discard(mid)
                    self._acknowledged(mid, reason)
                else:
                    self._client.loop_read()
        except MalformedPacketError as problem:
            self._end(UnreachableError(f"{self._options.peer} sent what MQTT does not allow: {problem}."))

    def _on_tick(self) -> None:
        if not self._ended.done():
            self._client.loop_misc()
            self._tick = self._loop.call_later(TICK, self._on_tick)

    def _flush(self) -> None:
        self._flush_planned = False
        if self._ended.done():
            return
        if self._client.want_write():
            self._client.loop_write()
        if self._ended.done():
            return
        try:
            self._client.sent()
            done = self._wire.flush()
        except OSError as problem:
            self._end(link_error(problem, self._options.peer))
            return
        wanted = not done or self._client.want_write()
        if wanted and not self._writing:
            self._loop.add_writer(self._number, self._flush)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._number)
        self._writing = wanted

    # Called by paho, from within its loop_read, loop_write, loop_misc.

    def _on_register_write(self, _client: Client, _data: object, _sock: object) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _on_socket_close(self, _client: Client, _data: object, _sock: object) -> None:
        self._forget_socket()

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._connack.done():
            return
        if reason.is_failure:
            self._connack.set_exception(connack_error(reason, self._options.peer, self._options.protocol))
            self._connack.exception()  # looked at here, so that an abandoned attempt leaves no complaint
            return
        self._connack.set_result(_granted(properties))

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        peer = self._options.peer
        if flags.is_disconnect_packet_from_server:
            self._end(disconnect_error(reason, str(getattr(properties, "ReasonString", "")), peer))
        elif self._wire.problem is not None:
            self._end(link_error(self._wire.problem, peer))
        else:
            self._end(closed_error(reason, peer, answered=self._connack.done()))

    def _end(self, error: Area4Error) -> None:
        if self._ended.done():
            return
        self._finish()
        if not self._connack.done():
            self._connack.set_exception(error)
            self._connack.exception()  # looked at here, as above
        elif not self._leaving:
            self._loop.call_soon(self._lost, error)

    def _finish(self) -> None:
        self._forget_socket()
        if self._tick is not None:
            self._tick.cancel()
        if not self._ended.done():
            self._ended.set_result(None)

    def _forget_socket(self) -> None:
        if self._wire.fileno() >= 0:
            self._loop.remove_reader(self._number)
            self._loop.remove_writer(self._number)
        self._writing = False


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho has not annotated it


def _granted(properties: Properties | None) -> Granted:
    return Granted(
        receive_maximum=int(getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)),
        maximum_packet=getattr(properties, "MaximumPacketSize", None),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        qos=int(getattr(properties, "MaximumQoS", 2)),
    )
