"""Mutant brokers: the small broker with one fault, in a lab of its own with every certificate that the suite asks for.

`area4 sim mutant broker.no-puback` shows one; tests start it in their own process.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from security.files import make_folder, write_file
from security.pki import Authority, PkiFolder
from security.pki.keys import certificate_to_pem, key_to_pem
from security.pki.profiles import Profile
from simulators.mutants.mqtt import front, listener
from simulators.mutants.mqtt.broker import HOST, MiniBroker, Rights
from simulators.mutants.mqtt.front import Forge, Front
from simulators.mutants.mqtt.listener import ListenerFiles
from simulators.mutants.mutant import Mutant

TOPIC = "area4/v1/own/{}/data"
FOREIGN_TOPIC = "area4/v1/other/{}/data"
RIGHTS = Rights(
    writers={"client": ["area4/v1/own/+/data"], "other": ["area4/v1/other/+/data"]},
    readers={"client": ["area4/v1/own/+/data"], "reader": ["area4/v1/#"]},
)
"""Client and other publish where they are at home, the reader reads all, the client its own."""

_FORGIVES: dict[str, list[int]] = {
    "takes-self-signed": [listener.SELF_SIGNED, listener.NO_CRL],
    "takes-rogue": [listener.SIGNATURE, listener.NO_ISSUER, listener.NO_CHAIN, listener.NO_CRL],
    "takes-expired": [listener.TIME_EXPIRED],
    "takes-early": [listener.TIME_EARLY],
    "takes-revoked": [listener.REVOKED],
    "takes-servers": [listener.PURPOSE],
}
_FORGES: dict[str, Forge] = {
    "compression": front.takes_compression,
    "broken-cipher": front.takes_triple_des,
    "no-renegotiation-info": front.hides_renegotiation_info,
}
_CIPHERS = {
    "null-cipher": "ECDHE+AESGCM:eNULL:@SECLEVEL=0",
    "static-rsa": "ECDHE+AESGCM:AES128-GCM-SHA256:AES128-SHA",
    "cbc": "ECDHE+AESGCM:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA",
    "certificate-weak": f"{listener.STRONG}:@SECLEVEL=0",
}
_LIFETIME = dt.timedelta(days=365)


@lru_cache
def broker_mutants() -> dict[str, Mutant]:
    """By id."""
    text = (files("simulators") / "mutants" / "broker.toml").read_text(encoding="utf-8")
    return {row["id"]: Mutant(**row) for row in tomllib.loads(text)["mutant"]}


@dataclass(frozen=True, slots=True)
class BrokerLab:
    """Certificates of a lab: authority, broker, and clients in the roles that the suite asks for.

    Attributes:
        root: Folder of all.
        authority: Of clients and broker.
    """

    root: Path
    authority: Authority

    @classmethod
    def create(cls, root: Path) -> BrokerLab:
        """Make an authority, the right broker's certificate, and client, reader, other and revoked."""
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
        authority = Authority.create(root / "ca", "area4 lab authority", crl_lifetime=_LIFETIME, now=past)
        lab = cls(root, authority)
        for name in ("client", "reader", "other"):
            authority.issue_client(name, lifetime=_LIFETIME).install(PkiFolder(root / name))
        revoked = authority.issue_client("client", lifetime=_LIFETIME)
        revoked.install(PkiFolder(root / "revoked"))
        authority.revoke(revoked.certificate)
        authority.issue_server("broker", ["localhost", HOST], lifetime=_LIFETIME).install(PkiFolder(root / "broker"))
        return lab

    @classmethod
    def kept(cls, root: Path) -> BrokerLab:
        """The lab of this folder, made where there is none yet."""
        if not PkiFolder(root / "broker").certificate.exists():
            return cls.create(root)
        return cls(root, Authority.load(root / "ca"))

    def of(self, name: str) -> PkiFolder:
        """Certificate and key of `client`, `reader`, `other`, `revoked` or `broker`."""
        return PkiFolder(self.root / name)

    @property
    def ca(self) -> Path:
        """The authority's certificate, PEM."""
        return self.root / "ca" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key, PEM."""
        return self.root / "ca" / "key.pem"

    def listener(self, fault: str = "") -> ListenerFiles:
        """The files of a broker; with some faults other certificates than the right one."""
        folder = PkiFolder(self.root / f"broker-{fault}")
        if fault == "static-rsa" and not folder.certificate.exists():
            self.authority.issue_server("broker", ["localhost", HOST], key_kind="rsa-2048").install(folder)
        elif fault == "certificate-rogue" and not folder.certificate.exists():
            rogue = Authority.create(self.root / "rogue", "area4 lab authority")
            rogue.issue_server("broker", ["localhost", HOST]).install(folder)
        elif fault == "certificate-host" and not folder.certificate.exists():
            self.authority.issue_server("broker", ["elsewhere.example"]).install(folder)
        elif fault == "certificate-expired" and not folder.certificate.exists():
            past = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
            issued = self.authority.issue_server(
                "broker", ["localhost", HOST], now=past, lifetime=dt.timedelta(days=10)
            )
            issued.install(folder)
        elif fault == "certificate-usage" and not folder.certificate.exists():
            issued = self.authority.issue(Profile("client", "broker", ("localhost", HOST)))
            issued.install(folder)
        elif fault == "certificate-weak" and not folder.certificate.exists():
            self._weak(folder)
        elif not folder.certificate.exists():
            folder = self.of("broker")
        return ListenerFiles(folder.certificate, folder.key, self.ca, self.authority.crl_pem)

    def _weak(self, folder: PkiFolder) -> None:
        """A key that is too short; no tool of the product makes one."""
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the weakness is the point
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        issued = self.authority.sign_request(request, Profile("server", "broker", ("localhost", HOST)))
        make_folder(folder.own)
        write_file(folder.key, key_to_pem(key), replace=True)
        write_file(folder.certificate, certificate_to_pem(issued.certificate), replace=True)


@dataclass(slots=True)
class BrokerMutant:
    """A broker in this process, right or with one fault.

    Attributes:
        lab: Its certificates.
        fault: Empty: none.
        folder: Where its journal is.
        rights: Who may do what.
        listen: Port where clients are to connect; 0: a free one.
    """

    lab: BrokerLab
    folder: Path
    fault: str = ""
    rights: Rights = field(default_factory=lambda: RIGHTS)
    listen: int = 0
    _broker: MiniBroker = field(init=False)
    _front: Front | None = field(default=None, init=False)

    async def start(self) -> None:
        """Serve."""
        make_folder(self.folder)
        plain = self.fault in {"plain-listener", "plain-on-port"}
        behind = self.fault in _FORGES or self.fault == "plain-on-port"
        self._broker = MiniBroker(
            self.rights, context_of(self.lab, self.fault), self.fault, self.folder / "journal", plain,
            port=0 if behind else self.listen,
        )  # fmt: skip
        await self._broker.start()
        if behind:
            forge = _FORGES.get(self.fault, lambda _hello, answer: answer)
            port = self._broker.plain_port if self.fault == "plain-on-port" else 0
            self._front = Front(self._broker.port, forge, port, port=self.listen)
            await self._front.start()

    async def stop(self) -> None:
        """End."""
        if self._front is not None:
            await self._front.stop()
        await self._broker.stop()

    async def restart(self) -> None:
        """Be killed and started again: what is not in the journal is gone."""
        await self._broker.restart()

    def left(self) -> tuple[dict[str, bytes], set[str]]:
        """Retained messages by topic, and client identifiers of sessions that wait for their client."""
        waiting = {name for name, one in self._broker.sessions.items() if one.outlet is None and not one.gone()}
        return {topic: one.payload for topic, one in self._broker.retained.items()}, waiting

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._front.port if self._front is not None else self._broker.port

    @property
    def plain_port(self) -> int:
        """Of a second listener without TLS; 0 where there is none."""
        return self._broker.plain_port if self.fault == "plain-listener" else 0


def context_of(lab: BrokerLab, fault: str) -> ssl.SSLContext:
    """The TLS listener's context, weak where the fault is one of TLS."""
    material = lab.listener(fault)
    if fault in {"certificate-optional", "password-instead"}:
        return listener.make(material, demand=ssl.CERT_OPTIONAL)
    if fault == "no-tls-1.3":
        return listener.make(material, highest=ssl.TLSVersion.TLSv1_2)
    if fault == "tls-1.1":
        return listener.make(material, ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0", lowest=ssl.TLSVersion.TLSv1)
    return listener.make(material, ciphers=_CIPHERS.get(fault, listener.STRONG), forgives=_FORGIVES.get(fault, ()))
