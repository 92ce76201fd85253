"""How `area4 discover` gets into a server: by a configuration, a PKI folder, or a certificate made for the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from pydantic import ValidationError

from adapters.opcua.config import OpcUaConfig
from gateway.cli.loading import settings_of
from gateway.config.problems import problems_of
from gateway.errors import Area4Error, ConfigurationError, RefusedError
from security.files import write_file
from security.pki import Authority, PkiFolder
from security.pki.keys import certificate_to_der, load_certificates
from security.pki.profiles import names_of
from security.trust import thumbprint, thumbprint_sha256

_MODES = {"sign-only": "sign", "security-none": "none"}


@dataclass(slots=True)
class Access:
    """What `area4 discover` was told, and where our certificate and trust are."""

    url: str
    trust: str | None = None
    user: str | None = None
    password_file: Path | None = None
    user_pki: Path | None = None
    waivers: tuple[str, ...] = ()
    folder: PkiFolder | None = None
    temporary: bool = False


def configured(file: Path, source: str | None) -> OpcUaConfig:
    """The configuration of a source.

    Raises:
        ConfigurationError: There is no such source, or it is of another type.
    """
    links = [link for link in settings_of(file).sources if link.type == "opcua" and source in {None, link.name}]
    if len(links) != 1:
        names = ", ".join(link.name for link in settings_of(file).sources if link.type == "opcua")
        raise ConfigurationError(
            f"{file}: --source {source or 'is missing'}; allowed: an OPC UA source: {names or 'there is none'}."
        )
    config = links[0].config
    assert isinstance(config, OpcUaConfig)
    return config


def with_pki(access: Access, root: Path) -> None:
    """Take certificate and trust of a PKI folder; the user's certificate from the folder `user` beside it."""
    folder = PkiFolder(root)
    if access.trust is not None:
        raise ConfigurationError(
            "--trust is for a call without --pki.",
            advice=f"Without it the server waits in {folder.rejected} for `area4 pki approve {root} ...`.",
        )
    if not folder.certificate.exists():
        raise ConfigurationError(
            f"{folder.certificate}: there is no certificate.",
            advice="Name the gateway's OPC UA folder, for example pki/gateway/opcua, or leave --pki out.",
        )
    access.folder = folder
    beside = root.parent / "user"
    if access.user_pki is None and access.user is None and PkiFolder(beside).certificate.exists():
        access.user_pki = beside


def temporary(access: Access, root: Path) -> None:
    """Make a certificate that lives as long as this call."""
    authority = Authority.create(root / "ca", "area4 discover", key_kind="rsa-2048")
    folder = PkiFolder(root / "opcua")
    issued = authority.issue_application("area4 discover", uri="urn:area4:discover", hosts=["localhost"])
    issued.install(folder)
    access.folder, access.temporary = folder, True
    if access.user is None and access.user_pki is None and "anonymous-user" not in access.waivers:
        access.waivers = (*access.waivers, "anonymous-user")
    if access.trust is not None and "missing-crl" not in access.waivers:
        access.waivers = (*access.waivers, "missing-crl")


def trust_named(access: Access, certificates: Sequence[x509.Certificate]) -> None:
    """Trust what a person named: the server's certificate by its thumbprint, or the certificates in a file.

    Raises:
        RefusedError: The server shows another one.
    """
    assert access.folder is not None
    assert access.trust is not None
    if Path(access.trust).is_file():
        for certificate in load_certificates(Path(access.trust)):
            _trust(access.folder, certificate)
        return
    wanted = "".join(access.trust.split()).replace(":", "").upper()
    for certificate in certificates:
        if wanted in {thumbprint(certificate), thumbprint_sha256(certificate)}:
            _trust(access.folder, certificate)
            return
    shown = ", ".join(thumbprint(one) for one in certificates) or "none"
    raise RefusedError(
        f"--trust {access.trust}: the server shows another certificate ({shown}).",
        advice="Compare it with what the machine's own display says.",
    )


def _trust(folder: PkiFolder, certificate: x509.Certificate) -> None:
    path = folder.trusted_certs / f"{thumbprint(certificate)}.der"
    write_file(path, certificate_to_der(certificate), replace=True)


def without_folder(access: Access, error: Area4Error) -> Area4Error:
    """The error without advice about a folder that is gone when it is read."""
    if access.folder is None or str(access.folder.root) not in error.told:
        return error
    return type(error)(
        str(error).replace(" It is kept in quarantine.", ""),
        advice="Compare the thumbprint with what the machine shows, then say --trust THUMBPRINT; or --trust with the "
        "certificate file of its authority; or --pki with the gateway's folder.",
    )


def config_of(access: Access) -> OpcUaConfig:
    """The configuration of a source for this one call.

    Raises:
        ConfigurationError: URL, user and waivers do not fit together.
    """
    assert access.folder is not None
    uri = names_of(load_certificates(access.folder.certificate)[0])[1]
    table = {
        "url": access.url,
        "security": {
            "application_uri": uri or "urn:area4:discover",
            "certificate": access.folder.certificate,
            "key": access.folder.key,
            "trust": access.folder.root,
            "modes": ["sign-and-encrypt", *(_MODES[one] for one in access.waivers if one in _MODES)],
        },
        "user": _user(access),
        "waivers": access.waivers,
    }
    try:
        return OpcUaConfig.model_validate(table)
    except ValidationError as error:
        told = [problem.text for problem in problems_of(error, (), OpcUaConfig)]
        raise ConfigurationError("; ".join(told).rstrip(".") + ".") from error


def _user(access: Access) -> dict[str, object]:
    if access.user is not None:
        return {"name": access.user, "password_file": access.password_file}
    if access.user_pki is not None:
        folder = PkiFolder(access.user_pki)
        return {"certificate": folder.certificate, "key": folder.key}
    return {"anonymous": True}
