"""A signed report: who stands for it, and that nobody changed it since.

The signature is part of the JSON document. What is signed is the canonical form (RFC 8785) of the document with its
`signature`, in which `value` is left out: so time of signing, algorithm and certificates cannot be exchanged either.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from conformance.reports.canonical import canonical
from conformance.reports.document import DocumentError, parsed, read
from conformance.suite.report import Report

MAX_CHAIN = 8
CLOCKS_APART = timedelta(minutes=5)
"""A signature may be so far in the future: clocks of signer and reader are not the same."""

_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_Public = CertificatePublicKeyTypes
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SignatureError(Exception):
    """It cannot be signed, or the signature does not hold; the text says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds.

    Attributes:
        report: What was signed.
        signer: Subject of the signer's certificate.
        thumbprint: SHA-256 of that certificate, hexadecimal.
        signed: When, by the signer's clock.
        authority: Subject of the authority that the chain ends at.
    """

    report: Report
    signer: str
    thumbprint: str
    signed: datetime
    authority: str


def sign(text: str | bytes, certificates: bytes, key: bytes, now: datetime | None = None) -> str:
    """The document with a signature in place of the one that it may have.

    Args:
        text: The JSON document.
        certificates: PEM: the signer's first, then those between it and the authority.
        key: The signer's, PEM without password.
        now: Time of signing.

    Raises:
        SignatureError: Certificate or key cannot be read, do not belong together, or the certificate is not valid now.
        DocumentError: The text is no report.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    read(text)
    chain, private = _certificates(certificates), _private(key)
    if _spki(private.public_key()) != _spki(chain[0].public_key()):
        raise SignatureError("the key is not that of the certificate")
    _valid_at(chain[0], now)
    body = parsed(text)
    body["signature"] = {
        "algorithm": _algorithm(private.public_key()),
        "signed": now.isoformat().replace("+00:00", "Z"),
        "certificates": [_base64(one.public_bytes(serialization.Encoding.DER)) for one in chain],
    }
    body["signature"]["value"] = _base64(_made(private, canonical(body)))
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def verify(text: str | bytes, authorities: bytes, now: datetime | None = None) -> Signed:
    """Who signed the document.

    Args:
        text: The JSON document.
        authorities: PEM certificates that are trusted.
        now: Time of looking.

    Raises:
        SignatureError: It is not signed, was changed, or the signer is not known to these authorities.
        DocumentError: The text is no report.
    """
    now = now or datetime.now(UTC)
    report = read(text)
    body = parsed(text)
    signature = body.get("signature")
    if not isinstance(signature, dict):
        raise SignatureError("the report is not signed")
    value, chain, signed = _parts(signature)
    if signature.get("algorithm") != _algorithm(chain[0].public_key()):
        raise SignatureError("the signature's algorithm does not fit its certificate")
    unsigned = {**body, "signature": {name: one for name, one in signature.items() if name != "value"}}
    _check(chain[0].public_key(), value, canonical(unsigned))
    if signed > now + CLOCKS_APART:
        raise SignatureError(f"the report says that it was signed in the future, {signed.isoformat()}")
    if signed < report.finished - CLOCKS_APART:
        raise SignatureError("the report says that it was signed before its run ended")
    authority = _authority(chain, _certificates(authorities), signed)
    return Signed(
        report=report,
        signer=chain[0].subject.rfc4514_string(),
        thumbprint=chain[0].fingerprint(hashes.SHA256()).hex().upper(),
        signed=signed,
        authority=authority.subject.rfc4514_string(),
    )


def _parts(signature: dict[str, Any]) -> tuple[bytes, list[x509.Certificate], datetime]:
    try:
        value = base64.b64decode(signature["value"], validate=True)
        ders = [base64.b64decode(one, validate=True) for one in signature["certificates"][:MAX_CHAIN]]
        chain = [x509.load_der_x509_certificate(der) for der in ders]
        signed = datetime.fromisoformat(signature["signed"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise SignatureError(f"the signature cannot be read ({error})") from error
    if not chain or signed.tzinfo is None:
        raise SignatureError("the signature cannot be read (certificate or time zone is missing)")
    return value, chain, signed


def _authority(
    chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], when: datetime
) -> x509.Certificate:
    """The trusted certificate that the chain leads to; each certificate of the way was valid when it was signed."""
    leaf, between = chain[0], [*chain[1:]]
    _may_sign(leaf)
    current, below = leaf, 0
    while below <= MAX_CHAIN:
        _valid_at(current, when)
        if current in trusted:
            return current
        found = [one for one in (*trusted, *between) if _issued(current, one, below)]
        if not found:
            break
        current, below = found[0], below + 1
        if current in between:
            between.remove(current)
    raise SignatureError(f"the signer {leaf.subject.rfc4514_string()} is of no authority that is trusted here")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """`issuer` is an authority that may stand `below` certificates above the leaf's issuer, and signed this one."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
            return False
        usage = _usage(issuer)
        if usage is not None and not usage.key_cert_sign:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _may_sign(certificate: x509.Certificate) -> None:
    usage = _usage(certificate)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise SignatureError(f"the certificate of {certificate.subject.rfc4514_string()} is not made for signatures")


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _valid_at(certificate: x509.Certificate, when: datetime) -> None:
    if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
        name = certificate.subject.rfc4514_string()
        raise SignatureError(f"the certificate of {name} was not valid at the time of signing, {when.isoformat()}")


def _certificates(text: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise SignatureError("no certificate can be read (PEM is expected)") from error


def _private(text: bytes) -> _Key:
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError("the key cannot be read (PEM without a password is expected)") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise SignatureError("the key is of a kind that cannot sign here: RSA, an elliptic curve or Ed25519 can")
    return key


def _spki(public: _Public) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _algorithm(public: _Public) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return "RSA-PSS-SHA256"
    return "ECDSA-SHA256" if isinstance(public, ec.EllipticCurvePublicKey) else "Ed25519"


def _made(key: _Key, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _PSS, hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    return key.sign(data)


def _check(public: _Public, value: bytes, data: bytes) -> None:
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(value, data, _PSS, hashes.SHA256())
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(value, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(value, data)
        else:
            raise SignatureError("the certificate's key is of a kind that cannot sign here")
    except InvalidSignature as error:
        raise SignatureError("the report was changed after it was signed") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


__all__ = ["DocumentError", "SignatureError", "Signed", "sign", "verify"]
