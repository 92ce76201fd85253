"""Every refusal of OPC 10000-4, 6.1.3, with certificates made here."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.errors import ParameterError
from security.files import write_file
from security.pki import Authority, Issued, PkiFolder
from security.pki.keys import certificate_to_der
from security.pki.profiles import make_key_usage
from security.trust import CertificateRefusedError, TrustStore, Verdict, thumbprint, thumbprint_sha256
from security.trust.quarantine import MAX_REJECTED

DAY = dt.timedelta(days=1)
URI = "urn:test:machine"

Issue = Callable[..., Issued]
Put = Callable[..., None]


def der(*chain: x509.Certificate) -> list[bytes]:
    return [certificate_to_der(one) for one in chain]


@pytest.fixture
def check(folder: PkiFolder, now: dt.datetime) -> Callable[..., Verdict]:
    def run(*chain: x509.Certificate, **options: object) -> Verdict:
        return TrustStore(folder).check(
            der(*chain),
            **{"purpose": "server", "host": "machine.example", "application_uri": URI, "now": now, **options},
        )

    return run


@pytest.fixture
def refused(check: Callable[..., Verdict]) -> Callable[..., CertificateRefusedError]:
    def run(*chain: x509.Certificate, **options: object) -> CertificateRefusedError:
        with pytest.raises(CertificateRefusedError) as caught:
            check(*chain, **options)
        return caught.value

    return run


class Shaper:
    """Certificates that no authority of ours would issue."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def make(
        self,
        name: str,
        *,
        issuer: tuple[x509.Name, object] | None = None,
        key: object | None = None,
        public: object | None = None,
        ca: bool | None = False,
        usage: x509.KeyUsage | None = None,
        extended: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,),
        uri: str | None = URI,
        serial: int | None = None,
        extra: x509.ExtensionType | None = None,
        path_length: int | None = None,
    ) -> tuple[x509.Certificate, object]:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer_name, issuer_key = issuer or (subject, key)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name)
        builder = builder.public_key(public or key.public_key()).serial_number(serial or x509.random_serial_number())
        builder = builder.not_valid_before(self.now - DAY).not_valid_after(self.now + 30 * DAY)
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        if uri:
            names = [x509.UniformResourceIdentifier(uri), x509.DNSName("machine.example")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if extra:
            builder = builder.add_extension(extra, critical=True)
        return builder.sign(issuer_key, hashes.SHA256()), key


ALL_BITS = make_key_usage(
    digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True
)


@pytest.fixture
def shaper(now: dt.datetime) -> Shaper:
    return Shaper(now)


def trust(folder: PkiFolder, *certificates: x509.Certificate) -> None:
    for one in certificates:
        write_file(folder.trusted_certs / f"{thumbprint(one)}.der", certificate_to_der(one), replace=True)


def test_certificate_of_a_trusted_authority_is_accepted(
    root: Authority, issue: Issue, put: Put, check: Callable
) -> None:
    put(root, "trusted")
    leaf = issue(root).certificate
    verdict = check(leaf)
    assert verdict.chain == (leaf, root.certificate)
    assert verdict.anchor == root.certificate
    assert verdict.waived == ()


def test_concatenated_der_is_a_chain(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, now: dt.datetime
) -> None:
    put(root, "trusted")
    leaf = issue(root).certificate
    verdict = TrustStore(folder).check(b"".join(der(leaf, root.certificate)), purpose="client", now=now)
    assert verdict.certificate == leaf


def test_self_signed_peer_trusted_by_itself_needs_no_list(shaper: Shaper, folder: PkiFolder, check: Callable) -> None:
    leaf, _ = shaper.make("machine", usage=ALL_BITS)
    trust(folder, leaf)
    assert check(leaf).anchor == leaf


def test_directly_trusted_leaf_with_its_authority_as_issuer(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, check: Callable, refused: Callable
) -> None:
    put(root, "issuers")
    trusted, other = issue(root).certificate, issue(root).certificate
    trust(folder, trusted)
    assert check(trusted).anchor == trusted
    assert refused(other).status == "BadCertificateUntrusted"


@pytest.mark.parametrize(
    ("intermediate", "top", "status"),
    [
        ("peer", "trusted", None),
        ("issuers", "trusted", None),
        ("trusted", "issuers", None),
        ("nowhere", "trusted", "BadCertificateChainIncomplete"),
        ("issuers", "issuers", "BadCertificateUntrusted"),
        ("peer", "peer", "BadCertificateUntrusted"),
        ("trusted", "nowhere", "BadCertificateChainIncomplete"),
    ],
)
def test_placements_of_an_intermediate(
    tmp_path: Path,
    root: Authority,
    issue: Issue,
    put: Put,
    folder: PkiFolder,
    check: Callable,
    now: dt.datetime,
    intermediate: str,
    top: str,
    status: str | None,
) -> None:
    middle = Authority.create(tmp_path / "middle", "Test intermediate", issuer=root, path_length=0, now=now)
    for authority, where in ((middle, intermediate), (root, top)):
        if where in {"trusted", "issuers"}:
            put(authority, where)
    write_file(folder.issuers_crl / "middle.der", middle.crl_der.read_bytes(), replace=True)
    leaf = issue(middle).certificate
    chain = [leaf]
    if intermediate == "peer":
        chain.append(middle.certificate)
    if top == "peer":
        chain.append(root.certificate)
    if status is None:
        assert check(*chain).chain == (leaf, middle.certificate, root.certificate)
        return
    with pytest.raises(CertificateRefusedError) as caught:
        check(*chain)
    assert caught.value.status == status
    assert TrustStore(folder).rejected()[0].thumbprint == thumbprint(leaf)


def test_incomplete_chain_waived_still_needs_an_anchor(
    tmp_path: Path, root: Authority, issue: Issue, put: Put, check: Callable, refused: Callable, now: dt.datetime
) -> None:
    middle = Authority.create(tmp_path / "middle", "Test intermediate", issuer=root, now=now)
    leaf = issue(middle).certificate
    assert refused(leaf, waivers={"incomplete-chain"}).status == "BadCertificateUntrusted"
    put(middle, "trusted")
    assert refused(leaf, waivers={"incomplete-chain"}).status == "BadCertificateIssuerRevocationUnknown"
    verdict = check(leaf, waivers={"incomplete-chain", "missing-crl"})
    assert [one.waiver for one in verdict.waived] == ["incomplete-chain", "missing-crl"]


def test_foreign_authority_of_the_same_name(
    tmp_path: Path, root: Authority, issue: Issue, put: Put, shaper: Shaper, refused: Callable, now: dt.datetime
) -> None:
    put(root, "trusted")
    foreign = Authority.create(tmp_path / "foreign", "Test root", now=now)
    leaf = issue(foreign).certificate
    assert refused(leaf).status == "BadCertificateChainIncomplete"
    assert refused(leaf, foreign.certificate).status == "BadCertificateUntrusted"
    unmarked, _ = shaper.make("machine", issuer=(root.certificate.subject, ec.generate_private_key(ec.SECP256R1())))
    refusal = refused(unmarked)
    assert refusal.status == "BadCertificateInvalid"
    assert "same name" in refusal.action


@pytest.mark.parametrize(
    ("moment", "status"),
    [(800, "BadCertificateTimeInvalid"), (-3, "BadCertificateTimeInvalid"), (4000, "BadCertificateTimeInvalid")],
)
def test_outside_of_its_validity(
    root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime, moment: int, status: str
) -> None:
    put(root, "trusted")
    refusal = refused(issue(root).certificate, now=now + moment * DAY)
    assert refusal.status == status
    assert "clock" in refusal.action


def test_expired_issuer(
    tmp_path: Path, issue: Issue, put: Put, shaper: Shaper, refused: Callable, check: Callable, now: dt.datetime
) -> None:
    old = Authority.create(tmp_path / "old", "Old root", lifetime=DAY, now=now)
    put(old, "trusted")
    leaf, _ = shaper.make("machine", issuer=(old.certificate.subject, old._key), usage=ALL_BITS)
    assert refused(leaf, now=now + 2 * DAY).status == "BadCertificateIssuerTimeInvalid"
    waived = check(leaf, now=now + 2 * DAY, waivers={"time"}).waived
    assert [one.status for one in waived] == ["BadCertificateIssuerTimeInvalid"]


@pytest.mark.parametrize("host", ["machine.example", "MACHINE.example.", "192.0.2.7", "[2001:DB8:0::7]"])
def test_host_in_any_spelling(root: Authority, issue: Issue, put: Put, check: Callable, host: str) -> None:
    put(root, "trusted")
    assert check(issue(root).certificate, host=host).waived == ()


@pytest.mark.parametrize("host", ["other.example", "192.0.2.8", "example", "machine.example.attacker.example"])
def test_other_host(root: Authority, issue: Issue, put: Put, check: Callable, refused: Callable, host: str) -> None:
    put(root, "trusted")
    leaf = issue(root).certificate
    refusal = refused(leaf, host=host)
    assert refusal.status == "BadCertificateHostNameInvalid"
    assert host in refusal.found
    assert check(leaf, host=host, waivers={"host-name"}).waived[0].status == "BadCertificateHostNameInvalid"


@pytest.mark.parametrize("uri", ["urn:test:other", "URN:test:machine", ""])
def test_other_application_uri(root: Authority, issue: Issue, put: Put, refused: Callable, uri: str) -> None:
    put(root, "trusted")
    assert refused(issue(root).certificate, application_uri=uri).status == "BadCertificateUriInvalid"


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ({"ca": True, "usage": ALL_BITS}, "CA:TRUE"),
        ({"usage": None}, "no key usage"),
        ({"usage": make_key_usage(key_encipherment=True)}, "digitalSignature"),
        ({"usage": ALL_BITS, "extended": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "serverAuth"),
        ({"usage": ALL_BITS, "extended": ()}, "serverAuth"),
    ],
)
def test_wrong_usage(shaper: Shaper, folder: PkiFolder, refused: Callable, shape: dict, sentence: str) -> None:
    leaf, _ = shaper.make("machine", **shape)
    trust(folder, leaf)
    refusal = refused(leaf)
    assert refusal.status == "BadCertificateUseNotAllowed"
    assert sentence in refusal.found


