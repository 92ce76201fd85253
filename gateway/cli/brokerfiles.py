"""What `area4 init --mosquitto` writes: a folder that Debian's mosquitto takes as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError
from security.files import write_file
from security.pki import LabPki

PLACE = Path("/etc/mosquitto/area4")
"""Where the folder is meant to go on the broker's computer; the configuration names its files there."""

DATA = Path("/var/lib/mosquitto")
DEFAULT_PORT = 8883
CONSUMER = "watcher"


def port_of(url: str) -> int:
    """The port that a broker at this URL listens on.

    Raises:
        ConfigurationError: The URL is none of a broker with TLS.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "mqtts":
        raise ConfigurationError(
            f"--mosquitto writes a broker with TLS, and --broker is {url}; allowed: mqtts://HOST:PORT."
        )
    return port


def write_mosquitto(folder: Path, *, url: str, gateway: str, site: str, pki: LabPki | None) -> None:
    """Write configuration and access list, and with a PKI the broker's certificate, key, authority and its list.

    Raises:
        AlreadyExistsError: A file is there already.
        ConfigurationError: The URL is none of a broker with TLS.
        OSError: The folder cannot be written.
    """
    from simulators.broker import Access, Limits, render_access, render_configuration  # noqa: PLC0415 - only here

    text = render_configuration(
        user="mosquitto",
        bind="0.0.0.0",  # noqa: S104 - consumers are on other computers; who has no certificate is refused
        port=port_of(url),
        ca_file=PLACE / "ca.pem",
        certificate=PLACE / "cert.pem",
        key=PLACE / "key.pem",
        crl_file=PLACE / "crl.pem",
        acl_file=PLACE / "acl",
        data_folder=DATA,
        log_destination="stdout",
        **asdict(Limits()),
    )
    write_file(folder / "mosquitto.conf", text.encode())
    write_file(folder / "acl", render_access(Access({gateway: site}, [CONSUMER])).encode(), mode=0o600)
    if pki is None:
        return
    write_file(folder / "ca.pem", pki.mqtt_ca_file.read_bytes())
    write_file(folder / "crl.pem", pki.mqtt_crl_file.read_bytes())
    write_file(folder / "cert.pem", pki.broker.certificate.read_bytes())
    write_file(folder / "key.pem", pki.broker.key.read_bytes(), mode=0o600)
