"""What a certificate of each purpose carries: names, key usage, extended key usage."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.errors import ParameterError

Purpose = Literal["server", "client", "application", "user"]
"""MQTT broker, MQTT client, OPC UA application instance, OPC UA user."""

MAX_COMMON_NAME = 64
"""ub-common-name of RFC 5280, Appendix A."""

TOPIC_CHARACTERS = frozenset("+#/")
"""A broker that binds the common name to topics (`%u`) must never meet these in it."""


_DNS_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_*")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate is to say about its holder.

    Attributes:
        purpose: What it is for; decides key usage and extended key usage.
        common_name: For people; for an MQTT client it is the identity that the broker's access list uses.
        hosts: DNS names and IP addresses under which the holder is reached.
        uri: ApplicationUri (OPC 10000-6, 6.2.2); for OPC UA applications only.
        organization: Written into the subject where given.
    """

    purpose: Purpose
    common_name: str
    hosts: Sequence[str] = ()
    uri: str | None = None
    organization: str | None = None

    def __post_init__(self) -> None:
        check_common_name(self.common_name, identity=self.purpose in {"client", "user"})
        if self.purpose == "application" and not (self.uri and ":" in self.uri and self.uri.isascii()):
            raise ParameterError(
                f"application {self.common_name}",
                found=f"ApplicationUri {self.uri!r}",
                allowed="a URI in ASCII such as urn:hall3:gateway, equal to the application's own",
                action="give the ApplicationUri",
            )
        if self.purpose == "server" and not self.hosts:
            raise ParameterError(
                f"server {self.common_name}",
                found="no host",
                allowed="at least one DNS name or IP address under which clients reach it",
                action="give the hosts",
            )

    def subject(self) -> x509.Name:
        """The subject: common name and, where given, the organization."""
        return make_name(self.common_name, self.organization)

    def alternative_names(self) -> x509.SubjectAlternativeName | None:
        """ApplicationUri first, then hosts; none where there is nothing to say."""
        names: list[x509.GeneralName] = []
        if self.uri:
            names.append(x509.UniformResourceIdentifier(self.uri))
        names += dict.fromkeys(host_name(host) for host in self.hosts)
        return x509.SubjectAlternativeName(names) if names else None

    def key_usage(self, *, rsa: bool) -> x509.KeyUsage:
        """Key usage; the encipherment bits belong to RSA keys and to OPC UA (OPC 10000-6, 6.2.2)."""
        application = self.purpose == "application"
        return make_key_usage(
            digital_signature=True,
            content_commitment=application,
            key_encipherment=application or (rsa and self.purpose == "server"),
            data_encipherment=application,
        )

    def extended_key_usage(self) -> x509.ExtendedKeyUsage:
        """Server, client or, for OPC UA applications, both authentications."""
        both = {
            "server": [ExtendedKeyUsageOID.SERVER_AUTH],
            "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
            "user": [ExtendedKeyUsageOID.CLIENT_AUTH],
            "application": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        }
        return x509.ExtendedKeyUsage(both[self.purpose])

    def extensions(self, *, rsa: bool) -> list[tuple[x509.ExtensionType, bool]]:
        """All extensions that do not depend on keys, each with its criticality."""
        found: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (self.key_usage(rsa=rsa), True),
            (self.extended_key_usage(), False),
        ]
        names = self.alternative_names()
        if names is not None:
            found.append((names, False))
        return found


def profile_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> Profile:
    """The profile that `certificate` was made by, for its renewal, or that a request asks for.

    Raises:
        ParameterError: Its names are not usable.
    """
    hosts, uri = names_of(certificate)
    usages: set[x509.ObjectIdentifier] = set()
    try:
        usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    purpose: Purpose = "client"
    if uri is not None:
        purpose = "application"
    elif ExtendedKeyUsageOID.SERVER_AUTH in usages:
        purpose = "server"
    return Profile(
        purpose,
        str(names[0].value) if names else "",
        hosts,
        uri,
        str(organizations[0].value) if organizations else None,
    )


def names_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[tuple[str, ...], str | None]:
    """Hosts (DNS names and IP addresses) and ApplicationUri in the subject alternative names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), None
    hosts = [*names.get_values_for_type(x509.DNSName)]
    hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return tuple(hosts), uris[0] if uris else None


def make_name(name: str, organization: str | None = None) -> x509.Name:
    """A subject of common name and organization."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def make_key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_encipherment: bool = False,
    data_encipherment: bool = False,
    authority: bool = False,
) -> x509.KeyUsage:
    """Key usage bits by name; `authority` stands for signing certificates and revocation lists."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=key_encipherment,
        data_encipherment=data_encipherment,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def check_common_name(name: str, *, identity: bool = False) -> None:
    """Refuse a common name that X.509 or, as an `identity`, the broker's access list cannot carry."""
    bad = [letter for letter in name if not letter.isprintable() or (identity and letter in TOPIC_CHARACTERS)]
    if name.strip() and len(name) <= MAX_COMMON_NAME and not bad:
        return
    raise ParameterError(
        f"common name {name[:80]!r}",
        found=f"{len(name)} characters" + (f", among them {bad[0]!r}" if bad else ""),
        allowed=f"1 to {MAX_COMMON_NAME} printable characters" + (" without + # /" if identity else ""),
        action="choose another name",
    )


def host_name(host: str) -> x509.GeneralName:
    """`host` as a subject alternative name: an IP address or a DNS name (international names as punycode)."""
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    try:
        name = (host if host.isascii() else host.encode("idna").decode("ascii")).rstrip(".").lower()
    except UnicodeError:
        name = ""
    if all(0 < len(label) <= 63 and not set(label) - _DNS_CHARACTERS for label in name.split(".")):
        return x509.DNSName(name)
    raise ParameterError(
        f"host {host!r}",
        found="neither a DNS name nor an IP address",
        allowed="for example gateway.hall3.example, 192.168.1.20 or ::1, without port or scheme",
        action="correct the host",
    )