def test_rsa_application_without_encipherment(shaper: Shaper, folder: PkiFolder, refused: Callable) -> None:
    key = rsa.generate_private_key(65537, 2048)
    leaf, _ = shaper.make("machine", key=key, usage=make_key_usage(digital_signature=True))
    trust(folder, leaf)
    assert "nonRepudiation, keyEncipherment, dataEncipherment" in refused(leaf).found


def test_an_application_is_no_authority(shaper: Shaper, folder: PkiFolder, refused: Callable) -> None:
    application, key = shaper.make("trusted application", usage=ALL_BITS)
    trust(folder, application)
    leaf, _ = shaper.make("machine", issuer=(application.subject, key), usage=ALL_BITS)
    assert refused(leaf, waivers={"missing-crl"}).status == "BadCertificateIssuerUseNotAllowed"


def test_path_length(tmp_path: Path, issue: Issue, put: Put, refused: Callable, now: dt.datetime) -> None:
    top = Authority.create(tmp_path / "top", "Top", path_length=0, now=now)
    middle = Authority.create(tmp_path / "middle", "Middle", issuer=top, now=now)
    put(top, "trusted")
    put(middle, "issuers")
    assert refused(issue(middle).certificate).status == "BadCertificateIssuerUseNotAllowed"


def test_revoked_leaf(root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime) -> None:
    leaf = issue(root).certificate
    root.revoke(leaf, reason=x509.ReasonFlags.key_compromise, now=now)
    put(root, "trusted")
    assert refused(leaf).status == "BadCertificateRevoked"
    every = {
        "policy",
        "time",
        "host-name",
        "application-uri",
        "key-usage",
        "missing-crl",
        "stale-crl",
        "incomplete-chain",
    }
    assert refused(leaf, waivers=every).status == "BadCertificateRevoked"


