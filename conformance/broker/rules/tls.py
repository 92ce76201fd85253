"""TLS of the listener and the broker's own certificate."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from conformance.broker import hello, wire
from conformance.broker.client import Client
from conformance.broker.link import ClosedError
from conformance.broker.rules.common import came
from conformance.broker.wire import Kind
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, non_strict, passed
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

_TIME_CODES = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_PURPOSE_CODE = 26  # X509_V_ERR_INVALID_PURPOSE
_HOST_CODES = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


async def refuses_offer(target: BrokerTarget, check: Check) -> Outcome:
    """Declines a ClientHello that offers nothing better than `version` and `ciphers`."""
    version = int(check.parameters.get("version", hello.TLS12))
    ciphers = [int(one) for one in check.parameters["ciphers"]]
    access = target.access
    found = await hello.offer(access.host, access.port, version=version, ciphers=ciphers, within=access.patience)
    if found is None:
        return passed(f"declined the offer of {len(ciphers)} cipher suites")
    return failed(
        f"chose cipher suite 0x{found.cipher:04X} in TLS version 0x{found.version:04X}",
        came("bytes", found.raw[:80].hex(" "), "ServerHello"),
    )


async def offers_tls13(target: BrokerTarget, _: Check) -> Outcome:
    """TLS 1.3 can be spoken."""
    try:
        async with await target.dial(tls=ssl.TLSVersion.TLSv1_3) as client:
            chosen = client.transport.get_extra_info("cipher")
    except ClosedError as error:
        return failed(f"no handshake in TLS 1.3: {error}")
    return passed(f"speaks TLS 1.3 with {chosen[0]}")


async def plaintext(target: BrokerTarget, _: Check) -> Outcome:
    """MQTT without TLS gets no CONNACK on the TLS port."""
    answer = await _plain_answer(target, target.access.port)
    return passed(answer) if not answer.startswith("CONNACK") else failed(f"{answer} without TLS")


async def plain_listener(target: BrokerTarget, _: Check) -> Outcome:
    """No other port serves MQTT without TLS."""
    if not target.access.plain_ports:
        return absent("no port was named")
    for port in target.access.plain_ports:
        answer = await _plain_answer(target, port)
        if answer.startswith("CONNACK"):
            return failed(f"port {port}: {answer} without TLS")
    ports = ", ".join(str(one) for one in target.access.plain_ports)
    return passed(f"no MQTT without TLS on {ports}")


async def _plain_answer(target: BrokerTarget, port: int) -> str:
    wait = min(target.access.patience, 5.0)
    try:
        async with await Client.dial(target.access.host, port, None, version=target.version, patience=wait) as client:
            await client.send(wire.connect(target.client_id(), version=target.version))
            packet = await client.packet()
    except TargetError as error:
        return f"no MQTT: {error}"
    return f"CONNACK 0x{packet.body[1]:02X}" if packet.kind == Kind.CONNACK and len(packet.body) > 1 else "no MQTT"


async def compression(target: BrokerTarget, _: Check) -> Outcome:
    """TLS compression is not taken where it is offered."""
    found = await _strong(target, compressions=(1, 0))
    if found is not None and found.compression:
        return failed(f"chose compression method {found.compression}", came("bytes", found.raw[:80].hex(" ")))
    return passed("no compression" if found else "TLS 1.2 is not spoken, and TLS 1.3 has no compression")


async def renegotiation(target: BrokerTarget, _: Check) -> Outcome:
    """Secure renegotiation is signalled (RFC 5746, 3.6): without it a handshake can be spliced."""
    found = await _strong(target)
    if found is None:
        return passed("TLS 1.2 is not spoken, and TLS 1.3 has no renegotiation")
    if hello.RENEGOTIATION_INFO not in found.extensions:
        return failed("no renegotiation_info in the ServerHello", came("bytes", found.raw[:80].hex(" ")))
    return passed("renegotiation_info is in the ServerHello")


async def _strong(target: BrokerTarget, compressions: tuple[int, ...] = (0,)) -> hello.ServerHello | None:
    suites = (0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9)
    access = target.access
    return await hello.offer(
        access.host, access.port, ciphers=suites, compressions=compressions, within=access.patience
    )


async def chain(target: BrokerTarget, _: Check) -> Outcome:
    """The certificate chains to the authorities that were given."""
    error = await _verified(target, host=False)
    if error is None or error.verify_code in {*_TIME_CODES, _PURPOSE_CODE}:
        return passed("the chain verifies")
    return failed(f"the chain does not verify: {error.verify_message}")


async def host(target: BrokerTarget, _: Check) -> Outcome:
    """The host that was dialled stands in the certificate."""
    error = await _verified(target, host=True)
    if error is not None and error.verify_code in _HOST_CODES:
        return failed(f"{error.verify_message}")
    return passed(f"the certificate is for {target.access.host}")


async def validity(target: BrokerTarget, _: Check) -> Outcome:
    """The certificate is valid now, and for a while."""
    certificate = x509.load_der_x509_certificate(target.certificate)
    now = dt.datetime.now(dt.UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    told = came("certificate", f"valid {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    if not begin <= now <= end:
        return failed("the certificate is not valid now", told)
    days = (end - now).days
    if days < 30:
        return non_strict(f"the certificate is valid for {days} days more", told)
    return passed(f"valid for {days} days more", told)


async def strength(target: BrokerTarget, _: Check) -> Outcome:
    """Key and signature are as strong as today is asked for."""
    certificate = x509.load_der_x509_certificate(target.certificate)
    key = certificate.public_key()
    size = key.key_size if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else 256
    least = 2048 if isinstance(key, rsa.RSAPublicKey) else 256
    algorithm = certificate.signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "within the signature"
    words = f"{type(key).__name__.strip('_')} of {size} bits, signature with {name}"
    return failed(words) if size < least or name in {"md5", "sha1"} else passed(words)


async def usage(target: BrokerTarget, _: Check) -> Outcome:
    """The certificate is one for servers, not an authority's."""
    certificate = x509.load_der_x509_certificate(target.certificate)
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return non_strict("no extended key usage: good for anything")
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        return failed("the extended key usage leaves out serverAuth")
    return passed("extended key usage serverAuth")


async def _verified(target: BrokerTarget, *, host: bool) -> ssl.SSLCertVerificationError | None:
    """What OpenSSL has against the broker's certificate."""
    context = ssl.create_default_context(cafile=str(target.access.ca))
    context.check_hostname = host
    context.load_cert_chain(target.access.client.certificate, target.access.client.key, password=b"")
    access = target.access
    try:
        async with asyncio.timeout(access.patience):
            _reader, writer = await asyncio.open_connection(
                access.host, access.port, ssl=context, server_hostname=access.host
            )
    except ssl.SSLCertVerificationError as error:
        return error
    except TimeoutError as error:
        raise TargetError(f"no handshake within {access.patience:g} s") from error
    except OSError as error:
        raise TargetError(f"no handshake: {error}") from error
    writer.transport.abort()
    return None


RULES = {
    "tls.refuses-offer": refuses_offer,
    "tls.offers-1.3": offers_tls13,
    "tls.plaintext": plaintext,
    "tls.plain-listener": plain_listener,
    "tls.compression": compression,
    "tls.renegotiation": renegotiation,
    "tls.chain": chain,
    "tls.host": host,
    "tls.validity": validity,
    "tls.strength": strength,
    "tls.usage": usage,
}
"""By name."""
