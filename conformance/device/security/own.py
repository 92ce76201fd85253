"""Rules over the device's own certificate."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from conformance.device.prober import Prober, leaf, uris
from conformance.device.security.table import Rules
from conformance.device.wire.transport import address
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, failed, passed

RULES = Rules()
SHORTEST, LONGEST = 2048, 4096
_OLD = {"md5", "sha1"}


async def certificate(prober: Prober) -> x509.Certificate:
    """The certificate of the endpoint in use.

    Raises:
        TargetError: There is no secured endpoint.
    """
    return x509.load_der_x509_certificate(leaf((await prober.endpoint()).ServerCertificate))


def evidence(found: x509.Certificate) -> Evidence:
    """A certificate as evidence."""
    text = (
        f"{found.subject.rfc4514_string()[:200]}, valid {found.not_valid_before_utc:%Y-%m-%d} to "
        f"{found.not_valid_after_utc:%Y-%m-%d}"
    )
    return Evidence(what="certificate", content=text)


def in_time(found: x509.Certificate, now: datetime) -> Outcome:
    """Valid at this moment."""
    if found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        return passed(f"valid until {found.not_valid_after_utc:%Y-%m-%d}", evidence(found))
    return failed("the device's certificate is not valid now", evidence(found))


def strong(found: x509.Certificate) -> Outcome:
    """Key and signature as the current policies want them."""
    key = found.public_key()
    if not isinstance(key, RSAPublicKey) or not SHORTEST <= key.key_size <= LONGEST:
        size = f"{key.key_size} bits" if isinstance(key, RSAPublicKey) else type(key).__name__
        return failed(f"the device's key is {size}; RSA of {SHORTEST} to {LONGEST} bits is asked for", evidence(found))
    digest = found.signature_hash_algorithm
    if digest is None or digest.name in _OLD:
        return failed(
            f"the device's certificate is signed with {digest.name if digest else 'nothing'}", evidence(found)
        )
    return passed(f"RSA {key.key_size}, {digest.name}", evidence(found))


def fit_for_use(found: x509.Certificate) -> Outcome:
    """KeyUsage, ExtendedKeyUsage and BasicConstraints of a server (OPC 10000-6, 6.2.2)."""
    problems = []
    try:
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
        needed = {
            "digitalSignature": usage.digital_signature,
            "keyEncipherment": usage.key_encipherment,
            "dataEncipherment": usage.data_encipherment,
        }
        problems += [f"KeyUsage has no {name}" for name, there in needed.items() if not there]
    except x509.ExtensionNotFound:
        problems.append("there is no KeyUsage")
    try:
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
            problems.append("ExtendedKeyUsage has no serverAuth")
    except x509.ExtensionNotFound:
        problems.append("there is no ExtendedKeyUsage")
    try:
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca and found.issuer != found.subject:
            problems.append("it is the certificate of an authority")
    except x509.ExtensionNotFound:
        pass  # optional for an application (OPC 10000-6, table 41)
    if problems:
        return failed("; ".join(problems), evidence(found))
    return passed("KeyUsage, ExtendedKeyUsage and BasicConstraints are a server's", evidence(found))


def names_host(found: x509.Certificate, url: str) -> Outcome:
    """The host that was dialled is in SubjectAltName."""
    host = address(url)[0]
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return failed("there is no SubjectAltName", evidence(found))
    hosts = {one.lower() for one in names.get_values_for_type(x509.DNSName)}
    addresses = {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    try:
        there = str(ipaddress.ip_address(host)) in addresses
    except ValueError:
        there = host.lower() in hosts
    if there:
        return passed(f"{host} is in the device's certificate", evidence(found))
    known = ", ".join(sorted(hosts | addresses)) or "none"
    return failed(f"{host} is not in the device's certificate, which names {known[:300]}", evidence(found))


@RULES.add("security.own.time")
async def own_time(prober: Prober, _check: Check) -> Outcome:
    """Valid now."""
    return in_time(await certificate(prober), datetime.now(UTC))


@RULES.add("security.own.strength")
async def own_strength(prober: Prober, _check: Check) -> Outcome:
    """Long key, good signature."""
    return strong(await certificate(prober))


@RULES.add("security.own.usage")
async def own_usage(prober: Prober, _check: Check) -> Outcome:
    """Made for a server."""
    return fit_for_use(await certificate(prober))


@RULES.add("security.own.host")
async def own_host(prober: Prober, _check: Check) -> Outcome:
    """Made for this host."""
    return names_host(await certificate(prober), prober.url)


@RULES.add("security.own.uri")
async def own_uri(prober: Prober, _check: Check) -> Outcome:
    """Made for this application."""
    endpoint = await prober.endpoint()
    stated = endpoint.Server.ApplicationUri
    known = uris(leaf(endpoint.ServerCertificate))
    if known == [stated]:
        return passed(f"{stated} is the certificate's only URI")
    return failed(f"the application calls itself {stated}, its certificate {known or 'nothing'}")