def test_revoked_issuer(
    tmp_path: Path, root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime
) -> None:
    middle = Authority.create(tmp_path / "middle", "Test intermediate", issuer=root, now=now)
    root.revoke(middle.certificate, now=now)
    put(root, "trusted")
    put(middle, "issuers")
    assert refused(issue(middle).certificate).status == "BadCertificateIssuerRevoked"


def test_missing_list(root: Authority, issue: Issue, put: Put, check: Callable, refused: Callable) -> None:
    put(root, "trusted", crl=False)
    leaf = issue(root).certificate
    assert refused(leaf).status == "BadCertificateRevocationUnknown"
    assert refused(leaf, waivers={"stale-crl"}).status == "BadCertificateRevocationUnknown"
    assert [one.waiver for one in check(leaf, waivers={"missing-crl"}).waived] == ["missing-crl"]


def test_missing_list_of_the_issuers_issuer(
    tmp_path: Path, root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime
) -> None:
    middle = Authority.create(tmp_path / "middle", "Test intermediate", issuer=root, now=now)
    put(root, "trusted", crl=False)
    put(middle, "issuers")
    assert refused(issue(middle).certificate).status == "BadCertificateIssuerRevocationUnknown"


def test_stale_list(
    root: Authority, issue: Issue, put: Put, check: Callable, refused: Callable, now: dt.datetime
) -> None:
    put(root, "trusted")
    later = now + 91 * DAY
    leaf = issue(root).certificate
    refusal = refused(leaf, now=later)
    assert refusal.status == "BadCertificateRevocationUnknown"
    assert "next update" in refusal.found
    assert refused(leaf, now=later, waivers={"missing-crl"}).status == "BadCertificateRevocationUnknown"
    assert check(leaf, now=later, waivers={"stale-crl"}).waived[0].waiver == "stale-crl"


