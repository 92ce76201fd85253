"""The folder of one application's certificates, with the names of OPC 10000-12 (README.md of this package)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from security.files import make_folder


@dataclass(frozen=True, slots=True)
class PkiFolder:
    """Own identity and trust of one application for one protocol (OPC UA or MQTT).

    Attributes:
        root: The folder itself.
    """

    root: Path

    @property
    def own(self) -> Path:
        """Folder of the own certificate and key."""
        return self.root / "own"

    @property
    def certificate(self) -> Path:
        """Own certificate followed by its intermediates, PEM."""
        return self.own / "cert.pem"

    @property
    def certificate_der(self) -> Path:
        """Own certificate alone, DER: what OPC UA sends."""
        return self.own / "cert.der"

    @property
    def key(self) -> Path:
        """Own private key, PKCS#8 PEM, mode 0600."""
        return self.own / "key.pem"

    @property
    def request(self) -> Path:
        """Certificate signing request that waits for an answer, PEM."""
        return self.own / "request.pem"

    @property
    def pending_key(self) -> Path:
        """Private key of the waiting request; becomes `key` when the signed certificate is installed."""
        return self.own / "request-key.pem"

    @property
    def trusted_certs(self) -> Path:
        """Certificates that are trusted as they are: authorities and single peers."""
        return self.root / "trusted" / "certs"

    @property
    def trusted_crl(self) -> Path:
        """Revocation lists of trusted authorities."""
        return self.root / "trusted" / "crl"

    @property
    def issuers_certs(self) -> Path:
        """Authorities that complete a chain but are not trusted themselves."""
        return self.root / "issuers" / "certs"

    @property
    def issuers_crl(self) -> Path:
        """Revocation lists of those."""
        return self.root / "issuers" / "crl"

    @property
    def rejected(self) -> Path:
        """Certificates of unknown peers that wait for a person's decision."""
        return self.root / "rejected"

    def create(self) -> PkiFolder:
        """Create all folders as far as missing, each of mode 0700."""
        for folder in (
            self.own,
            self.trusted_certs,
            self.trusted_crl,
            self.issuers_certs,
            self.issuers_crl,
            self.rejected,
        ):
            make_folder(folder)
        return self
