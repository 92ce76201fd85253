"""The single steps of OPC 10000-4, 6.1.3, after the chain is known; each refuses or returns."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from security.pki.profiles import names_of
from security.revocations import CrlState, crl_state, is_revoked
from security.trust.chain import is_self_signed
from security.trust.verdict import CertificateStatus, Judge, Role

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384
"""Beyond it a verification costs seconds: an attack, not a certificate."""

CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.BrainpoolP256R1, ec.BrainpoolP384R1)
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def check_policy(judge: Judge, chain: Sequence[x509.Certificate]) -> None:
    """Key lengths and hash algorithms of the whole chain (OPC 10000-7, security policies in use)."""
    for certificate in chain:
        found = weakness(certificate)
        if found:
            judge.refuse(
                "BadCertificatePolicyCheckFailed",
                found=f"{certificate.subject.rfc4514_string()} has {found}",
                allowed=f"RSA {MIN_RSA_BITS} to {MAX_RSA_BITS} bits or a curve of 256 bits and more, "
                "signed with SHA-256, SHA-384 or SHA-512",
                action="have the peer's certificate made anew with these",
                waiver="policy",
            )


def weakness(certificate: x509.Certificate) -> str | None:
    """What is too weak about key or signature."""
    try:
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
    except Exception as problem:  # noqa: BLE001 - the library has many errors for odd keys; each means: not usable
        return f"a key or signature that cannot be used ({problem})"
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return f"an RSA key of {key.key_size} bits"
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)):
        return f"a key of kind {type(key).__name__}"
    if not isinstance(algorithm, HASHES):
        return f"a signature with {algorithm.name.upper() if algorithm else 'an unknown hash'}"
    return None


def check_times(judge: Judge, chain: Sequence[x509.Certificate], now: dt.datetime) -> None:
    """Every certificate of the chain is valid now."""
    for position, certificate in enumerate(chain):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if begin <= now <= end:
            continue
        status: CertificateStatus = "BadCertificateIssuerTimeInvalid" if position else "BadCertificateTimeInvalid"
        what = (
            f"expired on {end:%Y-%m-%d %H:%M} UTC" if now > end else f"is not valid before {begin:%Y-%m-%d %H:%M} UTC"
        )
        judge.refuse(
            status,
            found=f"{certificate.subject.rfc4514_string()} {what}",
            allowed=f"a validity that includes {now:%Y-%m-%d %H:%M} UTC",
            action="renew it, or correct the clock of the machine or of this computer",
            waiver="time",
        )


def check_host(judge: Judge, certificate: x509.Certificate, host: str | None) -> None:
    """The host that was dialled stands in the certificate."""
    if host is None or host_matches(certificate, host):
        return
    hosts, _ = names_of(certificate)
    judge.refuse(
        "BadCertificateHostNameInvalid",
        found=f"the certificate is for {', '.join(hosts) or 'no host'}, dialled was {host}",
        allowed="a host that stands in the certificate",
        action="dial one of these names, have the name added to the certificate, or set the waiver host-name",
        waiver="host-name",
    )


def host_matches(certificate: x509.Certificate, host: str) -> bool:
    """Whether `host` (DNS name in any case, or IP address in any spelling) stands in the certificate; no wildcards."""
    hosts, _ = names_of(certificate)
    wanted = host.strip("[]").rstrip(".").lower()
    try:
        address = str(ipaddress.ip_address(wanted.partition("%")[0]))
    except ValueError:
        return wanted in {one.rstrip(".").lower() for one in hosts}
    return address in hosts


def check_uri(judge: Judge, certificate: x509.Certificate, application_uri: str | None) -> None:
    """The ApplicationUri of the description stands in the certificate, character by character."""
    if application_uri is None:
        return
    _, uri = names_of(certificate)
    if uri != application_uri:
        judge.refuse(
            "BadCertificateUriInvalid",
            found=f"the certificate names {uri or 'no ApplicationUri'}, the application calls itself {application_uri}",
            allowed="the same ApplicationUri in both",
            action="have the certificate made for that application, or set the waiver application-uri",
            waiver="application-uri",
        )


def check_usage(judge: Judge, chain: Sequence[x509.Certificate], role: Role) -> None:
    """Key usage and constraints of the leaf (OPC 10000-6, 6.2.2) and of every authority above it."""
    lacking = leaf_usage(chain[0], role)
    if lacking:
        judge.refuse(
            "BadCertificateUseNotAllowed",
            found=lacking,
            allowed="no CA; key usage digitalSignature (RSA applications also nonRepudiation, keyEncipherment, "
            f"dataEncipherment); extended key usage for a {role}",
            action="have the certificate made for its purpose, or set the waiver key-usage",
            waiver="key-usage",
        )
    for depth, certificate in enumerate(chain[1:]):
        lacking = authority_usage(certificate, below=depth)
        if lacking:
            raise judge.error(
                "BadCertificateIssuerUseNotAllowed",
                found=f"{certificate.subject.rfc4514_string()} {lacking}",
                allowed="authorities with CA:TRUE, keyCertSign and a path length that suffices",
                action="have the certificate issued by an authority",
            )


def leaf_usage(certificate: x509.Certificate, role: Role) -> str | None:
    """What the certificate lacks for its role."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        return "it is an authority's certificate (CA:TRUE)"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None:
        return "it has no key usage"
    wanted = {"digitalSignature": usage.digital_signature}
    if role != "user" and isinstance(certificate.public_key(), rsa.RSAPublicKey):
        wanted |= {
            "nonRepudiation": usage.content_commitment,
            "keyEncipherment": usage.key_encipherment,
            "dataEncipherment": usage.data_encipherment,
        }
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        return f"its key usage lacks {', '.join(missing)}"
    if role == "user":
        return None
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    needed = ExtendedKeyUsageOID.SERVER_AUTH if role == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    if extended is None or needed not in extended:
        return f"its extended key usage lacks {'serverAuth' if role == 'server' else 'clientAuth'}"
    return None


