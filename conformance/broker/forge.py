"""Client certificates that no broker may accept, each wrong in one way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from conformance.broker.access import AccessError, Identity

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Forge:
    """Makes them in a folder, all with the name of one that is accepted.

    Attributes:
        folder: Where they are written; the caller removes it.
        model: The accepted certificate whose subject they carry.
        authority: Certificate of its issuer.
        key: The issuer's key; None: only what needs no key can be made.
    """

    folder: Path
    model: x509.Certificate
    authority: x509.Certificate | None
    key: CertificateIssuerPrivateKeyTypes | None

    @classmethod
    def open(cls, folder: Path, client: Identity, ca: Path, ca_key: Path | None) -> Forge:
        """From PEM files.

        Raises:
            AccessError: One cannot be read, or the key is not the authority's.
        """
        try:
            model = x509.load_pem_x509_certificate(client.certificate.read_bytes())
            authorities = x509.load_pem_x509_certificates(ca.read_bytes())
            key = serialization.load_pem_private_key(ca_key.read_bytes(), None) if ca_key is not None else None
        except (OSError, ValueError, TypeError) as error:
            raise AccessError(f"certificates cannot be read: {error}") from error
        if key is None:
            issuer = next((one for one in authorities if one.subject == model.issuer), None)
            return cls(folder, model, issuer, None)
        issuer = next((one for one in authorities if one.public_key() == key.public_key()), None)
        if issuer is None:
            raise AccessError(f"{ca_key} is the key of no authority in {ca}")
        return cls(folder, model, issuer, key)  # type: ignore[arg-type]  # an authority's key signs

    def make(self, kind: str) -> Identity | None:
        """One of `KINDS`; None where it needs the authority's key and there is none."""
        return KINDS[kind](self)

    def _issued(
        self,
        name: str,
        begin: dt.timedelta,
        end: dt.timedelta,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Identity | None:
        if self.authority is None or self.key is None:
            return None
        return self._write(name, self.authority.subject, self.key, begin, end, usage)

    def _rogue(self) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write("rogue", self.model.issuer, key, -_DAY, _DAY)

    def _self_signed(self) -> Identity:
        return self._write("self-signed", self.model.subject, None, -_DAY, _DAY)

    def _write(
        self,
        name: str,
        issuer: x509.Name,
        signer: CertificateIssuerPrivateKeyTypes | None,
        begin: dt.timedelta,
        end: dt.timedelta,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Identity:
        own = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.model.subject)
            .issuer_name(issuer)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        certificate = builder.sign(signer or own, hashes.SHA256())
        identity = Identity(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        identity.key.touch(mode=0o600)
        identity.key.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return identity


KINDS: dict[str, Callable[[Forge], Identity | None]] = {
    "none": lambda _: None,
    "self-signed": Forge._self_signed,  # noqa: SLF001 - its own
    "rogue": Forge._rogue,  # noqa: SLF001
    "expired": lambda forge: forge._issued("expired", -10 * _DAY, -_DAY),  # noqa: SLF001
    "not-yet-valid": lambda forge: forge._issued("not-yet-valid", _DAY, 10 * _DAY),  # noqa: SLF001
    "server-only": lambda forge: forge._issued(  # noqa: SLF001
        "server-only", -_DAY, _DAY, ExtendedKeyUsageOID.SERVER_AUTH
    ),
}
"""By name, how each is made."""
