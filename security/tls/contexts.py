"""TLS contexts for MQTT: both sides show a certificate, TLS 1.3 with 1.2 as floor, revocation checked."""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from security.errors import CertificateFileError
from security.pki.folder import PkiFolder
from security.pki.keys import certificate_to_pem
from security.tls.material import TlsFiles, check_own, check_revocations, load_authorities

TlsWaiver = Literal["missing-crl", "host-name", "client-certificate"]
"""What may be left out when the configuration names it: revocation where no authority publishes any list, the
comparison of the host, and our own certificate (as a client) or the demand for the peer's (as a server)."""

MinimumVersion = Literal["1.2", "1.3"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SHA1"
"""TLS 1.2: authenticated encryption with forward secrecy only; TLS 1.3 has nothing else."""


def client_context(
    files: TlsFiles | PkiFolder,
    *,
    waivers: AbstractSet[TlsWaiver] = frozenset(),
    minimum: MinimumVersion = "1.2",
    password: bytes | None = None,
    now: dt.datetime | None = None,
) -> ssl.SSLContext:
    """The context of an MQTT client: shows its own certificate, verifies broker, host and revocation.

    Raises:
        KeyFileError: The own key is missing, too widely readable, encrypted otherwise, or not the certificate's.
        CertificateFileError: A certificate is missing, unreadable, out of date, or not an authority's.
        RevocationListError: Revocation cannot be checked and nobody waived it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = "host-name" not in waivers
    context.verify_mode = ssl.CERT_REQUIRED
    chosen = TlsFiles.of(files) if isinstance(files, PkiFolder) else files
    _fill(context, chosen, waivers, minimum, password, now, own_needed="client-certificate" not in waivers)
    return context


def server_context(
    files: TlsFiles | PkiFolder,
    *,
    waivers: AbstractSet[TlsWaiver] = frozenset(),
    minimum: MinimumVersion = "1.2",
    password: bytes | None = None,
    now: dt.datetime | None = None,
) -> ssl.SSLContext:
    """The context of a broker: demands and verifies the client's certificate; sessions are never resumed unverified.

    Raises:
        KeyFileError: As in `client_context`.
        CertificateFileError: As in `client_context`.
        RevocationListError: As in `client_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_NONE if "client-certificate" in waivers else ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    context.num_tickets = 0  # a resumed session would not be checked against a newer revocation list
    chosen = TlsFiles.of(files) if isinstance(files, PkiFolder) else files
    _fill(context, chosen, waivers, minimum, password, now, own_needed=True)
    return context


def _fill(
    context: ssl.SSLContext,
    files: TlsFiles,
    waivers: AbstractSet[TlsWaiver],
    minimum: MinimumVersion,
    password: bytes | None,
    now: dt.datetime | None,
    *,
    own_needed: bool,
) -> None:
    """What both sides have in common."""
    moment = now or dt.datetime.now(dt.UTC)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if context.verify_mode is not ssl.CERT_NONE:
        _load_trust(context, files, waived="missing-crl" in waivers, now=moment)
    if files.certificate is not None and files.key is not None:
        check_own(files.certificate, files.key, password=password, now=moment)
        # a password is always given: without one OpenSSL would ask on the terminal
        context.load_cert_chain(files.certificate, files.key, password or b"")
    elif own_needed:
        raise CertificateFileError(
            "own certificate",
            found="none is configured",
            allowed="certificate and key: both sides of the connection identify themselves",
            action="configure both, or set the waiver client-certificate",
        )


def _load_trust(context: ssl.SSLContext, files: TlsFiles, *, waived: bool, now: dt.datetime) -> None:
    """Load authorities, intermediates and revocation lists.

    An intermediate authority that is trusted by itself needs OpenSSL's partial chains, and these would make every
    loaded certificate an anchor; the issuers are then left out, for a TLS peer sends its intermediates anyway.
    """
    authorities = load_authorities(files.authorities)
    if not authorities:
        raise CertificateFileError(
            ", ".join(str(place) for place in files.authorities) or "trusted authorities",
            found="no authority is trusted",
            allowed="the certificate of at least one authority",
            action="put the certificate of the authority there that issued the peer's certificate",
        )
    revocations = check_revocations(authorities, files.revocations, waived=waived, now=now)
    anchors = list(authorities)
    if any(one.subject != one.issuer for one in authorities):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        anchors += [one for one in load_authorities(files.issuers) if one.subject != one.issuer]
    context.load_verify_locations(cadata=certificate_to_pem(*anchors).decode("ascii"))
    if revocations:
        _load_lists(context, revocations)
        partial = context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF if partial else ssl.VERIFY_CRL_CHECK_CHAIN


def _load_lists(context: ssl.SSLContext, lists: list[x509.CertificateRevocationList]) -> None:
    """The ssl module takes revocation lists from a PEM file only."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        for one in lists:
            file.write(one.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_verify_locations(cafile=Path(file.name))
