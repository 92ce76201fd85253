"""`area4 pki`: an installation's certificates, from the first authority to the last revocation."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import cast, get_args

import click
from cryptography import x509

from gateway.cli.certificates import Found, facts, find, find_lists, tell
from gateway.cli.output import progress, say, table, write_json
from gateway.errors import ConfigurationError, RefusedError
from security.files import write_file
from security.pki import (
    Authority,
    KeyKind,
    PkiFolder,
    Profile,
    Purpose,
    create_lab,
    install_signed,
    load_request,
    make_request,
    trust_authority,
)
from security.pki.keys import certificate_to_pem, common_name, load_certificates
from security.trust import TrustStore, thumbprint

_FOLDER = click.Path(path_type=Path, file_okay=False)
_PATH = click.Path(path_type=Path)
_PURPOSES = click.Choice(get_args(Purpose))
_REASONS = ("unspecified", "keyCompromise", "superseded", "cessationOfOperation", "affiliationChanged")
_HEX = frozenset("0123456789abcdef")


@click.group("pki")
def command() -> None:
    """Certificates: create, show, approve, issue, revoke.

    A PKI folder holds own/, trusted/, issuers/ and rejected/ of one application for one protocol; an authority's
    folder holds ca.pem, its key, its revocation list and what it issued.
    """


@command.command("create")
@click.argument("root", type=_FOLDER)
@click.option(
    "--gateway", default="gateway", show_default=True, help="Name of the gateway: its identity at the broker."
)
@click.option("--site", default="lab", show_default=True, help="Part of every ApplicationUri.")
@click.option("--machine", "machines", multiple=True, help="An OPC UA server to make a certificate for; repeatable.")
@click.option(
    "--watcher", "watchers", multiple=True, default=("watcher",), help="An MQTT client that reads; repeatable."
)
@click.option("--host", "hosts", multiple=True, help="Name or address of this computer; repeatable.")
def create(
    root: Path, gateway: str, site: str, machines: tuple[str, ...], watchers: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    """Make two authorities (MQTT, OPC UA) and all certificates of an installation below ROOT."""
    local = ("localhost", "127.0.0.1", "::1")
    with progress("making keys and certificates"):
        lab = create_lab(
            root,
            machines=machines,
            gateway=gateway,
            watchers=watchers,
            site=site,
            hosts=tuple(dict.fromkeys((*local, *hosts))),
        )
    rows = [
        ["MQTT authority", str(lab.mqtt_authority)],
        ["OPC UA authority", str(lab.opcua_authority)],
        ["MQTT broker", str(lab.broker.root)],
        ["gateway, MQTT", str(lab.gateway_mqtt.root)],
        ["gateway, OPC UA", str(lab.gateway_opcua.root)],
        ["gateway, OPC UA user", str(lab.user.root)],
        *([f"watcher {name}", str(folder.root)] for name, folder in lab.watchers.items()),
        *([f"machine {name}", str(folder.root)] for name, folder in lab.machines.items()),
    ]
    table(rows)
    say("Keep the authorities' folders (ca/) off the edge box once everything is issued.")


@command.command("show")
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(paths: tuple[Path, ...], as_json: bool) -> None:
    """Show the certificates in files and folders."""
    now = dt.datetime.now(dt.UTC)
    found = [one for path in paths for one in find(path)]
    if as_json:
        write_json([{"file": str(one.path), "place": one.place, **facts(one.certificate)} for one in found])
        return
    for one in found:
        say(f"{one.path}{f' ({one.place})' if one.place else ''}")
        tell(one, now, "  ")
    if not found:
        say("There is no certificate.")


@command.command("list")
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(folder: Path, as_json: bool) -> None:
    """List what an authority has issued, or what a PKI folder holds: own, trusted, issuers, rejected."""
    _must_exist(folder)
    if (folder / "crl.pem").exists():
        authority = Authority.load(folder)
        revoked = authority.revoked()
        found = [(_state(one, revoked), one) for one in authority.issued()]
    else:
        found = [(one.place or "-", one.certificate) for one in find(folder)]
    if as_json:
        write_json([{"state": state, **facts(one)} for state, one in found])
        return
    rows = [["STATE", "ENDS", "SERIAL", "THUMBPRINT", "NAME"]]
    rows += [
        [state, f"{one.not_valid_after_utc:%Y-%m-%d}", f"{one.serial_number:x}", thumbprint(one), common_name(one)]
        for state, one in found
    ]
    table(rows)


def _state(certificate: x509.Certificate, revoked: dict[int, x509.RevokedCertificate]) -> str:
    if certificate.serial_number in revoked:
        return "revoked"
    return "expired" if certificate.not_valid_after_utc < dt.datetime.now(dt.UTC) else "valid"


@command.command("issue")
@click.argument("authority", type=_FOLDER)
@click.option("--purpose", type=_PURPOSES, required=True, help="What the certificate is for.")
@click.option("--name", required=True, help="Common name; for an MQTT client its identity at the broker.")
@click.option("--host", "hosts", multiple=True, help="DNS name or IP address of the holder; repeatable.")
@click.option("--uri", help="ApplicationUri (purpose application).")
@click.option("--days", type=click.IntRange(1, 7300), default=730, show_default=True, help="Lifetime.")
@click.option("--into", "folder", type=_FOLDER, required=True, help="PKI folder that gets key and certificate.")
@click.option("--replace", is_flag=True, help="Replace a key that is there; the old one is lost.")
def issue(
    authority: Path,
    purpose: str,
    name: str,
    hosts: tuple[str, ...],
    uri: str | None,
    days: int,
    folder: Path,
    replace: bool,
) -> None:
    """Make a key and a certificate of AUTHORITY, and trust that authority in the same folder."""
    signer = Authority.load(authority)
    profile = Profile(cast("Purpose", purpose), name, hosts, uri)
    kind: KeyKind = "rsa-2048" if purpose in {"application", "user"} else "ec-p256"
    target = PkiFolder(folder)
    if target.key.exists() and not replace:
        raise ConfigurationError(
            f"{target.key}: a key is there already.", advice="Name another folder, or say --replace."
        )
    issued = signer.issue(profile, key_kind=kind, lifetime=dt.timedelta(days=days))
    issued.install(target, replace=replace)
    opcua = purpose in {"application", "user"}
    trust_authority(target, signer, _slug(common_name(signer.certificate)), pem=not opcua)
    tell(Found(target.certificate, issued.certificate), dt.datetime.now(dt.UTC))
    say(f"written to {target.own}")


@command.command("revoke")
@click.argument("authority", type=_FOLDER)
@click.argument("certificate")
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True)
def revoke(authority: Path, certificate: str, reason: str) -> None:
    """Revoke CERTIFICATE (a file, or its serial number in hexadecimal) and renew the revocation list."""
    signer = Authority.load(authority)
    flag = x509.ReasonFlags(reason)
    text = certificate.lower().replace(":", "")
    if text and set(text) <= _HEX and not Path(certificate).exists():
        path = signer.revoke(int(text, 16), reason=flag)
    else:
        path = signer.revoke(load_certificates(Path(certificate))[0], reason=flag)
    say(f"revoked; the new list is {path}")
    say(f"Hand it on: area4 pki crl {authority} --to FOLDER, for every folder that trusts this authority.")


@command.command("crl")
@click.argument("authority", type=_FOLDER)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="How long the new list holds; as long as the last one by default."
)
@click.option("--to", "folders", multiple=True, type=_FOLDER, help="PKI folder that trusts the authority; repeatable.")
@click.option("--pem", is_flag=True, help="Hand on as PEM (MQTT) instead of DER (OPC UA).")
def crl(authority: Path, days: int | None, folders: tuple[Path, ...], pem: bool) -> None:
    """Renew the revocation list of AUTHORITY and hand it on, with the authority's certificate, to PKI folders."""
    signer = Authority.load(authority)
    path = signer.write_crl(lifetime=dt.timedelta(days=days) if days else None)
    say(f"renewed {path}: {len(signer.revoked())} revoked")
    name = _slug(common_name(signer.certificate))
    for folder in folders:
        _must_exist(folder)
        target = PkiFolder(folder)
        for old in _same_authority(target, signer):
            trust_authority(target, signer, old.stem, pem=old.suffix == ".pem")
            say(f"handed on to {folder} ({old.name})")
            break
        else:
            trust_authority(target, signer, name, pem=pem)
            say(f"handed on to {folder}")


