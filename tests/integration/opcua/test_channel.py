"""Our channel on real sockets: every policy, long messages, new tokens while values flow, and somebody in between."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from asyncua import ua

from adapters.opcua import source as source_module
from adapters.opcua.config import OpcUaConfig
from adapters.opcua.endpoints import POLICY_CLASSES
from adapters.opcua.source import OpcUaSource
from gateway.errors import UnreachableError
from security.pki.lab import LabPki

from .conftest import PlainServer, config_of, samples, saw

TYPES = ua.SecurityPolicyType
POLICIES = [
    TYPES.Aes256Sha256RsaPss_SignAndEncrypt,
    TYPES.Aes128Sha256RsaOaep_SignAndEncrypt,
    TYPES.Basic256Sha256_SignAndEncrypt,
    TYPES.Basic256Sha256_Sign,
]
NAMES = {
    "Aes256Sha256RsaPss": "Aes256_Sha256_RsaPss",
    "Aes128Sha256RsaOaep": "Aes128_Sha256_RsaOaep",
    "Basic256Sha256": "Basic256Sha256",
}
LONG = list(range(25_000))
"""As Int64: four chunks of the largest size."""


@pytest.fixture
async def server(lab: LabPki, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PlainServer]:
    """One with every policy; what a source discovers there is all its variables."""
    server = PlainServer(lab, policies=POLICIES)
    await server.start()

    async def discover(*_: object, **__: object) -> object:
        return server.plan()

    monkeypatch.setattr(source_module, "discover", discover)
    yield server
    await server.stop()


@asynccontextmanager
async def reading(server: PlainServer, policy: TYPES = POLICIES[0], port: int = 0) -> AsyncIterator[OpcUaSource]:
    """A source with this policy alone, connected by way of `port`."""
    name, _, mode = policy.name.partition("_")
    raw = config_of(server).model_dump()
    raw["url"] = f"opc.tcp://127.0.0.1:{port or server.port}"
    raw["security"]["policies"] = [NAMES[name]]
    raw["security"]["modes"] = ["sign" if mode == "Sign" else "sign-and-encrypt"]
    raw["waivers"] = ["anonymous-user", *(["sign-only"] if mode == "Sign" else [])]
    source = OpcUaSource("test", OpcUaConfig.model_validate(raw), on_machine=lambda *_: None)
    try:
        await source.connect(None)
        yield source
    finally:
        await source.close()


async def write(server: PlainServer, value: object) -> None:
    data = ua.DataValue(ua.Variant(value, ua.VariantType.Int64))
    await server.server.write_attribute_value(server.variables[0].nodeid, data)


async def read_until(source: OpcUaSource, value: object) -> list[object]:
    """The values of the first signal up to this one, in order."""
    batches = []
    enough = saw(value)  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while not enough([one for batch in batches for one in batch.records]):
            batches.append(await source.read())
            batches[-1].done()
    return [one.value for one in samples(batches)]


async def test_values_arrive_with_every_policy_in_short_and_in_long_messages(server: PlainServer) -> None:
    for number, policy in enumerate(POLICIES):
        async with reading(server, policy) as source:
            assert source._connection is not None
            assert source._connection.endpoint.SecurityPolicyUri == policy_uri(policy)
            await write(server, 10 * number + 1)
            await read_until(source, 10 * number + 1)
            await write(server, LONG)
            await write(server, 10 * number + 2)
            assert (await read_until(source, 10 * number + 2))[-2:] == [LONG, 10 * number + 2]


def policy_uri(policy: TYPES) -> str:
    return POLICY_CLASSES[NAMES[policy.name.partition("_")[0]]].URI


async def test_tokens_are_renewed_while_values_flow(server: PlainServer) -> None:
    async with reading(server) as source:
        await read_until(source, 0)
        connection = source._connection
        assert connection is not None
        secure = connection.client.uaclient.protocol._connection
        before = secure.security_token.TokenId
        written = asyncio.create_task(write_all(server, 60))
        for _ in range(3):
            await connection.client.open_secure_channel(renew=True)
            await asyncio.sleep(0.05)
        assert await read_until(source, 60) == list(range(1, 61))
        await written
        assert secure.security_token.TokenId == before + 3
        assert not connection.lost.is_set()


async def write_all(server: PlainServer, count: int) -> None:
    for number in range(1, count + 1):
        await server.write(number)
        await asyncio.sleep(0.005)


class Between:
    """Passes bytes on; `harm` does something to a message from the server, once it is set."""

    def __init__(self) -> None:
        self.harm: Callable[[bytes], bytes] | None = None
        self.target = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up(reader, far_writer))
                group.create_task(self._down(far_reader, writer))
        except* (OSError, EOFError):
            pass  # one side left
        finally:
            for one in (writer, far_writer):
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        raise EOFError

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(8)
            message = head + await reader.readexactly(struct.unpack_from("<I", head, 4)[0] - 8)
            if self.harm is not None and head.startswith(b"MSG"):
                harm, self.harm = self.harm, None
                message = harm(message)
            writer.write(message)
            await writer.drain()


def changed(message: bytes) -> bytes:
    middle = len(message) // 2
    return message[:middle] + bytes((message[middle] ^ 1,)) + message[middle + 1 :]


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "signature": changed,
    "came after": lambda message: message * 2,
    "security token 0": lambda message: message[:12] + bytes(4) + message[16:],
    "announced a chunk of 70000 bytes": lambda message: message[:4] + struct.pack("<I", 70_000) + message[8:],
}
"""By what the error then says."""


async def test_what_somebody_in_between_does_ends_the_connection(server: PlainServer) -> None:
    between = Between()
    between.target = server.port
    listener = await asyncio.start_server(between.pass_on, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, reading(server, port=port) as source:
        for number, (why, harm) in enumerate(HARMS.items(), 1):
            await server.write(10 * number)
            await read_until(source, 10 * number)
            between.harm = harm
            await server.write(10 * number + 1)
            with pytest.raises(UnreachableError, match=why):
                await read_until(source, "never written")
            assert between.harm is None
            await source.close()
            await source.connect(None)
            assert 10 * number + 1 in await read_until(source, 10 * number + 1)
