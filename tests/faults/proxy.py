"""A TCP proxy between a client and a server that does to the bytes what bad networks do.

`up` is the way from the client to the server, `down` the way back. Faults hold for the connections that are open and
for those that come while the context lasts:

    async with Proxy(1883, seed=1) as proxy:           # clients connect to proxy.port
        with proxy.delay(0.05, jitter=0.02):
            ...
        with proxy.black_hole("down"):                 # half-open: nobody learns that nothing arrives
            ...
        proxy.reset()                                  # every open connection ends with RST

A proxy acknowledges to TCP what it has read, as far as its small buffers go; where the sender's own TCP timers are
what is tested, use `network.Cable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

Way = Literal["up", "down", "both"]

HOST = "127.0.0.1"
BUFFER = 65_536
"""Bytes of each socket buffer: small, so that a slow reader is felt by the writer soon."""

READ = 16_384
CHUNKS = 16
"""Pieces on their way in one direction of one connection at most."""

SLICES = 20
"""Pieces a second into which a throttled way cuts what it sends."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close means RST


@dataclass
class _Conditions:
    """What one way does to bytes at present."""

    delay: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    corrupt: int = 0
    swallowing: bool = False
    passable: asyncio.Event = field(default_factory=asyncio.Event)
    passed: int = 0
    swallowed: int = 0
    corrupted: int = 0