def _same_authority(folder: PkiFolder, signer: Authority) -> list[Path]:
    if not folder.trusted_certs.is_dir():
        return []
    return [one.path for one in find(folder.trusted_certs) if one.certificate == signer.certificate]


@command.command("csr")
@click.argument("folder", type=_FOLDER)
@click.option("--purpose", type=_PURPOSES, required=True, help="What the certificate is for.")
@click.option("--name", required=True, help="Common name.")
@click.option("--host", "hosts", multiple=True, help="DNS name or IP address of the holder; repeatable.")
@click.option("--uri", help="ApplicationUri (purpose application).")
@click.option("--replace", is_flag=True, help="Replace a request that waits.")
def csr(folder: Path, purpose: str, name: str, hosts: tuple[str, ...], uri: str | None, replace: bool) -> None:
    """Make a key and a signing request for the plant's own authority; the key in use stays until `pki install`."""
    profile = Profile(cast("Purpose", purpose), name, hosts, uri)
    path = make_request(PkiFolder(folder), profile, replace=replace)
    say(f"{path}")
    say(f"Let the authority sign it, then: area4 pki install {folder} ANSWER.pem")


@command.command("sign")
@click.argument("authority", type=_FOLDER)
@click.argument("request", type=_PATH)
@click.option("--purpose", type=_PURPOSES, required=True, help="What the certificate is for.")
@click.option("--name", required=True, help="Common name; what the request wishes does not count.")
@click.option("--host", "hosts", multiple=True, help="DNS name or IP address of the holder; repeatable.")
@click.option("--uri", help="ApplicationUri (purpose application).")
@click.option("--days", type=click.IntRange(1, 7300), default=730, show_default=True, help="Lifetime.")
@click.option("--out", type=_PATH, required=True, help="File for the certificate, PEM.")
def sign(
    authority: Path,
    request: Path,
    purpose: str,
    name: str,
    hosts: tuple[str, ...],
    uri: str | None,
    days: int,
    out: Path,
) -> None:
    """Answer a signing REQUEST with a certificate of AUTHORITY."""
    if out.exists():
        raise ConfigurationError(f"{out}: the file exists already.", advice="Name another file.")
    signer = Authority.load(authority)
    profile = Profile(cast("Purpose", purpose), name, hosts, uri)
    issued = signer.sign_request(load_request(request), profile, lifetime=dt.timedelta(days=days))
    write_file(out, certificate_to_pem(issued.certificate, *issued.chain))
    tell(Found(out, issued.certificate), dt.datetime.now(dt.UTC))


