"""Who is refused, by whom, with which sentence, and what a rogue broker gets to see: nothing of MQTT."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.mqtt.config import MqttConfig
from gateway.errors import ConfigurationError, RefusedError, UnreachableError
from security.pki import Authority, PkiFolder, trust_authority
from simulators.broker import Access, BrokerFiles, EmbeddedBroker

from .conftest import Deliveries, Lab, SinkMaker, mosquitto, until
from .fake_broker import FakeBroker, fake, handshakes

DAY = dt.timedelta(days=1)


@pytest.fixture
def rogue(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "rogue-ca", "Rogue authority")


def server_files(folder: PkiFolder) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate, folder.key)
    return context


async def refused_by_us(sink_to: SinkMaker, context: ssl.SSLContext, host: str = "127.0.0.1") -> tuple[str, FakeBroker]:
    """The sentence with which the sink refuses the broker of this context, and what that broker saw."""
    async with fake(FakeBroker(), context) as broker:
        sink = sink_to(f"mqtts://{host}:{broker.port}", user={"name": "gateway"})
        with pytest.raises(RefusedError) as caught:
            await sink.connect(Deliveries())
        assert sink.status.state == "refused"
        assert sink.status.reason == str(caught.value)
        await asyncio.sleep(0.2)
        return caught.value.told, broker


async def test_a_broker_of_another_authority_sees_nothing_of_mqtt(
    sink_to: SinkMaker, rogue: Authority, tmp_path: Path
) -> None:
    folder = rogue.issue_server("broker", ["127.0.0.1"]).install(PkiFolder(tmp_path / "rogue"))
    told, broker = await refused_by_us(sink_to, server_files(folder))
    assert "certificate of an unknown authority" in told
    assert "trusted/certs" in told
    assert broker.raw == b""


async def test_a_broker_of_another_name_sees_nothing_of_mqtt(sink_to: SinkMaker, lab: Lab, tmp_path: Path) -> None:
    folder = lab.authority.issue_server("broker", ["broker.example"]).install(PkiFolder(tmp_path / "named"))
    told, broker = await refused_by_us(sink_to, server_files(folder))
    assert "IP address" in told
    assert broker.raw == b""
    told, broker = await refused_by_us(sink_to, server_files(folder), host="localhost")
    assert "another host" in told
    assert broker.raw == b""
    async with fake(FakeBroker(), server_files(folder)) as broker:
        waived = sink_to(f"mqtts://127.0.0.1:{broker.port}", waivers=["host-name"])
        await waived.connect(Deliveries())
        assert waived.status.waivers == ("host-name",)


async def test_a_broker_with_an_expired_certificate_sees_nothing_of_mqtt(sink_to: SinkMaker, tmp_path: Path) -> None:
    old = dt.datetime.now(dt.UTC) - 10 * DAY
    authority = Authority.create(tmp_path / "ca", "Own authority", now=old)
    folder = authority.issue_server("broker", ["127.0.0.1"], lifetime=DAY, now=old).install(PkiFolder(tmp_path / "b"))
    own = authority.issue_client("gateway").install(PkiFolder(tmp_path / "gateway"))
    trust_authority(own, authority, "ca", pem=True)
    async with fake(FakeBroker(), server_files(folder)) as broker:
        with pytest.raises(RefusedError, match="has expired"):
            await sink_to(f"mqtts://127.0.0.1:{broker.port}", own).connect(Deliveries())
        assert broker.raw == b""


async def test_a_revoked_broker_sees_nothing_of_mqtt(sink_to: SinkMaker, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "Own authority")
    issued = authority.issue_server("broker", ["127.0.0.1"])
    folder = issued.install(PkiFolder(tmp_path / "broker"))
    own = authority.issue_client("gateway").install(PkiFolder(tmp_path / "gateway"))
    authority.revoke(issued.certificate.serial_number)
    trust_authority(own, authority, "ca", pem=True)
    async with fake(FakeBroker(), server_files(folder)) as broker:
        with pytest.raises(RefusedError, match="revoked"):
            await sink_to(f"mqtts://127.0.0.1:{broker.port}", own).connect(Deliveries())
        assert broker.raw == b""


async def test_a_port_without_tls_sees_no_mqtt(sink_to: SinkMaker) -> None:
    async with fake(FakeBroker()) as broker:
        with pytest.raises((RefusedError, UnreachableError)):
            await sink_to(f"mqtts://127.0.0.1:{broker.port}", connect_timeout=2.0).connect(Deliveries())
        assert broker.raw.startswith(b"\x16\x03")
        assert b"MQTT" not in broker.raw


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_are_spoken(sink_to: SinkMaker, lab: Lab, version: ssl.TLSVersion) -> None:
    context = server_files(lab.pki.broker)
    context.maximum_version = version
    async with fake(FakeBroker(), context) as broker:
        sink = sink_to(f"mqtts://127.0.0.1:{broker.port}")
        await sink.connect(Deliveries())
        assert sink.status.details["tls"] == version.name.replace("_", ".")
        await sink.close()


@pytest.mark.parametrize(("version", "minimum"), [(ssl.TLSVersion.TLSv1_1, "1.2"), (ssl.TLSVersion.TLSv1_2, "1.3")])
async def test_the_floor_of_tls_is_kept(sink_to: SinkMaker, lab: Lab, version: ssl.TLSVersion, minimum: str) -> None:
    context = server_files(lab.pki.broker)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with handshakes(context) as port, pytest.raises(RefusedError, match="no TLS version in common"):
        await sink_to(f"mqtts://127.0.0.1:{port}", security={"minimum_tls": minimum}).connect(Deliveries())


# The broker refuses us. mosquitto, TLS 1.3 (its refusal comes after the handshake) and TLS 1.2.


async def test_without_certificate_mosquitto_refuses_us(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    async with mosquitto(lab, tmp_path / "b") as broker:
        sink = sink_to(broker.url, security={"certificate": None, "key": None}, waivers=["no-client-certificate"])
        with pytest.raises(RefusedError, match="demands a certificate") as caught:
            await sink.connect(Deliveries())
        assert "configure our certificate" in caught.value.advice
        assert sink.status.state == "refused"


async def test_a_refusal_without_a_word_is_a_refusal_too(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    broker = EmbeddedBroker(tmp_path / "b", lab.files, Access({}))  # asyncio's TLS drops the alert
    await broker.start()
    try:
        sink = sink_to(
            broker.url,
            protocol="3.1.1",
            security={"certificate": None, "key": None},
            waivers=["no-client-certificate"],
        )
        with pytest.raises(RefusedError, match="right after the TLS handshake"):
            await sink.connect(Deliveries())
    finally:
        await broker.stop()


async def test_with_another_authoritys_certificate_mosquitto_refuses_us(
    lab: Lab, tmp_path: Path, sink_to: SinkMaker, rogue: Authority
) -> None:
    stranger = rogue.issue_client("gateway").install(PkiFolder(tmp_path / "stranger"))
    trust_authority(stranger, lab.authority, "mqtt-ca", pem=True)
    async with mosquitto(lab, tmp_path / "b") as broker:
        with pytest.raises(RefusedError, match="does not know the authority of our certificate"):
            await sink_to(broker.url, stranger).connect(Deliveries())


async def test_with_a_revoked_certificate_mosquitto_refuses_us(tmp_path: Path, lab: Lab, sink_to: SinkMaker) -> None:
    authority = Authority.create(tmp_path / "ca", "Own authority")
    server = authority.issue_server("broker", ["127.0.0.1"]).install(PkiFolder(tmp_path / "server"))
    issued = authority.issue_client("gateway")
    client = issued.install(PkiFolder(tmp_path / "client"))
    trust_authority(client, authority, "ca", pem=True)
    files = BrokerFiles(server.certificate, server.key, tmp_path / "ca" / "ca.pem", authority.crl_pem)
    async with mosquitto(lab, tmp_path / "b", files=files) as broker:
        sink = sink_to(broker.url, client)
        await sink.connect(Deliveries())
        assert sink.status.state == "online"
    authority.revoke(issued.certificate.serial_number)
    async with mosquitto(lab, tmp_path / "b", files=replace(files, crl_file=authority.crl_pem)) as broker:
        with pytest.raises(RefusedError, match="our certificate is revoked"):
            await sink_to(broker.url, client).connect(Deliveries())


async def test_our_own_expired_certificate_is_found_before_anything_is_sent(tmp_path: Path, sink_to: SinkMaker) -> None:
    old = dt.datetime.now(dt.UTC) - 10 * DAY
    authority = Authority.create(tmp_path / "ca", "Own authority", now=old)
    expired = authority.issue_client("gateway", lifetime=DAY, now=old).install(PkiFolder(tmp_path / "old"))
    trust_authority(expired, authority, "ca", pem=True)
    with pytest.raises(ConfigurationError, match=r"cert\.pem"):
        await sink_to("mqtts://127.0.0.1:1", expired).connect(Deliveries())


async def test_a_missing_key_is_a_configuration_error(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    sink = sink_to("mqtts://127.0.0.1:1", security={"key": tmp_path / "no.pem"})
    with pytest.raises(ConfigurationError, match=r"no\.pem"):
        await sink.connect(Deliveries())
    sink = sink_to("mqtts://127.0.0.1:1", user={"name": "u", "password_file": tmp_path / "absent"})
    with pytest.raises(ConfigurationError, match="password file"):
        await sink.connect(Deliveries())


async def test_the_status_knows_the_first_certificate_to_end(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    soon = lab.authority.issue_client("gateway", lifetime=2 * DAY)
    folder = soon.install(PkiFolder(tmp_path / "soon"))
    trust_authority(folder, lab.authority, "mqtt-ca", pem=True)
    async with mosquitto(lab, tmp_path / "b") as broker:
        sink = sink_to(broker.url, folder)
        await sink.connect(Deliveries())
        assert sink.status.certificate_expiry == soon.certificate.not_valid_after_utc.timestamp()
        await sink.close()


def test_plaintext_is_impossible_without_its_waiver() -> None:
    with pytest.raises(ValidationError, match='needs "plaintext" in `waivers`'):
        MqttConfig.model_validate({"url": "mqtt://127.0.0.1:1883"})


async def test_plaintext_with_its_waiver_is_named_in_the_status(sink_to: SinkMaker) -> None:
    async with fake(FakeBroker()) as broker:
        from adapters.mqtt.sink import MqttSink

        config = MqttConfig.model_validate({"url": f"mqtt://127.0.0.1:{broker.port}", "waivers": ["plaintext"]})
        sink = MqttSink("hall", config, site="hall3", gateway="gateway", version="0")
        await sink.connect(Deliveries())
        assert sink.status.waivers == ("plaintext",)
        await sink.close()
        await until(lambda: broker.kinds[-1] == 14)
        assert broker.kinds[0] == 1
        assert b'"waivers":["plaintext"]' in broker.raw
