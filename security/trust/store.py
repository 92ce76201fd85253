"""Whether a peer's certificate is trusted: the steps of OPC 10000-4, 6.1.3 in their order, fail-closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from security.errors import CertificateFileError
from security.pki.folder import PkiFolder
from security.pki.keys import load_certificates
from security.revocations import load_revocations
from security.tls.material import files_of
from security.trust import checks, quarantine
from security.trust.chain import MAX_DEPTH, MalformedError, Search, build_chains, parse_chain
from security.trust.verdict import (
    QUARANTINED,
    CertificateRefusedError,
    Judge,
    Role,
    Verdict,
    Waiver,
    thumbprint,
    thumbprint_sha256,
)

_Content = TypeVar("_Content")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a trust folder holds now.

    Attributes:
        trusted: Certificates of trusted/certs.
        issuers: Certificates of issuers/certs.
        lists: Revocation lists of both.
        problems: Sentences about files that could not be read; what they held does not count.
    """

    trusted: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    lists: tuple[x509.CertificateRevocationList, ...]
    problems: tuple[str, ...]


class TrustStore:
    """Trust of one application for one protocol; the folder is read at each check, so changes count at once."""

    def __init__(self, folder: PkiFolder) -> None:
        self.folder = folder

    def read(self) -> Contents:
        """What the folder holds now; an unreadable file is left out and named."""
        problems: list[str] = []
        trusted = _read(self.folder.trusted_certs, load_certificates, problems)
        issuers = _read(self.folder.issuers_certs, load_certificates, problems)
        lists = _read(self.folder.trusted_crl, load_revocations, problems)
        lists += _read(self.folder.issuers_crl, load_revocations, problems)
        return Contents(tuple(trusted), tuple(issuers), tuple(lists), tuple(problems))

    def check(
        self,
        chain: bytes | Sequence[bytes],
        *,
        purpose: Role,
        host: str | None = None,
        application_uri: str | None = None,
        waivers: AbstractSet[Waiver] = frozenset(),
        now: dt.datetime | None = None,
        peer: str | None = None,
    ) -> Verdict:
        """Judge a peer's certificate; an unknown one is kept in `rejected/` for a person's decision.

        Args:
            chain: DER of the peer's certificate, followed by its issuers as far as the peer sent them.
            purpose: What the peer is to us.
            host: Host that was dialled, to be found in a server's certificate; None: not compared.
            application_uri: ApplicationUri of the peer's description; None: not compared.
            waivers: What the configuration suppresses by name.
            now: Current time.
            peer: Name for error sentences, for example the endpoint URL; else the certificate's subject.

        Raises:
            CertificateRefusedError: With the OPC UA status name, the cause and what to do.
        """
        moment = now or dt.datetime.now(dt.UTC)
        try:
            sent = parse_chain(chain)
        except MalformedError as problem:
            judge = Judge(peer or "peer", "")
            raise judge.error(
                "BadCertificateInvalid",
                found=f"not a usable certificate: {problem}",
                allowed="an X.509 v3 certificate in DER, followed by its issuers",
                action="repair the peer's certificate",
            ) from problem
        judge = Judge(peer or sent[0].subject.rfc4514_string(), thumbprint(sent[0]), waivers)
        try:
            return self._judge(judge, sent, purpose, host, application_uri, moment)
        except CertificateRefusedError as refusal:
            if refusal.status in QUARANTINED:
                quarantine.keep(self.folder, sent, moment)
            raise

    def _judge(
        self,
        judge: Judge,
        sent: Sequence[x509.Certificate],
        purpose: Role,
        host: str | None,
        application_uri: str | None,
        now: dt.datetime,
    ) -> Verdict:
        """The steps, in the order of the specification's table."""
        contents = self.read()
        search = build_chains(sent[0], [*contents.trusted, *contents.issuers, *sent[1:]])
        chains = _chains(judge, search, contents)
        anchored = [one for one in chains if any(link in contents.trusted for link in one)]
        if not anchored:
            checks.check_policy(judge, chains[0])
            raise judge.error(
                "BadCertificateUntrusted",
                found="neither this certificate nor an authority above it is trusted" + _also(contents),
                allowed=f"certificates in {self.folder.trusted_certs}, or issued by an authority there",
                action=f"compare the thumbprint with the machine, then: area4 pki approve {judge.thumbprint}",
            )
        verdict: Verdict | None = None
        refusal: CertificateRefusedError | None = None
        for chain in anchored:  # cross-signed authorities: one sound chain is enough
            attempt = Judge(judge.subject, judge.thumbprint, judge.waivers, list(judge.waived))
            try:
                _finish(attempt, chain, contents, purpose, host, application_uri, now)
            except CertificateRefusedError as problem:
                refusal = refusal or problem
                continue
            anchor = next(link for link in chain if link in contents.trusted)
            verdict = Verdict(chain, anchor, tuple(attempt.waived))
            break
        if verdict is None:
            assert refusal is not None
            raise refusal
        return verdict

    def approve(self, wanted: str) -> Path:
        """Trust a rejected certificate by its thumbprint (`quarantine.approve`); to be audited by the caller."""
        return quarantine.approve(self.folder, wanted)

    def discard(self, wanted: str) -> quarantine.Rejected:
        """Take a certificate off the list of the rejected ones (`quarantine.discard`)."""
        return quarantine.discard(self.folder, wanted)

    def withdraw(self, wanted: str) -> Path:
        """End the trust in a certificate (`quarantine.withdraw`)."""
        return quarantine.withdraw(self.folder, wanted)

    def rejected(self) -> list[quarantine.Rejected]:
        """Certificates that wait for a decision, the last seen first.

        A connection that was being refused while a person approved may leave a copy behind: it waits for nothing.
        """
        trusted = {thumbprint_sha256(one) for one in self.read().trusted}
        return [one for one in quarantine.list_rejected(self.folder) if one.sha256 not in trusted]


