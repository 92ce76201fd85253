"""`area4 init`: a commented configuration and its certificates, asked for or given as options."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.cli import brokerfiles
from gateway.cli.loading import models
from gateway.cli.output import progress, say
from gateway.cli.template import Answers, configuration
from gateway.config import ConfigurationFileError, parse_settings
from gateway.errors import ConfigurationError, StorageError
from security.files import write_file
from security.pki import create_lab, lab_paths

FILE = "area4.toml"
_PASSWORD = Path("secrets") / "opcua-password"


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--name", help="Name of this gateway; the computer's name by default.")
@click.option("--site", help="Name of the site; stands in every topic.")
@click.option(
    "--opcua", "servers", multiple=True, metavar="[NAME=]URL", help="An OPC UA server, opc.tcp://...; repeatable."
)
@click.option("--broker", metavar="URL", help="The MQTT broker, mqtts://HOST:8883.")
@click.option("--user", help="User at the OPC UA servers: `certificate`, `anonymous` (a waiver), or a name.")
@click.option("--password-file", type=click.Path(path_type=Path), help="File with that user's password.")
@click.option("--host", "hosts", multiple=True, help="Name or address of this computer and of the broker; repeatable.")
@click.option("--no-pki", is_flag=True, help="Make no certificates: the plant's own authority issues them.")
@click.option(
    "--mosquitto", is_flag=True, help="Write FOLDER/mosquitto too: configuration of a broker for the gateway."
)
def command(
    folder: Path,
    name: str | None,
    site: str | None,
    servers: tuple[str, ...],
    broker: str | None,
    user: str | None,
    password_file: Path | None,
    hosts: tuple[str, ...],
    no_pki: bool,
    mosquitto: bool,
) -> None:
    """Write a commented configuration and its certificates into FOLDER (default: here).

    On a terminal it asks for what the options do not say. Nothing existing is overwritten.
    """
    file = folder / FILE
    if file.exists():
        raise ConfigurationError(f"{file}: the file exists already.", advice="Edit it, or name another folder.")
    asked = _Asked()
    name = name or asked.text("Name of this gateway", default=_host_name(), option="--name")
    site = site or asked.text("Site (stands in every topic)", default="site1", option="--site")
    if not servers:
        servers = (asked.text("URL of the OPC UA server", default=None, option="--opcua"),)
    broker = broker or asked.text("URL of the MQTT broker", default=None, option="--broker")
    user = user or asked.text(
        "User at the OPC UA server (certificate, anonymous, or a name)", default="certificate", option="--user"
    )
    secret = _password(user, password_file, asked)
    hosts = hosts or (_host_name(),)
    if mosquitto:
        _fit_for_mosquitto(name, broker)
        hosts = (*hosts, _host_of(broker))  # the broker's certificate must name the host that clients dial
    pki = lab_paths(Path("pki"), machines=(), gateway=_slug(name) or "gateway", site=_slug(site) or "site")
    answers = Answers(
        name=name,
        site=site,
        servers=_named(servers),
        broker=broker,
        user=user,
        password_file=password_file.absolute() if password_file else _PASSWORD,
        application_uri=pki.uris["gateway"],
        opcua=pki.gateway_opcua.root,
        mqtt=pki.gateway_mqtt.root,
        user_pki=pki.user.root,
    )
    _write(folder, answers, secret, hosts, with_pki=not no_pki, mosquitto=mosquitto)
    _tell_next(folder, answers, with_pki=not no_pki, mosquitto=mosquitto)


class _Asked:
    """Questions on a terminal; without one, defaults, and an error where there is none."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def text(self, question: str, *, default: str | None, option: str) -> str:
        if self._terminal:
            return str(click.prompt(question, default=default)).strip()
        if default is None:
            raise ConfigurationError(f"{option} is missing, and there is no terminal to ask on.")
        return default

    def secret(self, question: str, *, option: str) -> str:
        if not self._terminal:
            raise ConfigurationError(f"{option} is missing, and there is no terminal to ask on.")
        return str(click.prompt(question, hide_input=True, confirmation_prompt=True))


def _password(user: str, file: Path | None, asked: _Asked) -> str | None:
    """The password to write, where the user needs one and no file was named."""
    if user in {"certificate", "anonymous"}:
        if file is not None:
            raise ConfigurationError("--password-file has no meaning without --user NAME.")
        return None
    return None if file is not None else asked.secret(f"Password of {user}", option="--password-file")