class Proxy:
    """Listens on a port of its own and passes every connection on.

    Args:
        target: Port of the server.
        host: Of the server.
        seed: Decides jitter and corruption.
        port: To listen on; 0: a free one.
        listen: Address to listen on.
    """

    def __init__(self, target: int, *, host: str = HOST, seed: int = 0, port: int = 0, listen: str = HOST) -> None:
        self.port = port
        self.accepted = 0
        self._listen = listen
        self._target = (host, target)
        self._random = random.Random(seed)
        self._ways = {"up": _Conditions(), "down": _Conditions()}
        for way in self._ways.values():
            way.passable.set()
        self._connections: set[_Connection] = set()
        self._refusing = False
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._shut()
        connections = list(self._connections)
        for connection in connections:
            connection.cut(reset=True)
        await asyncio.gather(*(connection.ended for connection in connections), return_exceptions=True)

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def passed(self, way: Literal["up", "down"]) -> int:
        """Bytes handed on so far."""
        return self._ways[way].passed

    def swallowed(self, way: Literal["up", "down"]) -> int:
        """Bytes that a black hole took."""
        return self._ways[way].swallowed

    def corrupted(self, way: Literal["up", "down"]) -> int:
        """Bytes that were changed."""
        return self._ways[way].corrupted

    # Faults that last.

    @contextmanager
    def delay(self, seconds: float, jitter: float = 0.0, way: Way = "both") -> Iterator[None]:
        """Bytes arrive `seconds` and up to `jitter` more later, in order."""
        with self._set(way, delay=seconds, jitter=jitter):
            yield

    @contextmanager
    def throttle(self, rate: float, way: Way = "both") -> Iterator[None]:
        """At most `rate` bytes a second on each connection."""
        with self._set(way, rate=rate):
            yield

    @contextmanager
    def corrupt(self, every: int, way: Way = "both") -> Iterator[None]:
        """One bit is wrong in about one of `every` bytes."""
        with self._set(way, corrupt=every):
            yield

    @contextmanager
    def partition(self, way: Way = "both") -> Iterator[None]:
        """Nothing passes, neither bytes nor ends of connections; afterwards what waited goes on, as TCP sends again."""
        ways = self._chosen(way)
        for one in ways:
            one.passable.clear()
        try:
            yield
        finally:
            for one in ways:
                one.passable.set()

    @contextmanager
    def black_hole(self, way: Way = "both") -> Iterator[None]:
        """Half-open: bytes vanish and connections stay.

        Connections that were open, or came meanwhile, stay dead afterwards, as behind a router that forgot them;
        new ones work.
        """
        ways = self._chosen(way)
        for one in ways:
            one.swallowing = True
        for connection in self._connections:
            connection.deaden(way)
        try:
            yield
        finally:
            for one in ways:
                one.swallowing = False

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """New connections end with RST at once; those that are open go on."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    # Faults of a moment.

    def reset(self) -> int:
        """End every open connection with RST to both sides, what is on its way is lost; how many there were."""
        return self._cut(reset=True)

    def finish(self) -> int:
        """End every open connection with FIN to both sides, what is on its way is lost; how many there were."""
        return self._cut(reset=False)

    def _cut(self, *, reset: bool) -> int:
        connections = list(self._connections)
        for connection in connections:
            connection.cut(reset=reset)
        return len(connections)

    def _chosen(self, way: Way) -> list[_Conditions]:
        return list(self._ways.values()) if way == "both" else [self._ways[way]]

    @contextmanager
    def _set(self, way: Way, **values: float) -> Iterator[None]:
        chosen = self._chosen(way)
        before = [{name: getattr(one, name) for name in values} for one in chosen]
        for one in chosen:
            for name, value in values.items():
                setattr(one, name, value)
        try:
            yield
        finally:
            for one, old in zip(chosen, before, strict=True):
                for name, value in old.items():
                    setattr(one, name, value)

    def _open(self) -> None:
        made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # inherited by what is accepted
        made.bind((self._listen, self.port))
        made.listen(100)
        self.port = made.getsockname()[1]
        self._socket = made
        self._accepting = asyncio.create_task(self._accept(made), name=f"proxy {self.port}")

    async def _shut(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            self.accepted += 1
            if self._refusing:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
                continue
            connection = _Connection(client, self._target, self._ways, self._random)
            self._connections.add(connection)
            connection.ended.add_done_callback(lambda _, one=connection: self._connections.discard(one))


class _Connection:
    """One client and its connection to the server."""

    def __init__(
        self, client: socket.socket, target: tuple[str, int], ways: dict[str, _Conditions], randomly: random.Random
    ) -> None:
        self._client = _prepared(client)
        self._server: socket.socket | None = None
        self._target = target
        self._ways = ways
        self._random = randomly
        self._dead = {name for name, way in ways.items() if way.swallowing}
        self._left: set[str] = set()
        self._reset: bool | None = None
        self.ended = asyncio.create_task(self._run(), name=f"proxied to {target[1]}")

    def deaden(self, way: Way) -> None:
        """Swallow what goes this way from now on."""
        self._dead |= {"up", "down"} if way == "both" else {way}

    def cut(self, *, reset: bool) -> None:
        """End it now, towards both sides."""
        self._reset = reset
        self.ended.cancel()

    async def _run(self) -> None:
        reset = True
        try:
            await self._ways["up"].passable.wait()
            if "up" not in self._dead:
                self._server = _prepared(socket.socket())
                await asyncio.get_running_loop().sock_connect(self._server, self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass("up", self._client, self._server))
                if self._server is not None:
                    group.create_task(self._pass("down", self._server, self._client))
            reset = False
        except* OSError:
            reset = True  # whoever reset it, the other side learns it in the same way
        except* asyncio.CancelledError:
            reset = bool(self._reset) if self._reset is not None else True
        finally:
            for sock in (self._client, self._server):
                if sock is not None:
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    sock.close()

    async def _pass(self, name: str, source: socket.socket, drain: socket.socket | None) -> None:
        """One way: read here, send after its delay there; the end of the stream is passed on like bytes."""
        loop = asyncio.get_running_loop()
        way = self._ways[name]
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS)
        sender = asyncio.create_task(self._send(name, line, drain), name=f"proxy sends {name}")
        due = 0.0
        try:
            while True:
                data = await self._read(name, source)
                due = max(due, loop.time() + way.delay + self._random.random() * way.jitter)
                if sender.done():
                    break
                await line.put((due, data))
                if not data:
                    break
            await sender
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _read(self, name: str, source: socket.socket) -> bytes:
        """Bytes, or none at the end; a reset by one side of a dead connection is never learnt by the other."""
        try:
            return await asyncio.get_running_loop().sock_recv(source, READ)
        except OSError:
            if self._dead:
                await self._unnoticed(name)
            raise

    async def _unnoticed(self, name: str) -> None:
        """One side of a dead connection has left, which the other never learns; when both have left it is over."""
        self._left.add(name)
        if self._left == {"up", "down"} or self._server is None:
            self.cut(reset=True)
        await asyncio.Event().wait()

    async def _send(self, name: str, line: asyncio.Queue[tuple[float, bytes]], drain: socket.socket | None) -> None:
        loop = asyncio.get_running_loop()
        way = self._ways[name]
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await way.passable.wait()
            if name in self._dead or drain is None:
                way.swallowed += len(data)
                if not data:
                    await self._unnoticed(name)
                continue
            if not data:
                with contextlib.suppress(OSError):  # it may have left already
                    drain.shutdown(socket.SHUT_WR)
                return
            for piece in self._pieces(way, data):
                await loop.sock_sendall(drain, piece)
                way.passed += len(piece)
                if way.rate:
                    await asyncio.sleep(len(piece) / way.rate)

    def _pieces(self, way: _Conditions, data: bytes) -> list[bytes]:
        if way.corrupt:
            data = self._spoilt(way, data)
        size = max(1, int(way.rate / SLICES)) if way.rate else len(data)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _spoilt(self, way: _Conditions, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for position in range(len(spoilt)):
            if self._random.random() * way.corrupt < 1:
                spoilt[position] ^= 1 << self._random.randrange(8)
                way.corrupted += 1
        return bytes(spoilt)


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return sock
