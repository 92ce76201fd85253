"""Certificates from a plant's own authority: make a request here, install the signed answer here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from security.errors import CertificateFileError, KeyFileError
from security.files import read_file, write_file
from security.pki.authority import write_own
from security.pki.folder import PkiFolder
from security.pki.keys import KeyKind, key_fits, load_certificates, load_key, make_key, save_key
from security.pki.profiles import Profile


def make_request(
    folder: PkiFolder,
    profile: Profile,
    *,
    key_kind: KeyKind | None = None,
    password: bytes | None = None,
    replace: bool = False,
) -> Path:
    """Make a new key and a request for it in `folder.own`; the key in use stays until the answer is installed.

    Raises:
        AlreadyExistsError: A request is waiting already and `replace` is false.
    """
    folder.create()
    key = make_key(key_kind or ("rsa-2048" if profile.purpose in {"application", "user"} else "ec-p256"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(profile.subject())
    for extension, critical in profile.extensions(rsa=isinstance(key, rsa.RSAPrivateKey)):
        builder = builder.add_extension(extension, critical=critical)
    request = builder.sign(key, hashes.SHA256())
    save_key(folder.pending_key, key, password=password, replace=replace)
    return write_file(folder.request, request.public_bytes(serialization.Encoding.PEM), replace=True)


def load_request(path: Path) -> x509.CertificateSigningRequest:
    """The request in `path`, PEM or DER.

    Raises:
        CertificateFileError: Missing, or no request.
    """
    content = read_file(path, what="certificate signing request", error=CertificateFileError)
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_csr(content)
        return x509.load_der_x509_csr(content)
    except ValueError as problem:
        raise CertificateFileError(
            path, found="no certificate signing request", allowed="a request in PEM or DER", action="name the request"
        ) from problem


def install_signed(folder: PkiFolder, answer: Path, *, password: bytes | None = None) -> x509.Certificate:
    """Install the signed certificate in `answer` (with its intermediates, if any) and put the request's key in use.

    Raises:
        KeyFileError: No request is waiting, or the certificate is for another key.
        CertificateFileError: The answer is missing or no certificate.
    """
    chain = load_certificates(answer)
    key = load_key(folder.pending_key, password)
    fitting = [one for one in chain if key_fits(key, one)]
    if not fitting:
        raise KeyFileError(
            answer,
            found="no certificate for the key of the waiting request",
            allowed=f"the answer to {folder.request}",
            action="send that request to the authority and install what it answers",
        )
    save_key(folder.key, key, password=password, replace=True)
    write_own(folder, _in_order(fitting[0], chain))
    folder.pending_key.unlink()
    folder.request.unlink(missing_ok=True)
    return fitting[0]


def _in_order(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf, its issuer, and so on as far as `others` reach, without a self-signed root."""
    chain = [leaf]
    while True:
        above = [
            one for one in others if one.subject == chain[-1].issuer and one.subject != one.issuer and one not in chain
        ]
        if not above:
            return chain
        chain.append(above[0])
