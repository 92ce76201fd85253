"""Mutants of how a server looks at its clients' certificates."""

# ruff: noqa: ANN401, ARG002 - asyncua's objects come without usable annotations; methods here look away
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from simulators.mutants.device import Apply, DeviceMutant
from simulators.mutants.patching import core, lenient, mutant, patched, processor, session
from simulators.opcua.mended import Processor, Session
from simulators.opcua.services import fault
from simulators.opcua.trust import DistrustError, Trust, first_certificate

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_TRUST = "OPC 10000-4, 6.1.3"


class _Everybody(Trust):
    def check(self, der: bytes) -> x509.Certificate:
        return x509.load_der_x509_certificate(first_certificate(der))


class _Nobody(Trust):
    def check(self, der: bytes) -> x509.Certificate:
        raise DistrustError("BadCertificateUntrusted", f"{len(der)} bytes are not trusted")


class _SentAuthorities(Trust):
    """Whoever sends an authority along is believed."""

    def check(self, der: bytes) -> x509.Certificate:
        own = first_certificate(der)
        if len(own) < len(der):
            return x509.load_der_x509_certificate(own)
        return super().check(der)


class _Learning(Trust):
    """Whoever comes again is believed."""

    def __init__(self, other: Trust) -> None:
        super().__init__(other.places, strict=other.strict)
        self.seen: set[bytes] = set()

    def check(self, der: bytes) -> x509.Certificate:
        own = first_certificate(der)
        if own in self.seen:
            return x509.load_der_x509_certificate(own)
        self.seen.add(own)
        return super().check(der)


class _Direct(Trust):
    """Only certificates that are there themselves."""

    def check(self, der: bytes) -> x509.Certificate:
        found = super().check(der)
        raw = found.public_bytes(Encoding.DER)
        if raw not in {one.public_bytes(Encoding.DER) for one in self._read().trusted}:
            raise DistrustError("BadCertificateUntrusted", "its authority is not followed")
        return found


class _OldDigests(Trust):
    """Clients of a trusted authority, also with a signature that the library has given up."""

    def check(self, der: bytes) -> x509.Certificate:
        found = x509.load_der_x509_certificate(first_certificate(der))
        digest = found.signature_hash_algorithm
        if digest is None or digest.name != "sha1":
            return super().check(der)
        for one in self._read().trusted:
            key = one.public_key()
            if one.subject == found.issuer and isinstance(key, RSAPublicKey):
                key.verify(found.signature, found.tbs_certificate_bytes, padding.PKCS1v15(), digest)
                return found
        return super().check(der)

    def check_application(self, der: bytes) -> x509.Certificate:
        self.lenient |= {"digest"}
        return super().check_application(der)


def trusting(kind: type[Trust]) -> Apply:
    """Looks at client certificates in another way."""
    return patched(lambda server: [(core(server), "trust", kind(server.trust.places, strict=server.trust.strict))])