def test_stale_list_still_revokes(root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime) -> None:
    leaf = issue(root).certificate
    root.revoke(leaf, now=now)
    put(root, "trusted")
    assert refused(leaf, now=now + 91 * DAY, waivers={"stale-crl"}).status == "BadCertificateRevoked"


def test_list_of_a_foreign_authority_with_the_same_serial_does_not_revoke(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, check: Callable, forge_list: Callable
) -> None:
    put(root, "trusted")
    leaf = issue(root).certificate
    foreign = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other authority")])
    content = forge_list(foreign, ec.generate_private_key(ec.SECP256R1()), [leaf.serial_number])
    write_file(folder.trusted_crl / "foreign.der", content)
    assert check(leaf).certificate == leaf


def test_forged_list_neither_revokes_nor_clears(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, check: Callable, refused: Callable, forge_list: Callable
) -> None:
    leaf = issue(root).certificate
    stranger = ec.generate_private_key(ec.SECP256R1())
    put(root, "trusted", crl=False)
    forged = folder.trusted_crl / "forged.der"
    write_file(forged, forge_list(root.certificate.subject, stranger, []))
    assert refused(leaf).status == "BadCertificateRevocationUnknown"
    write_file(forged, forge_list(root.certificate.subject, stranger, [leaf.serial_number]), replace=True)
    put(root, "trusted")
    assert check(leaf).certificate == leaf


def test_unreadable_list_counts_as_missing_and_is_named(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, refused: Callable
) -> None:
    put(root, "trusted", crl=False)
    write_file(folder.trusted_crl / "broken.crl", b"no list")
    assert refused(issue(root).certificate).status == "BadCertificateRevocationUnknown"
    assert "broken.crl" in TrustStore(folder).read().problems[0]


