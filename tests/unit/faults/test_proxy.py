"""Each fault of the proxy bites, ends when it should, and is decided by its seed."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.faults.proxy import Proxy

DEADLINE = 10.0


class Echo:
    """Answers every byte; remembers how its connections ended."""

    def __init__(self):
        self.received = bytearray()
        self.ends = []
        self.opened = 0

    async def serve(self, reader, writer):
        self.opened += 1
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
            self.ends.append("fin")
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def echo():
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def proxy(echo):
    async with Proxy(echo.port, seed=7) as made:
        yield made


@contextlib.asynccontextmanager
async def client(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer(streams, data, within=DEADLINE):
    reader, writer = streams
    writer.write(data)
    await writer.drain()
    async with asyncio.timeout(within):
        return await reader.readexactly(len(data))


async def until(condition):
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def silent(streams, data=b"x", seconds=0.3):
    """Whether nothing is answered for so long."""
    with contextlib.suppress(TimeoutError):
        await answer(streams, data, seconds)
        return False
    return True


async def test_without_a_fault_everything_passes(echo, proxy):
    data = bytes(range(256)) * 4000
    async with client(proxy) as streams:
        reader, writer = streams
        writer.write(data)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), DEADLINE) == data
    await until(lambda: echo.ends == ["fin"] and not proxy.connections)
    assert proxy.passed("up") == proxy.passed("down") == len(data)


async def test_delay_with_jitter_keeps_the_order(echo, proxy):
    async with client(proxy) as streams:
        with proxy.delay(0.2, jitter=0.1):
            begin = time.monotonic()
            reader, writer = streams
            for number in range(20):
                writer.write(bytes([number]))
                await asyncio.sleep(0.005)
            assert await asyncio.wait_for(reader.readexactly(20), DEADLINE) == bytes(range(20))
            assert time.monotonic() - begin >= 0.4
        await answer(streams, b"late ones are gone")
        begin = time.monotonic()
        assert await answer(streams, b"fast again") == b"fast again"
        assert time.monotonic() - begin < 0.2


async def test_throttle_in_one_direction(proxy):
    async with client(proxy) as streams:
        with proxy.throttle(50_000, way="down"):
            begin = time.monotonic()
            await answer(streams, bytes(25_000))
            took = time.monotonic() - begin
        assert took >= 0.45
        begin = time.monotonic()
        await answer(streams, bytes(25_000))
        assert time.monotonic() - begin < 0.3


async def test_a_throttled_way_holds_its_writer_up(proxy):
    with proxy.throttle(10_000, way="up"):
        async with client(proxy) as (_, writer):
            writer.write(bytes(12_000_000))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await writer.drain()
            assert proxy.passed("up") < 100_000
            writer.transport.abort()


async def test_corruption_is_decided_by_the_seed(echo):
    seen = []
    for seed in (1, 1, 2):
        echo.received.clear()
        async with Proxy(echo.port, seed=seed) as proxy, client(proxy) as streams:
            with proxy.corrupt(every=100, way="up"):
                seen.append(await answer(streams, bytes(10_000)))
            assert 50 < proxy.corrupted("up") < 200
            assert await answer(streams, b"right") == b"right"
    assert seen[0] == seen[1] != seen[2]
    changed = [byte for byte in seen[0] if byte]
    assert all(byte.bit_count() == 1 for byte in changed)


async def test_partition_keeps_what_it_holds_back(proxy):
    async with client(proxy) as streams:
        reader, _ = streams
        assert await answer(streams, b"before") == b"before"
        with proxy.partition():
            assert await silent(streams, b"meanwhile")
            async with client(proxy) as other:
                assert await silent(other, b"new")
        assert await asyncio.wait_for(reader.readexactly(9), DEADLINE) == b"meanwhile"
        assert await answer(streams, b"after") == b"after"


@pytest.mark.parametrize("way", ["up", "down", "both"])
async def test_black_hole_swallows_and_says_nothing(echo, proxy, way):
    async with client(proxy) as streams:
        assert await answer(streams, b"before") == b"before"
        echo.received.clear()
        with proxy.black_hole(way):
            assert await silent(streams, b"swallowed")
            assert bytes(echo.received) == (b"swallowed" if way == "down" else b"")
            async with client(proxy) as other:
                assert await silent(other, b"new")
        assert proxy.swallowed("down" if way == "down" else "up") > 0
        assert await silent(streams, b"dead for ever")
        assert echo.ends == (["fin"] if way == "down" else [])  # of the other one, on the way that is whole
        async with client(proxy) as fresh:
            assert await answer(fresh, b"new ones work") == b"new ones work"


async def test_a_dead_connection_is_forgotten_when_both_have_left(echo, proxy):
    async with client(proxy) as streams:
        await answer(streams, b"before")
        with proxy.black_hole():
            await silent(streams, b"x", 0.05)
        streams[1].transport.abort()
        await asyncio.sleep(0.1)
        assert proxy.connections == 1
        assert not echo.ends
    assert proxy.reset() == 1
    await until(lambda: echo.ends == ["reset"] and not proxy.connections)


@pytest.mark.parametrize(("how", "told"), [("reset", "reset"), ("finish", "fin")])
async def test_lost_connections_end_for_both(echo, proxy, how, told):
    async with client(proxy) as streams:
        await answer(streams, b"before")
        assert getattr(proxy, how)() == 1
        if told == "fin":
            assert await asyncio.wait_for(streams[0].read(1), DEADLINE) == b""
        else:
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(streams[0].read(1), DEADLINE)
        await until(lambda: echo.ends == [told] and not proxy.connections)
        async with client(proxy) as fresh:
            assert await answer(fresh, b"again") == b"again"


async def test_what_is_delayed_is_lost_with_its_connection(echo, proxy):
    async with client(proxy) as streams:
        await answer(streams, b"before")
        with proxy.delay(0.3, way="up"):
            streams[1].write(b"on its way")
            await asyncio.sleep(0.05)
            proxy.reset()
            await asyncio.sleep(0.4)
    assert bytes(echo.received) == b"before"


async def test_refusing_leaves_open_connections_alone(proxy):
    async with client(proxy) as streams:
        await answer(streams, b"before")
        with proxy.refuse():
            with pytest.raises(ConnectionError):
                async with client(proxy) as other:
                    await answer(other, b"refused")
            assert await answer(streams, b"still") == b"still"


async def test_the_end_of_a_server_reaches_the_client(echo):
    async def farewell(_reader, writer):
        writer.write(b"bye")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(farewell, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy, client(proxy) as (reader, _):
        assert await asyncio.wait_for(reader.read(-1), DEADLINE) == b"bye"
    server.close()
    async with Proxy(server_port := proxy.port) as nobody:
        assert server_port
        with pytest.raises(ConnectionError):
            async with client(nobody) as streams:
                await answer(streams, b"nobody there")
