"""An MQTT client that does what a check says and no more: it keeps no state for the user, repeats nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from conformance.broker import wire
from conformance.broker.link import ClosedError, Link, SilenceError
from conformance.broker.wire import Ack, Answer, Kind, Message, Packet, Prop, Properties, Will
from conformance.suite.target import TargetError

_Read = TypeVar("_Read")


class Client(Link):
    """A connection that speaks MQTT.

    Attributes:
        welcome: CONNACK.
        inbox: Messages that came while something else was awaited.
        farewell: DISCONNECT of the broker, if it sent one.
        acknowledge: Messages are acknowledged as they come.
        user: User name of a CONNECT that is given none.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, version: int, patience: float
    ) -> None:
        super().__init__(reader, writer, version=version, patience=patience)
        self.welcome = Answer(0xFF, session_present=False, properties=())
        self.inbox: deque[Message] = deque()
        self.farewell: Answer | None = None
        self.acknowledge = True
        self.user: str | None = None
        self._next = 0
        self._filters: list[str] = []

    async def answer(self, *kinds: int, within: float | None = None) -> Packet:
        """The next packet of one of these types; messages that come before go to the inbox and are acknowledged.

        Raises:
            ClosedError: The connection has ended; with the reason, where the broker told it.
            SilenceError: It did not come in time.
        """
        deadline = asyncio.get_running_loop().time() + (self.patience if within is None else within)
        while True:
            left = deadline - asyncio.get_running_loop().time()
            packet = await self.packet(max(left, 0.0))
            if packet.kind in kinds:
                return packet
            if packet.kind == Kind.DISCONNECT:
                self.farewell = self._read(wire.read_answer, packet)
                raise ClosedError(f"the broker disconnected with reason 0x{self.farewell.reason:02X}")
            if packet.kind == Kind.PUBLISH:
                await self._keep(self._asked_for(self._read(wire.read_message, packet)))

    async def connect(
        self,
        client_id: str,
        *,
        clean: bool = True,
        keep_alive: int = 60,
        entries: Properties = (),
        will: Will | None = None,
        user: str | None = None,
        password: bytes | None = None,
    ) -> Answer:
        """CONNECT, and the broker's CONNACK whatever it says.

        Raises:
            ClosedError: The connection ended instead.
        """
        await self.send(
            wire.connect(
                client_id,
                version=self.version,
                clean=clean,
                keep_alive=keep_alive,
                entries=entries if self.version >= wire.V5 else (),
                will=will,
                user=self.user if user is None else user,
                password=password,
            )
        )
        self.welcome = self._read(wire.read_answer, await self.answer(Kind.CONNACK))
        return self.welcome

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        dup: bool = False,
        entries: Properties = (),
    ) -> int:
        """PUBLISH with QoS 0 or 1; the reason code of the acknowledgement, 0 without one.

        Raises:
            ClosedError: The connection ended.
            SilenceError: No acknowledgement came.
            TargetError: It is for another packet.
        """
        packet_id = self.number()
        await self.send(
            wire.publish(
                topic, payload, qos=qos, packet_id=packet_id, retain=retain, dup=dup,
                entries=entries if self.version >= wire.V5 else (), version=self.version,
            )
        )  # fmt: skip
        if not qos:
            return 0
        return (await self.acknowledged(packet_id, Kind.PUBACK)).reasons[0]

    async def acknowledged(self, packet_id: int, kind: int) -> Ack:
        """The acknowledgement of a packet.

        Raises:
            TargetError: It is for another packet, or did not come.
        """
        ack = self._read(wire.read_ack, await self.answer(kind))
        if ack.packet_id != packet_id:
            raise TargetError(f"{Kind(kind).name} for packet {ack.packet_id}, where {packet_id} was awaited")
        return ack

    async def flood(self, topic: str, payloads: list[bytes], *, window: int = 100) -> int:
        """Publish many with QoS 1, up to `window` in flight; how many were acknowledged with success."""
        window = min(window, wire.number(self.welcome.properties, Prop.RECEIVE_MAXIMUM, 65_535))
        done = sent = in_flight = 0
        while sent < len(payloads) or in_flight:
            while sent < len(payloads) and in_flight < window:
                await self.send(wire.publish(topic, payloads[sent], packet_id=self.number(), version=self.version))
                sent, in_flight = sent + 1, in_flight + 1
            ack = self._read(wire.read_ack, await self.answer(Kind.PUBACK))
            done, in_flight = done + (ack.reasons[0] < 0x80), in_flight - 1
        return done

    async def subscribe(self, pattern: str, *, options: int = 1, entries: Properties = ()) -> int:
        """SUBSCRIBE to one filter; the reason code of SUBACK.

        Raises:
            TargetError: No answer, or one that does not fit.
        """
        packet_id = self.number()
        self._filters.append(pattern)
        entries = entries if self.version >= wire.V5 else ()
        await self.send(wire.subscribe(packet_id, [(pattern, options)], entries=entries, version=self.version))
        ack = await self.acknowledged(packet_id, Kind.SUBACK)
        if len(ack.reasons) != 1:
            raise TargetError(f"SUBACK with {len(ack.reasons)} reason codes for one filter")
        return ack.reasons[0]

    async def unsubscribe(self, pattern: str) -> Ack:
        """UNSUBSCRIBE from one filter."""
        packet_id = self.number()
        await self.send(wire.unsubscribe(packet_id, [pattern], version=self.version))
        return await self.acknowledged(packet_id, Kind.UNSUBACK)

    async def message(self, within: float | None = None) -> Message:
        """The next message.

        Raises:
            SilenceError: None came in time.
            ClosedError: The connection ended.
        """
        if self.inbox:
            return self.inbox.popleft()
        packet = await self.answer(Kind.PUBLISH, within=within)
        message = self._asked_for(self._read(wire.read_message, packet))
        await self._thank(message)
        return message

    async def messages_until(self, payload: bytes) -> list[Message]:
        """All messages before the one with this payload, which is the fence."""
        found: list[Message] = []
        while (one := await self.message()).payload != payload:
            found.append(one)
        return found

    async def ping(self) -> None:
        """PINGREQ and its answer.

        Raises:
            TargetError: It did not come.
        """
        await self.send(wire.PING)
        await self.answer(Kind.PINGRESP)

    async def ended(self, within: float | None = None) -> bool:
        """The broker ends the connection in time; its DISCONNECT is then `farewell`."""
        try:
            while True:
                await self.answer(Kind.AUTH, within=within)
        except ClosedError:
            return True
        except SilenceError:
            return False

    async def leave(self, *, reason: int = 0, entries: Properties = ()) -> None:
        """DISCONNECT, then the connection's end."""
        with contextlib.suppress(TargetError):
            await self.send(wire.disconnect(reason, entries, version=self.version))
            await self.ended(min(self.patience, 2.0))
        await self.abort()

    def number(self) -> int:
        """A packet identifier that is not in use."""
        self._next = self._next % 60_000 + 1
        return self._next

    def _asked_for(self, message: Message) -> Message:
        """A message of a filter of this connection; in a session that was there before any may come.

        Raises:
            TargetError: Nobody subscribed to its topic.
        """
        known = not self.welcome.session_present and self._filters
        if known and not any(wire.matches(one, message.topic) for one in self._filters):
            raise TargetError(f"a message came on {message.topic}, to which this client has not subscribed")
        return message

    async def _keep(self, message: Message) -> None:
        self.inbox.append(message)
        await self._thank(message)

    async def _thank(self, message: Message) -> None:
        if message.qos == 1 and self.acknowledge:
            await self.send(wire.acknowledge(Kind.PUBACK, message.packet_id))

    def _read(self, how: Callable[[Packet, int], _Read], packet: Packet) -> _Read:
        try:
            return how(packet, self.version)
        except wire.WireError as error:
            raise TargetError(f"packet of type {packet.kind} cannot be read: {error}") from error
