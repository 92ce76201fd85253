"""A relay between a gateway and its broker that breaks one thing: so any gateway becomes a mutant.

It shows the gateway the broker's own certificate and shows the broker the gateway's, so neither knows of it. What a
mutant does wrong is a `Fault`: it sees each PUBLISH on its way to the broker, and may alter, drop or delay it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.mutants import packets
from simulators.mutants.packets import Packet, Publish
from simulators.mutants.peercheck import PeerCheck

_LOG = logging.getLogger(__name__)

OWN_NUMBER = 65_535
"""Packet identifier of messages that a fault adds; the gateway does not get so far while a mutant lives."""


class Fault:
    """What goes wrong; by itself nothing does."""

    early = False
    """The relay acknowledges each PUBLISH as soon as it has it, whatever becomes of it."""

    pins = False
    """The relay takes only the broker's certificate that it saw first."""

    lag = 0.0
    """Seconds that each PUBLISH is kept in memory, while others follow it."""

    plain = False
    """Where the broker speaks no TLS, the relay goes on without."""

    def delay(self, message: Publish) -> float:  # noqa: ARG002 - for others
        """Seconds that a message, and so all behind it, waits before it goes on to the broker."""
        return 0.0

    def connect(self, packet: Packet) -> Packet:
        """The CONNECT on its way to the broker."""
        return packet

    def acknowledged(self) -> None:
        """The broker has acknowledged a PUBLISH."""

    def publish(self, message: Publish) -> Sequence[Publish]:
        """A PUBLISH on its way to the broker: what goes on instead; what has not its number is not acknowledged."""
        return [message]


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a relay.

    Attributes:
        host: Of the broker.
        port: Of the broker.
        broker_certificate: Shown to the gateway, PEM with its chain.
        broker_key: Its key.
        ca: Authority of both, PEM.
        certificate: The gateway's, shown to the broker.
        key: Its key.
        crl: Revocation list of the authority, PEM.
    """

    host: str
    port: int
    broker_certificate: Path
    broker_key: Path
    ca: Path
    certificate: Path
    key: Path
    crl: Path | None = None


class Relay:
    """Listens on a free port of loopback; `port` says which."""

    def __init__(self, ends: Ends, fault: Fault, check: PeerCheck) -> None:
        self.ends = ends
        self.port = 0
        self._fault = fault
        self._check = check
        self._server: asyncio.Server | None = None
        self._pinned: bytes | None = None
        self._held: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Relay]:
        """Relay while the context lasts."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ends.ca))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.ends.broker_certificate, self.ends.broker_key)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._server.close()
            for task in list(self._held):
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        try:
            await self._session(reader, writer)
        except (OSError, packets.PacketError, ssl.SSLError) as problem:
            _LOG.info("a connection ended: %s", problem)
        finally:
            self._held.discard(task)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the gateway; without the broker it ends, unless the fault acknowledges by itself."""
        first = await packets.read(reader)
        if first is None or first.kind != packets.CONNECT:
            return
        level = packets.protocol_level(first)
        broker_reader, broker_writer = await self._dial()
        broker_writer.write(self._fault.connect(first).encode())
        ways = [
            asyncio.create_task(self._up(reader, writer, broker_writer, level), name="relay up"),
            asyncio.create_task(self._down(broker_reader, writer), name="relay down"),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self._fault.early and not ways[0].done():
                await self._swallow(ways[0])
        finally:
            broker_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _swallow(self, up: asyncio.Task[None]) -> None:
        """The broker has gone, the gateway does not learn it for a while: what it sends is acknowledged and lost."""
        await asyncio.wait([up], timeout=3.0)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ends = self.ends
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # `_check` judges, for it can leave out one thing
        context.load_cert_chain(ends.certificate, ends.key)
        try:
            reader, writer = await asyncio.open_connection(ends.host, ends.port, ssl=context)
        except (ssl.SSLError, ConnectionError):
            if not self._fault.plain:
                raise
            return await asyncio.open_connection(ends.host, ends.port)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if self._fault.pins and (self._pinned or shown) != shown:
            writer.close()
            raise ConnectionError("the broker's certificate is another than before")
        self._pinned = shown
        found = self._check.wrong(shown, ends.ca, ends.host, ends.crl)
        if found:
            writer.close()
            raise ConnectionError(f"the broker's certificate: {found}")
        return reader, writer

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broker: asyncio.StreamWriter, level: int
    ) -> None:
        while (packet := await packets.read(reader)) is not None:
            if packet.kind != packets.PUBLISH:
                _write(broker, packet)
                continue
            message = Publish.decode(packet, level)
            if message.qos and self._fault.early:
                _write(writer, packets.puback(message.number))
            if seconds := self._fault.delay(message):
                await asyncio.sleep(seconds)
            sent = self._fault.publish(message)
            for one in sent:
                if self._fault.lag:
                    asyncio.get_running_loop().call_later(self._fault.lag, _write, broker, one.packet())
                else:
                    _write(broker, one.packet())
            kept = any(one.number == message.number and one.qos for one in sent)
            if message.qos and not kept and not self._fault.early:
                _write(writer, packets.puback(message.number))

    async def _down(self, broker: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (packet := await packets.read(broker)) is not None:
            own = packet.body[:2] == OWN_NUMBER.to_bytes(2, "big")
            if packet.kind == packets.PUBACK:
                self._fault.acknowledged()
            if packet.kind == packets.PUBACK and (own or self._fault.early):
                continue
            writer.write(packet.encode())
            await writer.drain()


def _write(writer: asyncio.StreamWriter, packet: Packet) -> None:
    """Towards a peer that may have gone: then the bytes are lost, as on any network."""
    if not writer.is_closing():
        writer.write(packet.encode())