def _finish(
    judge: Judge,
    chain: Sequence[x509.Certificate],
    contents: Contents,
    purpose: Role,
    host: str | None,
    application_uri: str | None,
    now: dt.datetime,
) -> None:
    """The steps after the trust list."""
    checks.check_policy(judge, chain)
    checks.check_times(judge, chain, now)
    checks.check_host(judge, chain[0], host)
    checks.check_uri(judge, chain[0], application_uri)
    checks.check_usage(judge, chain, purpose)
    checks.check_revocation(judge, chain, contents.lists, now)


def _chains(judge: Judge, search: Search, contents: Contents) -> list[tuple[x509.Certificate, ...]]:
    """Complete chains, those with a trusted certificate first; an incomplete one only by its waiver."""
    if search.complete:
        return sorted(search.complete, key=lambda one: not any(link in contents.trusted for link in one))
    if search.wrong_signature:
        raise judge.error(
            "BadCertificateInvalid",
            found="its signature, or one above it, was not made by the issuer that it names" + _also(contents),
            allowed="a chain in which each certificate is signed by the next",
            action="make sure that this is the right peer: the certificate is forged, damaged or of another authority "
            "with the same name",
        )
    top = search.longest[-1]
    judge.refuse(
        "BadCertificateChainIncomplete",
        found=f"the certificate of its issuer {top.issuer.rfc4514_string()} is missing, or the chain is longer than "
        f"{MAX_DEPTH} or runs in a circle" + _also(contents),
        allowed="a chain up to a self-signed root",
        action="put the issuer's certificate into issuers/certs (or trusted/certs, if you trust all that it issues)",
        waiver="incomplete-chain",
    )
    return [search.longest]


def _also(contents: Contents) -> str:
    """A hint at files that did not count."""
    return f" (not counted: {'; '.join(contents.problems)})" if contents.problems else ""


def _read(folder: Path, load: Callable[[Path], list[_Content]], problems: list[str]) -> list[_Content]:
    found: list[_Content] = []
    if not folder.is_dir():
        return found
    for file in files_of(folder):
        try:
            found += load(file)
        except CertificateFileError as problem:
            problems.append(f"{problem.subject}: {problem.found}")
    return found
