"""`area4 discover`: what an OPC UA server offers, which machines are there, and what would be published of them."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.certificates import Found, facts, tell
from gateway.cli.output import printable, progress, say, table, write_json
from gateway.cli.serveraccess import Access, config_of, configured, temporary, trust_named, with_pki, without_folder
from gateway.errors import Area4Error, ConfigurationError
from gateway.model.messages import MachineDescription, dump
from gateway.model.names import escape_level

if TYPE_CHECKING:
    from adapters.opcua.config import OpcUaConfig

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path)
_SHOWN_LACKS = 10
_PLAIN = {"BaseObjectType", "FolderType"}


@dataclass(slots=True)
class Findings:
    """What was found, as far as it went."""

    url: str
    endpoints: list[dict[str, object]]
    certificates: list[Found]
    machines: list[MachineDescription]
    problems: list[str]
    error: Area4Error | None = None


@click.command("discover")
@click.argument("url", required=False)
@click.option("--config", "-c", "file", type=_FILE, help="Use a source of this configuration instead of a URL.")
@click.option("--source", "source", help="Which source of --config; not needed if there is one.")
@click.option(
    "--pki", type=_FOLDER, help="PKI folder with our OPC UA certificate and trust; a temporary one without it."
)
@click.option("--trust", metavar="THUMBPRINT|FILE", help="Trust this server certificate, or this file's, this once.")
@click.option("--user", help="Name of the user at the server.")
@click.option("--password-file", type=_FILE, help="File with that user's password.")
@click.option(
    "--user-pki", type=_FOLDER, help="PKI folder with a user certificate; `user` beside --pki if it is there."
)
@click.option("--waiver", "waivers", multiple=True, help="Weaken something, by name: anonymous-user, sign-only, ...")
@click.option("--signals", is_flag=True, help="List every signal.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    url: str | None,
    file: Path | None,
    source: str | None,
    pki: Path | None,
    signals: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show endpoints, certificate, machines, what they lack, and what would be published.

    URL is opc.tcp://HOST:PORT. Nothing is written to the server and nothing is subscribed.
    """
    if (url is None) == (file is None):
        raise ConfigurationError("give either a URL (opc.tcp://HOST:PORT) or --config FILE.")
    if file is not None:
        found = _run(configured(file, source), None)
    else:
        assert url is not None
        access = Access(url=url, trust=options["trust"], user=options["user"], waivers=options["waivers"])
        access.password_file, access.user_pki = options["password_file"], options["user_pki"]
        with _identity(access, pki, quiet=as_json):
            found = _run(config_of(access), access)
    if as_json:
        write_json(_as_json(found))
    else:
        _tell(found, signals=signals)
    if found.error is not None:
        raise found.error


@contextmanager
def _identity(access: Access, pki: Path | None, *, quiet: bool) -> Iterator[None]:
    """Our certificate: of `pki`, or a temporary one, and then that is said."""
    if pki is not None:
        with_pki(access, pki)
        yield
        return
    with tempfile.TemporaryDirectory(prefix="area4-discover-") as folder:
        temporary(access, Path(folder))
        if not quiet:
            say(
                "No --pki: a certificate made for this call is shown to the server, which will hardly trust it; "
                "its key is deleted at the end."
            )
        yield


def _run(config: OpcUaConfig, access: Access | None) -> Findings:
    with progress(f"asking {config.url}") as update:
        return asyncio.run(_discover(config, access, update))


async def _discover(config: OpcUaConfig, access: Access | None, update: Any) -> Findings:  # noqa: ANN401 - a Progress
    from adapters.opcua.connection import NonceMemory, get_endpoints, open_connection  # noqa: PLC0415 - slow to load
    from adapters.opcua.discovery import discover  # noqa: PLC0415
    from adapters.opcua.transport import quiet_library  # noqa: PLC0415

    quiet_library()
    endpoints = await get_endpoints(config)
    found = Findings(config.url, [_endpoint(one) for one in endpoints], _certificates(endpoints), [], [])
    try:
        if access is not None and access.trust is not None:
            trust_named(access, [one.certificate for one in found.certificates])
        update("opening a secure session")
        connection = await open_connection(config, NonceMemory())
        try:
            update("looking for machines")
            plan = await discover(connection.client, source="discover", limits=connection.limits)
        finally:
            await connection.close()
    except Area4Error as error:
        found.error = error if access is None or not access.temporary else without_folder(access, error)
        return found
    found.machines = [machine.description for machine in plan.machines]
    found.problems = plan.problems
    return found


