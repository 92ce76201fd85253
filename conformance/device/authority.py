"""A test authority: a vendor lets the device trust it for a test, so that wrong certificates of a trusted issuer exist.

`TestAuthority.make(folder)` writes it. What the device is given is below `install/` (OPC 10000-12: a trusted
certificate and revocation lists); everything else stays with the tester:

| file | what it is |
|---|---|
| `ca.pem`, `ca.key` | the authority; the device trusts it |
| `issuing.pem`, `.key` | an issuing authority below it, whose certificate the device does not have |
| `unlisted.pem`, `.key` | another one, of which the device has no revocation list |
| `withdrawn.pem`, `.key` | another one, revoked |
| `revoked.pem`, `.key` | a client certificate, revoked |
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.device.wire.channel import Identity

URI = "urn:area4:conformance:test-client"
_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
_SHA1 = bytes.fromhex("300d06092a864886f70d0101050500")
_AUTHORITIES = ("issuing", "unlisted", "withdrawn")
_DAY = dt.timedelta(days=1)
_BITS = 2048
_LIST_LIFETIME = 365 * _DAY


class AuthorityError(Exception):
    """The folder holds no test authority; the text says what is missing."""


@dataclass(frozen=True)
class Leaf:
    """How a client certificate is made; by default as OPC 10000-6, 6.2.2 wants it.

    Attributes:
        begins: Days from now.
        ends: Days from now.
        authority: It says that it may issue certificates.
        signing: KeyUsage holds what signs and encrypts; else keyAgreement alone.
        client: ExtendedKeyUsage holds clientAuth; else serverAuth alone.
        sha1: Signed with SHA-1.
        uri: ApplicationUri in SubjectAltName.
    """

    begins: float = -1.0
    ends: float = 7.0
    authority: bool = False
    signing: bool = True
    client: bool = True
    sha1: bool = False
    uri: str = URI


def new_key(bits: int = _BITS) -> rsa.RSAPrivateKey:
    """A private key."""
    return rsa.generate_private_key(65_537, bits)


@dataclass(frozen=True)
class Issuer:
    """An authority that signs."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @classmethod
    def root(cls, name: str) -> Issuer:
        """A new self-signed one."""
        key = new_key()
        builder = _builder(name, name, key.public_key(), -1, 365).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return cls(_authority_usage(builder).sign(key, hashes.SHA256()), key)

    def below(self, name: str) -> Issuer:
        """A new one that this one issues."""
        key = new_key()
        builder = _builder(name, _common_name(self.certificate), key.public_key(), -1, 365).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return Issuer(_authority_usage(builder).sign(self.key, hashes.SHA256()), key)

    def cross(self, subject: Issuer) -> bytes:
        """A certificate of another authority's name and key, issued by this one, in DER."""
        names = _common_name(subject.certificate), _common_name(self.certificate)
        builder = _builder(*names, subject.key.public_key(), -1, 365).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return _authority_usage(builder).sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def issue(self, key: rsa.RSAPrivateKey, how: Leaf | None = None) -> bytes:
        """A client certificate in DER."""
        how = how or Leaf()
        builder = _builder("area4 conform", _common_name(self.certificate), key.public_key(), how.begins, how.ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=how.authority, path_length=None), critical=True)
        builder = builder.add_extension(_usage(how.signing, how.authority), critical=True)
        use = ExtendedKeyUsageOID.CLIENT_AUTH if how.client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(how.uri), x509.DNSName("localhost")])
        made = builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        return _with_sha1(made, self.key) if how.sha1 else made.public_bytes(Encoding.DER)

    def identity(self, key: rsa.RSAPrivateKey, how: Leaf | None = None, *, chain: tuple[bytes, ...] = ()) -> Identity:
        """A client with a new certificate."""
        return Identity(self.issue(key, how), key, (how or Leaf()).uri, chain)

    def revocations(self, *serials: int) -> bytes:
        """Its revocation list, PEM."""
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - _DAY).next_update(now + _LIST_LIFETIME)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _DAY).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class TestAuthority:
    """What is in the folder.

    Attributes:
        root: The authority that the device trusts.
        issuing: Below it, its certificate is known to the tester alone.
        unlisted: Below it, without a revocation list.
        withdrawn: Below it, revoked.
        revoked: A client whose certificate is revoked.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    root: Issuer
    issuing: Issuer
    unlisted: Issuer
    withdrawn: Issuer
    revoked: Identity

    @classmethod
    def make(cls, folder: Path) -> TestAuthority:
        """Write a new one; files of an older one are replaced."""
        root = Issuer.root("area4 conformance test authority")
        found = {name: root.below(f"area4 conformance test {name}") for name in _AUTHORITIES}
        key = new_key()
        revoked = root.identity(key, Leaf(ends=365))
        made = cls(root, found["issuing"], found["unlisted"], found["withdrawn"], revoked)
        made.write(folder)
        return made

    def write(self, folder: Path) -> None:
        """The files; keys can be read by their owner alone."""
        certs, lists = folder / "install" / "trusted" / "certs", folder / "install" / "trusted" / "crl"
        for place in (certs, lists):
            place.mkdir(parents=True, exist_ok=True)
        for name in ("root", *_AUTHORITIES):
            issuer: Issuer = getattr(self, name)
            stem = "ca" if name == "root" else name
            (folder / f"{stem}.pem").write_bytes(issuer.certificate.public_bytes(Encoding.PEM))
            _write_key(folder / f"{stem}.key", issuer.key)
        leaf = x509.load_der_x509_certificate(self.revoked.certificate)
        (folder / "revoked.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        _write_key(folder / "revoked.key", self.revoked.key)
        (certs / "area4-test-ca.pem").write_bytes(self.root.certificate.public_bytes(Encoding.PEM))
        gone = (leaf.serial_number, self.withdrawn.certificate.serial_number)
        (lists / "area4-test-ca.crl").write_bytes(self.root.revocations(*gone))
        (lists / "area4-test-issuing.crl").write_bytes(self.issuing.revocations())
        (lists / "area4-test-withdrawn.crl").write_bytes(self.withdrawn.revocations())

    @classmethod
    def read(cls, folder: Path) -> TestAuthority:
        """From a folder that `make` wrote.

        Raises:
            AuthorityError: Something is missing or unreadable.
        """
        try:
            root, issuing, unlisted, withdrawn = (_issuer(folder, name) for name in ("ca", *_AUTHORITIES))
            leaf = _issuer(folder, "revoked")
        except (OSError, ValueError) as error:
            raise AuthorityError(f"{folder} holds no test authority: {error}") from error
        return cls(root, issuing, unlisted, withdrawn, Identity(leaf.der, leaf.key, URI))


def sent_with(issuer: Issuer, key: rsa.RSAPrivateKey, how: Leaf | None = None) -> Identity:
    """A client of an authority that sends that authority's certificate with its own."""
    return replace(issuer.identity(key, how), chain=(issuer.der,))


def _issuer(folder: Path, name: str) -> Issuer:
    certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{name}.key is no RSA key")  # noqa: TRY004 - a wrong file, no wrong call
    return Issuer(certificate, key)


def _write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _builder(name: str, issuer: str, key: rsa.RSAPublicKey, begins: float, ends: float) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder(_name(issuer), _name(name), key, x509.random_serial_number())
        .not_valid_before(now + begins * _DAY)
        .not_valid_after(now + ends * _DAY)
    )


def _authority_usage(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder.add_extension(_usage(signing=False, authority=True), critical=True)


def _usage(signing: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing, content_commitment=signing, key_encipherment=signing, data_encipherment=signing,
        key_agreement=not signing and not authority, key_cert_sign=authority, crl_sign=authority,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _with_sha1(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    """The certificate signed anew with SHA-1, which the library refuses to do: another algorithm, another signature."""
    inner = certificate.tbs_certificate_bytes.replace(_SHA256, _SHA1)
    signature = key.sign(inner, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - that is what is to be refused
    return _der(0x30, inner + _SHA1 + _der(0x03, b"\0" + signature))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content