def openssl(*arguments: str | Path, cwd: Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-newkey", "rsa:1024", "-sha256"], "RSA key of 1024 bits"),
        (["-newkey", "rsa:2048", "-sha1"], "signature with SHA1"),
    ],
)
def test_weak_key_or_hash(
    tmp_path: Path, folder: PkiFolder, now: dt.datetime, options: list[str], sentence: str
) -> None:
    openssl(
        "req", "-x509", *options, "-nodes", "-subj", "/CN=machine", "-days", "30", "-outform", "DER",
        "-out", "weak.der", "-keyout", "weak.key",
        "-addext", f"subjectAltName=URI:{URI},DNS:machine.example",
        "-addext", "keyUsage=digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment",
        "-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext", "basicConstraints=critical,CA:FALSE",
        cwd=tmp_path,
    )  # fmt: skip
    content = (tmp_path / "weak.der").read_bytes()
    write_file(folder.trusted_certs / "weak.der", content)
    moment = x509.load_der_x509_certificate(content).not_valid_before_utc + DAY
    with pytest.raises(CertificateRefusedError) as caught:
        TrustStore(folder).check(content, purpose="server", now=moment)
    assert caught.value.status == "BadCertificatePolicyCheckFailed"
    assert sentence in caught.value.found
    verdict = TrustStore(folder).check(content, purpose="server", now=moment, waivers={"policy"})
    assert verdict.waived[0].waiver == "policy"


def test_loop_of_authorities_ends(shaper: Shaper, refused: Callable) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"loop {one}")]) for one in range(2)]
    first, _ = shaper.make("loop 0", key=keys[0], issuer=(names[1], keys[1]), ca=True, uri=None)
    second, _ = shaper.make("loop 1", key=keys[1], issuer=(names[0], keys[0]), ca=True, uri=None)
    leaf, _ = shaper.make("machine", issuer=(names[0], keys[0]), usage=ALL_BITS)
    assert refused(leaf, first, second).status == "BadCertificateChainIncomplete"


def test_many_look_alikes_are_bounded(shaper: Shaper, refused: Callable) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twin 0")])
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twin 1")])
    twins = [
        shaper.make(f"twin {one % 2}", key=key, issuer=((other, name)[one % 2], key), ca=True, uri=None)[0]
        for one in range(9)
    ]
    leaf, _ = shaper.make("machine", issuer=(name, key), usage=ALL_BITS)
    assert refused(leaf, *twins).status == "BadCertificateChainIncomplete"


def test_over_long_chain(
    tmp_path: Path, root: Authority, issue: Issue, put: Put, refused: Callable, now: dt.datetime
) -> None:
    put(root, "trusted")
    authority, chain = root, []
    for depth in range(8):
        authority = Authority.create(tmp_path / f"depth{depth}", f"Depth {depth}", issuer=authority, now=now)
        chain.insert(0, authority.certificate)
    assert refused(issue(authority).certificate, *chain).status == "BadCertificateChainIncomplete"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80\x00\x00",
        b"no certificate",
        b"\x30\x00" * 50,
        b"0" * 100_000,
    ],
)
def test_bytes_that_are_no_certificate(folder: PkiFolder, content: bytes) -> None:
    with pytest.raises(CertificateRefusedError) as caught:
        TrustStore(folder).check(content, purpose="server")
    assert caught.value.status == "BadCertificateInvalid"
    assert TrustStore(folder).rejected() == []


def test_unknown_critical_extension(shaper: Shaper, folder: PkiFolder, refused: Callable) -> None:
    extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    leaf, _ = shaper.make("machine", usage=ALL_BITS, extra=extra)
    trust(folder, leaf)
    refusal = refused(leaf)
    assert refusal.status == "BadCertificateInvalid"
    assert "1.2.3.4.5" in refusal.found


def test_changed_certificate_is_invalid(
    root: Authority, issue: Issue, put: Put, folder: PkiFolder, now: dt.datetime
) -> None:
    put(root, "trusted")
    content = bytearray(certificate_to_der(issue(root).certificate))
    at = content.index(b"machine.example")
    content[at : at + 7] = b"another"
    with pytest.raises(CertificateRefusedError) as caught:
        TrustStore(folder).check(bytes(content), purpose="server", host="another.example", now=now)
    assert caught.value.status == "BadCertificateInvalid"


