"""From the bytes of a peer to a chain of certificates: parsed, bounded, each signed by the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

MAX_CHAIN_BYTES = 64 * 1024
MAX_PEER_CERTIFICATES = 10
MAX_DEPTH = 8
MAX_SIGNATURE_CHECKS = 64
"""Bounds of what a stranger can make us compute (a chain with loops or many look-alikes)."""

_UNDERSTOOD: tuple[type[x509.ExtensionType], ...] = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier,
)


class MalformedError(ValueError):
    """Bytes that are no certificate chain, for the reason given."""


def parse_chain(data: bytes | Sequence[bytes]) -> list[x509.Certificate]:
    """The certificates of a chain: DER one after the other (OPC 10000-6, 6.2.6), or a list of DER.

    Raises:
        MalformedError: Empty, too large, or a certificate that cannot be decoded.
    """
    parts = split_der(data) if isinstance(data, bytes | bytearray) else list(data)
    if not parts:
        raise MalformedError("no certificate at all")
    if len(parts) > MAX_PEER_CERTIFICATES or sum(map(len, parts)) > MAX_CHAIN_BYTES:
        raise MalformedError(f"more than {MAX_PEER_CERTIFICATES} certificates or {MAX_CHAIN_BYTES} bytes")
    found = []
    for part in parts:
        try:
            certificate = x509.load_der_x509_certificate(bytes(part))
            check_structure(certificate)
        except MalformedError:
            raise
        except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm) as problem:
            raise MalformedError(f"it cannot be decoded ({problem})") from problem
        found.append(certificate)
    return found


def split_der(data: bytes) -> list[bytes]:
    """Split concatenated DER values.

    Raises:
        MalformedError: A length that does not fit.
    """
    if len(data) > MAX_CHAIN_BYTES:
        raise MalformedError(f"{len(data)} bytes, more than {MAX_CHAIN_BYTES}")
    parts: list[bytes] = []
    offset = 0
    while offset < len(data):
        size = _der_size(data, offset)
        if offset + size > len(data) or len(parts) > MAX_PEER_CERTIFICATES:
            raise MalformedError("truncated or endless DER")
        parts.append(data[offset : offset + size])
        offset += size
    return parts


def _der_size(data: bytes, offset: int) -> int:
    """Size with header of the DER SEQUENCE at `offset`."""
    header = data[offset : offset + 2]
    if len(header) < 2 or header[0] != 0x30:
        raise MalformedError("not DER: no SEQUENCE where a certificate should begin")
    if header[1] < 0x80:
        return 2 + header[1]
    count = header[1] & 0x7F
    if not 1 <= count <= 4:
        raise MalformedError("not DER: impossible length")
    return 2 + count + int.from_bytes(data[offset + 2 : offset + 2 + count], "big")


def check_structure(certificate: x509.Certificate) -> None:
    """Version 3, extensions decodable, no critical extension that we do not evaluate (RFC 5280, 4.2).

    Raises:
        MalformedError: One of these.
        ValueError: An extension cannot be decoded.
    """
    if certificate.version is not x509.Version.v3:
        raise MalformedError("an X.509 version other than 3")
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise MalformedError(f"a critical extension that is not supported ({extension.oid.dotted_string})")


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Issuer and subject are one; that the signature fits is checked when the chain is built."""
    return certificate.subject == certificate.issuer


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the signature of `certificate` was made with the key of `issuer`.

    SHA-1, which `verify_directly_issued_by` does not know, is verified too: the policy check names it afterwards.
    """
    try:
        key, algorithm = issuer.public_key(), certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and isinstance(algorithm, hashes.SHA1):
            if certificate.issuer != issuer.subject:
                return False
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
        else:
            certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def may_be_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether names, and key identifiers where both have one, say that `issuer` issued `certificate`."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        wanted = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        offered = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):
        return True
    return wanted is None or wanted == offered


@dataclass(slots=True)
class Search:
    """What a search for a chain found.

    Attributes:
        complete: Chains that end in a self-signed certificate, those with a trusted one first.
        longest: The longest chain that ends without its issuer.
        wrong_signature: An issuer of the right name was there, but the signature is not its own.
    """

    complete: list[tuple[x509.Certificate, ...]] = field(default_factory=list)
    longest: tuple[x509.Certificate, ...] = ()
    wrong_signature: bool = False
    checks: int = 0


def build_chains(leaf: x509.Certificate, pool: Sequence[x509.Certificate]) -> Search:
    """Every chain from `leaf` upwards through `pool`, within the bounds; a certificate appears once in a chain."""
    search = Search()
    unique = list(dict.fromkeys(pool))
    _extend((leaf,), unique, search)
    return search


def _extend(chain: tuple[x509.Certificate, ...], pool: Sequence[x509.Certificate], search: Search) -> None:
    top = chain[-1]
    if is_self_signed(top):
        search.checks += 1
        if signed_by(top, top):
            search.complete.append(chain)
        else:
            search.wrong_signature = True
        return
    if len(chain) > len(search.longest):
        search.longest = chain
    if len(chain) >= MAX_DEPTH:
        return
    for issuer in pool:
        if issuer in chain or not may_be_issuer(top, issuer):
            continue
        if search.checks >= MAX_SIGNATURE_CHECKS:
            return
        search.checks += 1
        if signed_by(top, issuer):
            _extend((*chain, issuer), pool, search)
        else:
            search.wrong_signature = True
