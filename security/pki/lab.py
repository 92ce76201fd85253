"""All certificates of a lab or a small installation in one call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from security.errors import ParameterError
from security.files import write_file
from security.pki.authority import LEAF_LIFETIME, Authority, Issued
from security.pki.folder import PkiFolder
from security.pki.keys import certificate_to_der, certificate_to_pem
from security.pki.profiles import check_common_name

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MQTT_CA = "mqtt-ca"
OPCUA_CA = "opcua-ca"
CRL_LIFETIME = dt.timedelta(days=365)
"""Nobody renews the revocation list of a lab."""


@dataclass(frozen=True, slots=True)
class LabPki:
    """Where everything is. MQTT and OPC UA have an authority each: a machine's certificate opens no broker.

    Attributes:
        root: The folder of all.
        broker: MQTT broker; trusts the MQTT authority.
        gateway_mqtt: The gateway as MQTT client.
        watchers: MQTT clients that read, by common name.
        gateway_opcua: The gateway as OPC UA application; trusts the OPC UA authority.
        machines: Simulated machines' OPC UA servers by name; each trusts the OPC UA authority.
        user: The gateway's X.509 user token; only its certificate and key count.
        users: Trust store of the OPC UA servers for user certificates: holds the user's own certificate, and its
            authority as issuer only.
        uris: ApplicationUri of each machine by name, and of the gateway as ``gateway``.
    """

    root: Path
    broker: PkiFolder
    gateway_mqtt: PkiFolder
    watchers: Mapping[str, PkiFolder]
    gateway_opcua: PkiFolder
    machines: Mapping[str, PkiFolder]
    user: PkiFolder
    users: PkiFolder
    uris: Mapping[str, str]

    @property
    def mqtt_authority(self) -> Path:
        """Folder of the MQTT authority, for `Authority.load`."""
        return self.root / "ca" / "mqtt"

    @property
    def opcua_authority(self) -> Path:
        """Folder of the OPC UA authority, for `Authority.load`."""
        return self.root / "ca" / "opcua"

    @property
    def mqtt_ca_file(self) -> Path:
        """The MQTT authority's certificate, PEM: `cafile` of broker and clients."""
        return self.broker.trusted_certs / f"{MQTT_CA}.pem"

    @property
    def mqtt_crl_file(self) -> Path:
        """The MQTT authority's revocation list, PEM: `crlfile` of the broker."""
        return self.broker.trusted_crl / f"{MQTT_CA}.pem"


def lab_paths(
    root: Path,
    *,
    machines: Sequence[str],
    gateway: str = "gateway",
    watchers: Sequence[str] = ("watcher",),
    site: str = "lab",
) -> LabPki:
    """The paths of a lab, whether it exists or not."""
    return LabPki(
        root=root,
        broker=PkiFolder(root / "broker" / "mqtt"),
        gateway_mqtt=PkiFolder(root / gateway / "mqtt"),
        watchers={name: PkiFolder(root / name / "mqtt") for name in watchers},
        gateway_opcua=PkiFolder(root / gateway / "opcua"),
        machines={name: PkiFolder(root / "machines" / name / "opcua") for name in machines},
        user=PkiFolder(root / gateway / "user"),
        users=PkiFolder(root / "machines" / "users"),
        uris={**{name: f"urn:area4:{site}:{name}" for name in machines}, "gateway": f"urn:area4:{site}:{gateway}"},
    )