def test_user_certificate_needs_no_host_and_no_extended_usage(
    root: Authority, put: Put, check: Callable, now: dt.datetime
) -> None:
    put(root, "trusted")
    user = root.issue_user("operator", now=now).certificate
    assert check(user, purpose="user", host=None, application_uri=None).certificate == user


class TestQuarantine:
    def test_unknown_peer_waits_until_a_person_approves(
        self, shaper: Shaper, folder: PkiFolder, check: Callable, refused: Callable
    ) -> None:
        leaf, _ = shaper.make("machine", usage=ALL_BITS)
        refusal = refused(leaf)
        assert f"area4 pki approve {thumbprint(leaf)}" in refusal.action
        refused(leaf)
        store = TrustStore(folder)
        (waiting,) = store.rejected()
        assert (waiting.thumbprint, waiting.sha256) == (thumbprint(leaf), thumbprint_sha256(leaf))
        assert waiting.application_uri == URI
        store.approve(waiting.sha256.lower())
        assert store.rejected() == []
        assert check(leaf).anchor == leaf
        store.withdraw(waiting.thumbprint)
        assert refused(leaf).status == "BadCertificateUntrusted"

    def test_approval_keeps_what_the_peer_sent_above_as_issuers_only(
        self, root: Authority, issue: Issue, folder: PkiFolder, check: Callable, refused: Callable
    ) -> None:
        leaf, other = issue(root).certificate, issue(root).certificate
        refused(leaf, root.certificate)
        TrustStore(folder).approve(thumbprint(leaf))
        assert refused(leaf).status == "BadCertificateRevocationUnknown"
        assert check(leaf, waivers={"missing-crl"}).anchor == leaf
        assert refused(other).status == "BadCertificateUntrusted"

    def test_an_authority_shown_as_own_certificate_is_not_approved(
        self, root: Authority, folder: PkiFolder, refused: Callable
    ) -> None:
        assert refused(root.certificate).status == "BadCertificateUntrusted"
        with pytest.raises(ParameterError, match="CA:TRUE"):
            TrustStore(folder).approve(thumbprint(root.certificate))

    def test_discarded_peer_comes_back(self, shaper: Shaper, folder: PkiFolder, refused: Callable) -> None:
        leaf, _ = shaper.make("machine", usage=ALL_BITS)
        refused(leaf)
        store = TrustStore(folder)
        store.discard(thumbprint(leaf))
        assert store.rejected() == []
        refused(leaf)
        assert len(store.rejected()) == 1

    def test_hostile_name_stays_in_the_folder(self, shaper: Shaper, folder: PkiFolder, refused: Callable) -> None:
        leaf, _ = shaper.make("../../own/key\x1b[2J.pem", usage=ALL_BITS)
        refused(leaf)
        (waiting,) = TrustStore(folder).rejected()
        assert waiting.path.parent == folder.rejected
        assert waiting.path.name == f"own_key_2J.pem-{thumbprint(leaf)}.pem"

    def test_number_is_bounded_and_the_oldest_leave(
        self, shaper: Shaper, folder: PkiFolder, refused: Callable, now: dt.datetime
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        peers = [shaper.make(f"peer {number}", key=key, usage=ALL_BITS)[0] for number in range(MAX_REJECTED + 5)]
        for number, peer in enumerate(peers):
            refused(peer, now=now + number * dt.timedelta(seconds=1))
        waiting = TrustStore(folder).rejected()
        assert len(waiting) == MAX_REJECTED
        assert waiting[0].thumbprint == thumbprint(peers[-1])
        assert thumbprint(peers[0]) not in {one.thumbprint for one in waiting}

    def test_unknown_thumbprint(self, folder: PkiFolder) -> None:
        with pytest.raises(ParameterError, match="no rejected certificate"):
            TrustStore(folder).approve("00" * 20)