def authority_usage(certificate: x509.Certificate, *, below: int) -> str | None:
    """What it lacks to be an authority with `below` intermediate authorities under it."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "is not an authority (no CA:TRUE)"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "may not sign certificates (no keyCertSign)"
    if constraints.path_length is not None and below > constraints.path_length:
        return f"allows {constraints.path_length} authorities below it, there are {below}"
    return None


def check_revocation(
    judge: Judge,
    chain: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    now: dt.datetime,
) -> None:
    """No certificate of the chain is revoked, and that is known; a self-signed one has nobody above to revoke it."""
    for position, certificate in enumerate(chain):
        if is_self_signed(certificate):
            continue
        issuer = chain[position + 1] if position + 1 < len(chain) else None
        name = certificate.subject.rfc4514_string()
        entry = is_revoked(certificate.serial_number, issuer, lists) if issuer else None
        if entry is not None:
            raise judge.error(
                "BadCertificateIssuerRevoked" if position else "BadCertificateRevoked",
                found=f"{name} was revoked on {entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC",
                allowed="certificates that their authority has not revoked",
                action="find out why it was revoked; give the peer a new certificate",
            )
        state = crl_state(issuer, lists, now) if issuer else CrlState.MISSING
        if state is CrlState.USABLE:
            continue
        judge.refuse(
            "BadCertificateIssuerRevocationUnknown" if position else "BadCertificateRevocationUnknown",
            found=f"of {certificate.issuer.rfc4514_string()} there is "
            + ("a revocation list past its next update" if state is CrlState.STALE else "no revocation list"),
            allowed="a list signed by that authority and not past its next update",
            action="put the current list into trusted/crl (or issuers/crl), or set the waiver "
            + ("stale-crl" if state is CrlState.STALE else "missing-crl"),
            waiver="stale-crl" if state is CrlState.STALE else "missing-crl",
        )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