@command.command("install")
@click.argument("folder", type=_FOLDER)
@click.argument("answer", type=_PATH)
def install(folder: Path, answer: Path) -> None:
    """Put the signed ANSWER to the waiting request of FOLDER in use, with the request's key."""
    certificate = install_signed(PkiFolder(folder), answer)
    tell(Found(answer, certificate), dt.datetime.now(dt.UTC))


@command.command("rejected")
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def rejected(folder: Path, as_json: bool) -> None:
    """List the unknown peers' certificates that wait in FOLDER for a decision."""
    _must_exist(folder)
    found = TrustStore(PkiFolder(folder)).rejected()
    if as_json:
        write_json([asdict(one) for one in found])
        return
    for one in found:
        say(f"{one.thumbprint}")
        names = [("subject", one.subject), ("issuer", one.issuer), ("ApplicationUri", one.application_uri or "none")]
        names += [("hosts", ", ".join(one.hosts) or "none"), ("valid until", f"{one.not_after:%Y-%m-%d}")]
        names += [("last seen", f"{one.last_seen:%Y-%m-%d %H:%M:%S} UTC"), ("SHA-256", one.sha256)]
        table([[name, text] for name, text in names], "  ")
    if not found:
        say("No certificate waits for a decision.")


@command.command("approve")
@click.argument("folder", type=_FOLDER)
@click.argument("thumbprint_", metavar="THUMBPRINT")
def approve(folder: Path, thumbprint_: str) -> None:
    """Trust the rejected certificate with this thumbprint (SHA-1 or SHA-256, whole)."""
    _must_exist(folder)
    say(f"trusted: {TrustStore(PkiFolder(folder)).approve(thumbprint_)}")


@command.command("reject")
@click.argument("folder", type=_FOLDER)
@click.argument("thumbprint_", metavar="THUMBPRINT")
def reject(folder: Path, thumbprint_: str) -> None:
    """Take a waiting certificate off the list, or withdraw the trust in a trusted one."""
    _must_exist(folder)
    store = TrustStore(PkiFolder(folder))
    waiting = {one.thumbprint for one in store.rejected()} | {one.sha256 for one in store.rejected()}
    wanted = thumbprint_.replace(":", "").replace(" ", "").upper()
    if wanted in waiting:
        one = store.discard(thumbprint_)
        say(f"off the list: {one.subject}; it stays untrusted and comes back when it tries again")
    else:
        say(f"no longer trusted: {store.withdraw(thumbprint_)}")


@command.command("expiring")
@click.argument("root", type=_PATH)
@click.option("--days", type=click.IntRange(0, 3650), default=30, show_default=True, help="Within so many days.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def expiring(root: Path, days: int, as_json: bool) -> None:
    """Name the certificates and revocation lists below ROOT that end soon; exit code 3 when there is one."""
    now = dt.datetime.now(dt.UTC)
    ending = sorted((one for one in find(root) if one.days(now) <= days), key=lambda one: one.days(now))
    lists = sorted((one for one in find_lists(root) if one.days(now) <= days), key=lambda one: one.days(now))
    if as_json:
        told = [{"file": str(one.path), "days": round(one.days(now), 2), **facts(one.certificate)} for one in ending]
        told += [
            {"file": str(one.path), "days": round(one.days(now), 2), "issuer": one.issuer, "nextUpdate": f"{one.until}"}
            for one in lists
        ]
        write_json(told)
    else:
        table([[f"{one.days(now):.0f} days", common_name(one.certificate), str(one.path)] for one in ending])
        table([[f"{one.days(now):.0f} days", f"revocation list of {one.issuer}", str(one.path)] for one in lists])
    if ending or lists:
        raise RefusedError(
            f"{len(ending)} certificate(s) and {len(lists)} revocation list(s) end within {days} days.",
            advice="Issue successors in time; renew lists with `area4 pki crl`.",
        )
    if not as_json:
        say(f"No certificate ends within {days} days.")


def _must_exist(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder.")


def _slug(name: str) -> str:
    """A file name for an authority."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name).strip("-").lower()
