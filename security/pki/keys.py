"""Private keys: made, written encrypted or plain, loaded; and certificates read from PEM or DER."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, assert_never

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from security.errors import CertificateFileError, KeyFileError
from security.files import PRIVATE_MODE, check_private, read_file, write_file

KeyKind = Literal["ec-p256", "rsa-2048", "rsa-3072", "rsa-4096"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

RSA_EXPONENT = 65537

_MOST_KNOWN = 8
_KNOWN: dict[bytes, PrivateKeyTypes] = {}
"""Keys that were decoded lately, by the digest of file and password; the oldest leaves."""


def make_key(kind: KeyKind) -> PrivateKey:
    """A fresh private key from the operating system's randomness."""
    match kind:
        case "ec-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "rsa-2048" | "rsa-3072" | "rsa-4096":
            return rsa.generate_private_key(RSA_EXPONENT, int(kind.removeprefix("rsa-")))
        case _:
            assert_never(kind)


def kind_of(key: PrivateKey | PublicKey) -> KeyKind:
    """The kind of key to make for a successor of `key`."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return "ec-p256"
    if key.key_size <= 2048:
        return "rsa-2048"
    return "rsa-3072" if key.key_size <= 3072 else "rsa-4096"


def key_to_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    """PKCS#8 PEM, encrypted if a password is given."""
    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def save_key(path: Path, key: PrivateKey, *, password: bytes | None = None, replace: bool = False) -> Path:
    """Write `key` with mode 0600; an existing key is kept unless `replace` is said."""
    return write_file(path, key_to_pem(key, password), mode=PRIVATE_MODE, replace=replace)


def _parsed(content: bytes, password: bytes | None) -> PrivateKeyTypes:
    """The key in a PEM file. Checking an RSA key takes a tenth of a second: the same one is checked once.

    Raises:
        TypeError: The password is missing, or too much.
        ValueError: It cannot be decoded.
    """
    digest = hashlib.sha256(hashlib.sha256(content).digest() + repr(password).encode()).digest()
    key = _KNOWN.get(digest)
    if key is None:
        key = serialization.load_pem_private_key(content, password)
        while len(_KNOWN) >= _MOST_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[digest] = key
    return key


def load_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """The private key in `path` (PEM), refused when others than its owner may read it.

    Raises:
        KeyFileError: Missing, too widely readable, not PEM, wrong password, or neither RSA nor EC.
    """
    check_private(path)
    content = read_file(path, what="private key", error=KeyFileError)
    allowed = "a private key in PEM (PKCS#8), RSA or EC"
    if b"-----BEGIN" not in content:
        raise KeyFileError(
            path, found="not a PEM file", allowed=allowed, action="convert it: openssl pkey -in FILE -out ..."
        )
    try:
        key = _parsed(content, password)
    except TypeError as problem:
        found = "the key is encrypted and no password is given" if password is None else "a password for an open key"
        raise KeyFileError(
            path,
            found=found,
            allowed="a password exactly if the key is encrypted",
            action="correct the password setting",
        ) from problem
    except ValueError as problem:
        found = "wrong password or damaged key" if password else "the key cannot be decoded"
        raise KeyFileError(path, found=found, allowed=allowed, action="check the password and the file") from problem
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyFileError(
            path, found=f"a key of type {type(key).__name__}", allowed=allowed, action="make another key"
        )
    return key


def public_of(certificate: x509.Certificate) -> PublicKey | None:
    """The certificate's public key if it is RSA or EC."""
    key = certificate.public_key()
    return key if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None


def key_fits(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Whether `key` is the private half of the certificate's key."""
    return key.public_key() == certificate.public_key()


def parse_certificates(content: bytes) -> list[x509.Certificate]:
    """All certificates in PEM or DER `content`, in their order.

    Raises:
        ValueError: There is none, or one cannot be decoded.
    """
    if b"-----BEGIN CERTIFICATE" in content:
        return x509.load_pem_x509_certificates(content)
    return [x509.load_der_x509_certificate(content)]


def load_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates in the file, own certificate first, PEM or DER.

    Raises:
        CertificateFileError: Missing, or no certificate in it.
    """
    content = read_file(path, what="certificate", error=CertificateFileError)
    try:
        return parse_certificates(content)
    except ValueError as problem:
        found = "a private key" if b"PRIVATE KEY-----" in content else "no X.509 certificate (neither PEM nor DER)"
        raise CertificateFileError(
            path,
            found=found,
            allowed="one or more certificates in PEM, or one in DER",
            action="name the certificate file; `openssl x509 -in FILE -text` shows what a file holds",
        ) from problem


def certificate_to_pem(*certificates: x509.Certificate) -> bytes:
    """The certificates one after the other, PEM."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def certificate_to_der(certificate: x509.Certificate) -> bytes:
    """The certificate, DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def common_name(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The subject's common name, or the whole subject where it has none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
