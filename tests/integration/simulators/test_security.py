from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = (ua.UaError, ConnectionError, TimeoutError)


async def test_endpoints_are_found_without_security_and_all_have_it(stage: Any) -> None:
    endpoints = await Client(stage.url).connect_and_get_server_endpoints()
    assert {endpoint.SecurityMode for endpoint in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}
    assert {endpoint.SecurityPolicyUri.rpartition("#")[2] for endpoint in endpoints} == {
        "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss",
    }  # fmt: skip
    for endpoint in endpoints:
        assert endpoint.Server.ApplicationUri == "urn:example:server"
        assert endpoint.Server.ProductUri == "urn:area4:simulators"
        assert endpoint.EndpointUrl == stage.url
        tokens = {token.TokenType for token in endpoint.UserIdentityTokens}
        assert tokens == {ua.UserTokenType.Certificate, ua.UserTokenType.UserName}


async def test_no_session_without_security(stage: Any) -> None:
    client = Client(stage.url, timeout=10)
    with pytest.raises(REFUSED):
        await client.connect()
    assert not stage.core._external_sessions


@pytest.mark.parametrize(
    "policy", [SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyAes256Sha256RsaPss, SecurityPolicyBasic256Sha256]
)
async def test_each_policy_carries_a_session(stage: Any, connect: Callable[..., Any], policy: Any) -> None:
    client = await connect(stage.url, policy=policy)
    assert await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)).read_value() == 0


async def test_who_is_refused(
    stage: Any,
    connect: Callable[..., Any],
    pki: Any,
    identities: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(REFUSED):
        await connect(stage.url, pki.stranger)
    assert "BadCertificateUntrusted" in caplog.text
    with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
        await connect(stage.url, user=None)  # anonymous
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        await connect(stage.url, password="wrong")
    expired = identities("expired", expired=True)
    (pki.trust / "expired.der").write_bytes(expired.certificate.read_bytes())
    try:
        with pytest.raises(REFUSED):
            await connect(stage.url, expired)
    finally:
        (pki.trust / "expired.der").unlink()
    assert "BadCertificateTimeInvalid" in caplog.text
    liar = type(pki.client)(pki.client.certificate, pki.client.key, "urn:somebody:else")
    with pytest.raises(ua.uaerrors.BadCertificateUriInvalid):
        await connect(stage.url, liar)
    await connect(stage.url)


async def test_a_certificate_in_the_session_must_be_the_channels(
    stage: Any, connect: Callable[..., Any], pki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncua.client.ua_session import UaSession

    original = UaSession.create_session
    for sent in (None, pki.stranger.certificate.read_bytes()):

        async def tampered(self: Any, parameters: Any, sent: bytes | None = sent) -> Any:
            parameters.ClientCertificate = sent
            return await original(self, parameters)

        monkeypatch.setattr(UaSession, "create_session", tampered)
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await connect(stage.url)
        assert not stage.core._external_sessions


async def test_tokens_are_random_and_compared(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    token = client.uaclient.protocol.authentication_token
    assert token.NodeIdType is ua.NodeIdType.ByteString
    assert len(token.Identifier) == 32
    client.uaclient.protocol.authentication_token = ua.NodeId(b"x" * 32, 0, ua.NodeIdType.ByteString)
    with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
        await client.get_namespace_array()
    client.uaclient.protocol.authentication_token = token
    assert await client.get_namespace_array()


async def test_garbage_ends_the_connection(stage: Any) -> None:
    port = int(stage.url.rstrip("/").rpartition(":")[2])
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"HELF\xff\xff\xff\x7f" + b"\0" * 40,
        b"OPNF\x20\x00\x00\x00" + b"\xff" * 24,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        async with asyncio.timeout(20):
            await reader.read()
        writer.close()
    assert await Client(stage.url).connect_and_get_server_endpoints()
