"""Mutant networks: a TCP relay before a broker that is slow, narrow, forgetful or lossy, and a wrong clock."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from simulators.mutants.mutant import Mutant
from simulators.mutants.way import HOST, Before, first_ended

_READ = 16_384
_EPOCH = 2_208_988_800
_BITS = 250_000.0
"""Bits a second of the narrow way."""

FORGED = frozenset({"slow-names", "dead-address", "dead-ipv6", "lossy"})
"""Faults of what the operating system tells: tests replace its answers, no relay can show them."""


@lru_cache
def network_mutants() -> dict[str, Mutant]:
    """By id."""
    text = (files("simulators") / "mutants" / "network.toml").read_text(encoding="utf-8")
    return {row["id"]: Mutant(**row) for row in tomllib.loads(text)["mutant"]}


@dataclass(slots=True)
class Way(Before):
    """A relay to a broker's port, right or with one fault.

    Attributes:
        target: Port of the broker.
        fault: Empty: none.
        host: Of the broker.
    """

    target: int
    fault: str = ""
    host: str = HOST
    _count: int = field(default=0, init=False)

    def bound(self) -> socket.socket:
        """The socket to listen on."""
        raw = super(Way, self).bound()
        if self.fault == "small-packets":
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        return raw

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the broker and back."""
        self._count += 1
        if self.fault == "drops-connections" and self._count % 4 == 0:
            return
        if self.fault == "slow-handshake":
            await asyncio.sleep(1.3)
        there, back = await asyncio.open_connection(self.host, self.target)
        self._open.add(back)
        try:
            await first_ended(self._pipe(reader, back, up=True), self._pipe(there, writer, up=False))
        finally:
            self._open.discard(back)
            back.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        pieces = 0
        while True:
            async with asyncio.timeout(1.0 if self.fault == "forgets-idle" else None):
                data = await reader.read(_READ)
            if not data:
                return
            pieces += 1
            if self.fault == "half-way" and up and len(data) < 30:  # a packet like PINGREQ, in its record
                continue
            await asyncio.sleep(self._wait(len(data), pieces))
            writer.write(data)
            await writer.drain()

    def _wait(self, size: int, pieces: int) -> float:
        if self.fault == "slow":
            return 0.2
        if self.fault == "narrow":
            return size * 8 / _BITS
        return 0.35 if self.fault == "jitter" and pieces % 4 == 0 else 0.0


class TimeServer(asyncio.DatagramProtocol):
    """Answers SNTP (RFC 4330) with this computer's time, or one that is wrong.

    Attributes:
        error: Seconds that its clock is ahead.
        port: Its own, once it is started.
    """

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """End."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a client."""
        if len(data) < 48 or self._transport is None:
            return
        now = time.time() + self.error
        stamp = struct.pack(">II", int(now) + _EPOCH, int(now % 1 * 2**32))
        self._transport.sendto(b"\x24\x01\0\0" + bytes(20) + data[40:48] + stamp + stamp, addr)