def _learning(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
    return [(core(server), "trust", _Learning(server.trust))]


class _Talkative(Processor):
    def check_trust(self, der: bytes) -> Any:
        try:
            return self.iserver.trust.check_application(der)
        except DistrustError as found:
            raise fault(found.status) from found


class _AnyReceiver(Processor):
    def check_receiver(self, thumbprint: bytes | None) -> None:
        return


class _AnyUri(Session):
    def check_uri(self, uri: str | None, certificate: Any) -> None:
        return


class _AnyCertificate(Session):
    def check_peer(self, peer: bytes | None, sent: bytes) -> None:
        if not sent:
            super().check_peer(peer, sent)


class _NoCertificate(Session):
    def check_peer(self, peer: bytes | None, sent: bytes) -> None:
        if sent:
            super().check_peer(peer, sent)


MUTANTS: tuple[DeviceMutant, ...] = (
    mutant("refuses-everybody", "Trusted clients are refused",
           "It refuses every client certificate, also those in its trust list.", _TRUST, trusting(_Nobody)),
    mutant("trusts-everybody", "Every client certificate is accepted",
           "It opens channels for certificates that nobody trusts.", _TRUST, trusting(_Everybody)),
    mutant("trusts-sent-authorities", "An authority that the client sends along is trusted",
           "It takes the certificates that come with the client's own for trusted, not for links of a chain.", _TRUST,
           trusting(_SentAuthorities)),
    mutant("learns-certificates", "An unknown client is trusted when it comes again",
           "It puts refused certificates into its trust list by itself; a person has to decide on that.",
           "OPC 10000-12, 7.8", patched(_learning)),
    mutant("tells-why", "A refused client learns why",
           "It answers with the exact reason; an attacker learns what to change. A server answers "
           "BadSecurityChecksFailed.", _TRUST, processor(_Talkative)),
    mutant("follows-no-authority", "A trusted authority's clients are refused",
           "It looks for the client's own certificate in its list and does not follow its issuer.", _TRUST,
           trusting(_Direct)),
    mutant("ignores-end", "Expired certificates are accepted", "It does not look at notAfter.", _TRUST, lenient("end")),
    mutant("ignores-begin", "Certificates that are not valid yet are accepted", "It does not look at notBefore.",
           _TRUST, lenient("begin")),
    mutant("ignores-usage", "KeyUsage is not looked at",
           "It accepts certificates that are not made for signatures.", "OPC 10000-6, 6.2.2", lenient("usage")),
    mutant("ignores-purpose", "ExtendedKeyUsage is not looked at",
           "It accepts a certificate for servers from a client.", "OPC 10000-6, 6.2.2", lenient("purpose")),
    mutant("accepts-authorities", "An authority's certificate is accepted as a client's",
           "It does not look at BasicConstraints.", "OPC 10000-6, 6.2.2", lenient("authority")),
    mutant("accepts-short-keys", "Keys of 1024 bits are accepted",
           "It does not hold the client's key against the policy's least length.", "OPC 10000-7, security policies",
           lenient("key")),
    mutant("accepts-sha1", "Certificates signed with SHA-1 are accepted",
           "It does not hold the certificate's signature against the policy.", "OPC 10000-7, security policies",
           trusting(_OldDigests)),
    mutant("ignores-revocation", "Revoked clients are accepted",
           "It does not look into revocation lists for client certificates.", _TRUST, lenient("revoked")),
    mutant("ignores-revoked-issuers", "Clients of a revoked authority are accepted",
           "It looks for the client's certificate in the lists, but not for its authority's.", _TRUST,
           lenient("issuers")),
    mutant("needs-no-list", "An authority without revocation list is believed",
           "Where no list is there nobody knows whether a certificate was revoked; it goes on all the same.", _TRUST,
           patched(lambda server: [(server.trust, "strict", False)])),
    mutant("ignores-chain", "Certificates that the client sends along are not used",
           "A client whose issuing authority is not installed is refused although it sends what is missing.", _TRUST,
           lenient("sent")),
    mutant("accepts-incomplete", "A chain that ends nowhere is accepted",
           "A certificate whose issuer is not known is believed.", _TRUST, lenient("incomplete", "revoked")),
    mutant("ignores-uri", "The ApplicationUri is not compared",
           "A client may call itself like another application than its certificate does.", _TRUST, session(_AnyUri)),
    mutant("ignores-receiver", "Messages for other receivers are taken",
           "It does not compare the ReceiverCertificateThumbprint with its own certificate.", "OPC 10000-6, 6.7.2.3",
           processor(_AnyReceiver)),
    mutant("certificate-omitted", "CreateSession needs no certificate",
           "It takes CreateSession without ClientCertificate on a secured channel.", "OPC 10000-4, 5.7.2",
           session(_NoCertificate)),
    mutant("certificate-substituted", "CreateSession takes another certificate",
           "It does not compare ClientCertificate with the channel's.", "OPC 10000-4, 5.7.2",
           session(_AnyCertificate)),
)  # fmt: skip