def _endpoint(endpoint: Any) -> dict[str, object]:  # noqa: ANN401 - of asyncua
    from adapters.opcua.endpoints import mode_name, policy_name  # noqa: PLC0415 - slow to load

    return {
        "url": endpoint.EndpointUrl,
        "policy": policy_name(endpoint.SecurityPolicyUri),
        "mode": mode_name(endpoint.SecurityMode),
        "level": int(endpoint.SecurityLevel),
        "users": sorted({token.TokenType.name for token in endpoint.UserIdentityTokens or []}),
        "server": endpoint.Server.ApplicationName.Text,
        "applicationUri": endpoint.Server.ApplicationUri,
    }


def _certificates(endpoints: Any) -> list[Found]:  # noqa: ANN401 - of asyncua
    from security.trust import parse_chain  # noqa: PLC0415 - with the adapter

    found: dict[bytes, Found] = {}
    for endpoint in endpoints:
        content = endpoint.ServerCertificate
        if content and content not in found:
            try:
                found[content] = Found(Path("server"), parse_chain(content)[0])
            except ValueError:
                continue  # said by the refusal of the session
    return list(found.values())


def _as_json(found: Findings) -> dict[str, object]:
    return {
        "url": found.url,
        "endpoints": found.endpoints,
        "certificates": [facts(one.certificate) for one in found.certificates],
        "machines": [dump(machine) for machine in found.machines],
        "problems": found.problems,
        "error": None if found.error is None else found.error.told,
    }


def _tell(found: Findings, *, signals: bool) -> None:
    say(f"{found.url}: {len(found.endpoints)} endpoints")
    rows = [["POLICY", "MODE", "LEVEL", "USERS", "URL"]]
    rows += [
        [
            str(one["policy"]),
            str(one["mode"]),
            str(one["level"]),
            ", ".join(map(str, one["users"] if isinstance(one["users"], list) else ())),
            str(one["url"]),
        ]
        for one in found.endpoints
    ]
    table(rows, "  ")
    now = dt.datetime.now(dt.UTC)
    for certificate in found.certificates:
        say("Certificate of the server (unproven until a person has compared its thumbprint):")
        tell(certificate, now, "  ")
    if found.error is not None:
        return
    say(f"Machines that would be published: {len(found.machines)}" if found.machines else "No machine was found.")
    for machine in found.machines:
        _tell_machine(machine, signals=signals)
    for problem in found.problems:
        say(f"  note: {problem}")


def _tell_machine(machine: MachineDescription, *, signals: bool) -> None:
    say(f"  {machine.name} ({machine.type})")
    vendor = sum(signal.vendor for signal in machine.signals)
    say(f"    identity    {machine.id}")
    say(f"    topic       area4/v1/SITE/{escape_level(machine.id)}/data")
    for name, label in (("Manufacturer", "made by"), ("Model", "model"), ("SerialNumber", "serial no")):
        value = machine.identification.get(name)
        if value is not None:
            say(f"    {label:<12}{value.get('text') if isinstance(value, dict) else value}")
    say(f"    signals     {len(machine.signals)}, of them {vendor} of the vendor's own")
    types = Counter(component.type for component in machine.components if component.type not in _PLAIN)
    say(f"    components  {', '.join(f'{name} ({count})' for name, count in types.most_common(12)) or 'none'}")
    if machine.lacks:
        say(f"    lacks       {len(machine.lacks)} mandatory nodes of its types:")
        for lack in machine.lacks[:_SHOWN_LACKS]:
            say(f"      {lack.path} (required by {lack.required_by})")
        if len(machine.lacks) > _SHOWN_LACKS:
            say(f"      and {len(machine.lacks) - _SHOWN_LACKS} more (--json lists all)")
    else:
        say("    lacks       nothing that its types make mandatory")
    if signals:
        table([[printable(one.path), one.data_type, _unit(one)] for one in machine.signals], "      ")


def _unit(signal: Any) -> str:  # noqa: ANN401 - a Signal
    if signal.quarantined:
        return f"cannot be read: {signal.quarantined}"
    return (signal.unit.symbol or signal.unit.code or "") if signal.unit else ""