def _named(servers: Sequence[str]) -> dict[str, str]:
    """Sources by name: as given, else after the host."""
    found: dict[str, str] = {}
    for text in servers:
        given = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.*)", text)
        url = given[2] if given else text
        name = given[1].replace(".", "-") if given else _slug(_host_of(url)) or "server"
        base, number = name, 2
        while name in found:
            if given:
                raise ConfigurationError(f"--opcua {text}: the name {base} is given twice.")
            name, number = f"{base}-{number}", number + 1
        found[name] = url
    return found


def _fit_for_mosquitto(name: str, broker: str) -> None:
    """Refuse what an access list by certificate identity cannot express.

    Raises:
        ConfigurationError: The gateway's name cannot be its identity, or the broker speaks no TLS.
    """
    brokerfiles.port_of(broker)
    if _slug(name) != name:
        raise ConfigurationError(
            f"--name {name}: with --mosquitto the name is the gateway's identity at the broker; allowed: letters, "
            f"digits and -, at most 40, for example {_slug(name) or 'gateway'}."
        )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _write(
    folder: Path, answers: Answers, secret: str | None, hosts: tuple[str, ...], *, with_pki: bool, mosquitto: bool
) -> None:
    text = configuration(answers)
    file = folder / FILE
    sources, sinks = models()
    try:
        parse_settings(file.absolute(), text, sources, sinks)
    except ConfigurationFileError as problem:
        told = [one.split(": ", 1)[-1] for one in problem.problems]
        raise ConfigurationError("; ".join(told) + ".", advice="Nothing was written.") from problem
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pki = None
        if with_pki:
            with progress("making keys and certificates"):
                local = ("localhost", "127.0.0.1", "::1")
                pki = create_lab(
                    folder / "pki",
                    machines=(),
                    gateway=_slug(answers.name) or "gateway",
                    site=_slug(answers.site) or "site",
                    hosts=tuple(dict.fromkeys((*local, *hosts))),
                )
        if mosquitto:
            brokerfiles.write_mosquitto(
                folder / "mosquitto", url=answers.broker, gateway=answers.name, site=answers.site, pki=pki
            )
        if secret is not None:
            write_file(folder / _PASSWORD, secret.encode(), mode=0o600)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as problem:
        raise StorageError(
            f"{problem.filename or folder}: cannot be written ({problem.strerror or problem})."
        ) from problem


def _tell_next(folder: Path, answers: Answers, *, with_pki: bool, mosquitto: bool) -> None:
    file = folder / FILE
    say(f"Written: {file}")
    if with_pki:
        say(f"Written: {folder / 'pki'} (keys, certificates, two authorities)")
    if mosquitto:
        say(f"Written: {folder / 'mosquitto'} (for {brokerfiles.PLACE} on the broker's computer)")
    say()
    say("Next steps:")
    steps = []
    if with_pki:
        steps.append(
            f"Give the machine the authority's certificate to trust: {folder / 'pki/ca/opcua/ca.der'} "
            f"and its revocation list {folder / 'pki/ca/opcua/crl.der'}."
        )
        steps.append(
            f"Move {folder / 'mosquitto'} to {brokerfiles.PLACE} for the user mosquitto, and start the broker with its "
            "mosquitto.conf (docs/integrators.md)."
            if mosquitto
            else f"Give the broker its certificate and key from {folder / 'pki/broker/mqtt/own'}, "
            f"and {folder / 'pki/ca/mqtt/ca.pem'} as its authority."
        )
    else:
        steps.append(
            f"Make requests for your own authority: area4 pki csr {folder / answers.opcua} --purpose application "
            f"--name {answers.name} --uri {answers.application_uri} --host {_host_name()}; "
            f"area4 pki csr {folder / answers.mqtt} --purpose client --name {answers.name}; "
            "then install the answers with `area4 pki install`, and put the authorities into trusted/."
        )
    steps.append(f"Try it: area4 check --config {file}")
    steps.append(
        f"An unknown server's certificate waits in {folder / answers.opcua / 'rejected'}: compare its thumbprint with "
        f"the machine's own display, then: area4 pki approve {folder / answers.opcua} THUMBPRINT"
    )
    steps.append(f"Run it: area4 run --config {file}")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")


def _host_name() -> str:
    return _slug(socket.gethostname()) or "gateway"


def _slug(text: str) -> str:
    """Letters, digits and `-` of ASCII: fit for URIs, file names and certificates."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", text).strip("-")[:40]