def create_lab(
    root: Path,
    *,
    machines: Sequence[str],
    gateway: str = "gateway",
    watchers: Sequence[str] = ("watcher",),
    user: str = "gateway-user",
    site: str = "lab",
    hosts: Sequence[str] = LOCAL_HOSTS,
    lifetime: dt.timedelta = LEAF_LIFETIME,
    now: dt.datetime | None = None,
) -> LabPki:
    """Make two authorities and every certificate below `root`, each side's trust filled; nothing existing is touched.

    Args:
        root: Folder of all; must not hold a lab already.
        machines: Names of the simulated machines.
        gateway: The gateway's name; its identity at the broker.
        watchers: Identities of MQTT clients that read.
        user: Name in the gateway's OPC UA user certificate.
        site: Part of every ApplicationUri (`LabPki.uris`).
        hosts: Names and addresses under which broker and servers are reached.
        lifetime: Of all certificates but the authorities.
        now: Time of issue.

    Raises:
        AlreadyExistsError: There is a lab in `root` already.
        ParameterError: A name or host cannot stand in a certificate.
    """
    _check_names((gateway, *watchers), taken=("ca", "broker", "machines"))
    _check_names(machines, taken=("users",))
    lab = lab_paths(root, machines=machines, gateway=gateway, watchers=watchers, site=site)
    mqtt = Authority.create(
        lab.mqtt_authority, f"area4 {site} MQTT authority", path_length=0, crl_lifetime=CRL_LIFETIME, now=now
    )
    opcua = Authority.create(
        lab.opcua_authority,
        f"area4 {site} OPC UA authority",
        key_kind="rsa-3072",
        path_length=0,
        crl_lifetime=CRL_LIFETIME,
        now=now,
    )
    mqtt.issue_server("broker", hosts, lifetime=lifetime, now=now).install(lab.broker)
    for name, folder in {gateway: lab.gateway_mqtt, **lab.watchers}.items():
        mqtt.issue_client(name, lifetime=lifetime, now=now).install(folder)
    for folder in (lab.broker, lab.gateway_mqtt, *lab.watchers.values()):
        trust_authority(folder, mqtt, MQTT_CA, pem=True)
    for name, folder in {"gateway": lab.gateway_opcua, **lab.machines}.items():
        made = opcua.issue_application(
            gateway if name == "gateway" else name, uri=lab.uris[name], hosts=hosts, lifetime=lifetime, now=now
        )
        trust_authority(made.install(folder), opcua, OPCUA_CA)
    issued = opcua.issue_user(user, lifetime=lifetime, now=now)
    issued.install(lab.user)
    _trust_user(lab.users, issued, opcua)
    return lab


def _check_names(names: Sequence[str], *, taken: Sequence[str]) -> None:
    """Refuse names that cannot be folders side by side."""
    seen = set(taken)
    for name in names:
        check_common_name(name, identity=True)
        if name in seen or name.startswith("."):
            raise ParameterError(
                f"name {name!r}",
                found="used twice, kept for a folder of the lab, or beginning with a dot",
                allowed=f"different names, none of them {', '.join(taken)}",
                action="choose another name",
            )
        seen.add(name)


def trust_authority(folder: PkiFolder, authority: Authority, name: str, *, pem: bool = False) -> None:
    """Put the authority's certificate and current revocation list into `folder` as trusted; repeat after each renewal.

    Args:
        folder: Whose trust.
        authority: Whom it shall trust.
        name: Name of the files, without extension.
        pem: PEM as MQTT brokers read it, else DER as OPC UA tools expect it.
    """
    folder.create()
    extension = "pem" if pem else "der"
    content = certificate_to_pem(authority.certificate) if pem else certificate_to_der(authority.certificate)
    write_file(folder.trusted_certs / f"{name}.{extension}", content, replace=True)
    revocations = authority.crl_pem if pem else authority.crl_der
    write_file(folder.trusted_crl / f"{name}.{extension}", revocations.read_bytes(), replace=True)


def _trust_user(folder: PkiFolder, issued: Issued, authority: Authority) -> None:
    """Trust this one user: the authority is an issuer only, else every application of it would be a user too."""
    folder.create()
    serial = f"{issued.certificate.serial_number:x}"
    write_file(folder.trusted_certs / f"{serial}.der", certificate_to_der(issued.certificate), replace=True)
    write_file(folder.issuers_certs / f"{OPCUA_CA}.der", certificate_to_der(authority.certificate), replace=True)
    write_file(folder.issuers_crl / f"{OPCUA_CA}.der", authority.crl_der.read_bytes(), replace=True)
