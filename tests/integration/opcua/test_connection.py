from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import struct
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.connection import NonceMemory, open_connection
from adapters.opcua.probe import probe_source
from gateway.errors import ConfigurationError, RefusedError, UnreachableError
from security.pki import Authority, PkiFolder
from security.pki.lab import LabPki
from security.trust import TrustStore

from .conftest import PlainServer, config_of, eventually


def changed(config: OpcUaConfig, **changes: Any) -> OpcUaConfig:
    raw = config.model_dump()
    for key, value in changes.items():
        raw[key] = {**raw[key], **value} if isinstance(value, dict) and isinstance(raw[key], dict) else value
    return OpcUaConfig.model_validate(raw)


async def test_uses_the_strongest_endpoint_and_leaves(plain: PlainServer) -> None:
    connection = await open_connection(config_of(plain), NonceMemory())
    assert connection.endpoint.SecurityPolicyUri.endswith("Aes256_Sha256_RsaPss")
    assert connection.endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
    assert connection.expiry > 0
    await connection.close()


@pytest.mark.parametrize("flaw", ["unknown", "expired", "host", "uri"])
async def test_a_wrong_server_certificate_gets_no_credential(lab: LabPki, tmp_path: Path, flaw: str) -> None:
    trusted = Authority.load(lab.opcua_authority)
    authority = Authority.create(tmp_path / "ca", "Stranger", key_kind="rsa-2048") if flaw == "unknown" else trusted
    hosts = ["elsewhere.example"] if flaw == "host" else ["localhost", "127.0.0.1"]
    uri = "urn:somebody:else" if flaw == "uri" else lab.uris["m1"]
    past: dict[str, Any] = {}
    if flaw == "expired":
        past = {"lifetime": dt.timedelta(seconds=1)}
    issued = authority.issue_application("m1", uri=uri, hosts=hosts, **past)
    folder = PkiFolder(tmp_path / "server")
    issued.install(folder)
    server = PlainServer(lab, certificate=folder.certificate_der, key=folder.key)
    await server.start()
    if flaw == "expired":
        await eventually(lambda: issued.certificate.not_valid_after_utc < dt.datetime.now(dt.UTC))
    try:
        with pytest.raises(RefusedError) as caught:
            await open_connection(config_of(server), NonceMemory())
    finally:
        await server.stop()
    assert server.sessions == 0
    assert server.tokens == []
    assert "no credential was sent" in str(caught.value)
    if flaw == "unknown":
        waiting = TrustStore(lab.gateway_opcua).rejected()
        assert any(one.thumbprint in caught.value.advice for one in waiting)
        assert "area4 pki approve" in caught.value.advice


async def test_a_hidden_endpoint_is_noticed(plain: PlainServer) -> None:
    inner = plain.server.iserver
    complete = inner.get_endpoints

    async def stripped(*args: Any, **named: Any) -> Any:
        found = await complete(*args, **named)
        return found if plain.sessions else [one for one in found if not one.SecurityPolicyUri.endswith("RsaPss")]

    inner.get_endpoints = stripped
    with pytest.raises(RefusedError, match="other endpoints within the secure session"):
        await open_connection(config_of(plain), NonceMemory())
    assert plain.tokens == []


async def test_says_what_is_offered_when_nothing_is_allowed(plain: PlainServer) -> None:
    config = changed(config_of(plain), security={"policies": ["Aes128_Sha256_RsaOaep"]})
    with pytest.raises(RefusedError, match=r"it offers .*Basic256Sha256 sign-and-encrypt"):
        await open_connection(config, NonceMemory())


async def test_says_that_nothing_listens(plain: PlainServer) -> None:
    config = config_of(plain)
    await plain.stop()
    with pytest.raises(UnreachableError, match="nothing listens on that port"):
        await open_connection(config, NonceMemory())


async def test_a_uri_other_than_the_certificate_is_a_configuration_error(plain: PlainServer) -> None:
    config = changed(config_of(plain), security={"application_uri": "urn:other"})
    with pytest.raises(ConfigurationError, match="names urn:area4:lab:gateway"):
        await open_connection(config, NonceMemory())


async def test_probe_names_each_step(plain: PlainServer) -> None:
    steps = [step async for step in probe_source("test", config_of(plain), NonceMemory())]
    assert [step.name for step in steps] == [
        "own certificate and user",
        "host name",
        "network",
        "endpoints",
        "server certificate",
        "secure channel",
        "session and user",
        "machines",
    ]
    assert [step.ok for step in steps] == [True] * 7 + [False]
    assert "no machine was found" in steps[-1].found


@pytest.mark.parametrize(
    "answer",
    [
        struct.pack("<3scI", b"ACK", b"F", 0x7FFFFFFF),
        struct.pack("<3scI", b"MSG", b"F", 5),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_a_server_that_announces_too_much_is_left_at_once(lab: LabPki, answer: bytes) -> None:
    left = asyncio.Event()

    async def rogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        left.set()

    listener = await asyncio.start_server(rogue, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        with pytest.raises(RefusedError, match=r"announced a chunk|does not speak OPC UA"):
            await open_connection(config_of(PlainServer(lab, port=port)), NonceMemory())
        await asyncio.wait_for(left.wait(), 10)
