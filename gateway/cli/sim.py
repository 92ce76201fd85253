"""`area4 sim`: simulated servers one by one, with certificates that let a client of one's own in."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.output import say
from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from security.pki.lab import LabPki
    from simulators.mutants.mutant import Mutant
    from simulators.process import SimulatorProcess

FOLDER = Path(".sim")

_folder = click.option("--dir", "folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True,
                       help="Folder for certificates; made at the first start and used again.")  # fmt: skip
_port = click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True,
                     help="Of the first server; 0 finds a free one.")  # fmt: skip
_anonymous = click.option("--anonymous", is_flag=True, help="Log in anybody who has a trusted client certificate.")
_json = click.option("--json", "as_json", is_flag=True, help="Say what a client needs as one line of JSON.")

_json_list = click.option("--json", "as_json", is_flag=True, help="As JSON, with what each breaks.")


@click.group("sim")
def command() -> None:
    """Simulated OPC UA servers, one by one, and what is broken on purpose.

    Each makes a lab's certificates in `--dir` and says which of them a client needs. It runs until Ctrl-C.
    """


@command.command("load")
@_folder
@_port
@_anonymous
@_json
@click.option("--servers", type=click.IntRange(1, 200), default=1, show_default=True)
@click.option("--machines", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Of each server.")
@click.option("--signals", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Of each machine.")
@click.option("--types", default="Double", show_default=True, help="Of the signals, in turns: Double,Int32,String ...")
@click.option("--rate", default="10000", show_default=True, metavar="NUMBER|max",
              help="Changes a second of all servers together; max: as many as the subscribers take.")  # fmt: skip
@click.option("--queue", type=click.IntRange(1, 100_000), default=100, show_default=True,
              help="Values of a signal that a server keeps for a subscriber that does not ask.")  # fmt: skip
def load(
    folder: Path, port: int, anonymous: bool, as_json: bool, servers: int, machines: int, signals: int, types: str,
    rate: str, queue: int,
) -> None:  # fmt: skip
    """Servers that are only a load: many signals, at least 100,000 changes a second, a counter in each value.

    At its end it writes as JSON what it generated, sent and was acknowledged, and whether it was itself the limit.
    """
    from simulators.load.process import LoadOptions, LoadProcess, rate_of  # noqa: PLC0415 - the extra `lab`, only here

    try:
        changes = rate_of(rate)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--rate") from problem
    pki = _lab(folder / "load", "load")
    own = pki.machines["load"]
    options = LoadOptions(
        own.certificate_der, own.key, (own.trusted_certs, own.trusted_crl), (pki.users.root,), servers=servers,
        machines=machines, signals=signals, types=tuple(types.split(",")), rate=changes, queue=queue, port=port,
        anonymous=anonymous,
    )  # fmt: skip
    process = LoadProcess(options)
    asyncio.run(_run(process, pki, "load", as_json=as_json))
    click.echo(json.dumps(process.summary, indent=None if as_json else 2))


@command.command("machine")
@click.argument("kind")
@_folder
@_port
@_anonymous
@_json
@click.option("--serial", default="1", show_default=True, help="Its serial number, part of its identity.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run.")
@click.option("--factor", type=click.FloatRange(1, 1000), default=1.0, show_default=True, help="Time factor.")
@click.option("--eventful", is_flag=True, help="Alarms and an interruption within the first minute.")
@click.option("--ledger", type=click.Path(path_type=Path), help="File for the record of everything it showed.")
def machine(
    kind: str, folder: Path, port: int, anonymous: bool, as_json: bool, serial: str, seed: int, factor: float,
    eventful: bool, ledger: Path | None,
) -> None:  # fmt: skip
    """One simulated machine tool of this KIND: machining-centre, turning-centre, laser-cutter, or file.py:function."""
    from simulators.process import Options, SimulatorProcess  # noqa: PLC0415 - the extra `lab`, only here

    name = "own" if ":" in kind else kind
    pki = _lab(folder / name, name)
    own = pki.machines[name]
    options = Options(
        (kind,), own.certificate_der, own.key, (own.trusted_certs, own.trusted_crl), (pki.users.root,),
        serials=(serial,), seed=seed, factor=factor, eventful=eventful, ledger=ledger, port=port, anonymous=anonymous,
    )  # fmt: skip
    asyncio.run(_run(SimulatorProcess(options), pki, name, as_json=as_json))


@command.command("mutant")
@click.argument("identifier", metavar="ID")
@_folder
@_port
@_anonymous
@_json
@click.option("--kind", help="Machine that is broken; by default one that shows everything of OPC 40501-1.")
@click.option("--target", metavar="HOST:PORT",
              help="Broker behind a mutant network; by default a small one is started with it.")  # fmt: skip
def mutant(
    identifier: str, folder: Path, port: int, anonymous: bool, as_json: bool, kind: str | None, target: str | None
) -> None:  # fmt: skip
    """A device, broker or network that is broken in one way: the mutant of this ID (`area4 sim mutants` lists them).

    A mutant broker keeps what is to survive a kill in `--dir`: with the same `--port` it goes on from there. A mutant
    gateway is started by `area4 conform gateway`; for its ID this command says how.
    """
    from simulators.mutants.registry import mutants as registered  # noqa: PLC0415 - the extra `lab`, only here

    known = registered().get(identifier)
    if known is None:
        raise click.BadParameter(f"{identifier} is no mutant; `area4 sim mutants` lists them", param_hint="ID")
    family = identifier.partition(".")[0]
    if target is not None and family != "network":
        raise click.BadParameter(f"{identifier} is no network", param_hint="--target")
    if family != "device" and (kind is not None or anonymous):
        raise click.UsageError(f"--kind and --anonymous are for devices; {identifier} is none")
    if family == "device":
        _device_mutant(known, folder, port, anonymous=anonymous, as_json=as_json, kind=kind)
        return
    from gateway.cli.simmutant import serve  # noqa: PLC0415 - loads the mutants

    serve(known, folder, port, target, as_json=as_json)


def _device_mutant(known: Mutant, folder: Path, port: int, *, anonymous: bool, as_json: bool, kind: str | None) -> None:
    from simulators.mutants.reference import KIND  # noqa: PLC0415 - the extra `lab`, only here
    from simulators.process import Options, SimulatorProcess  # noqa: PLC0415 - likewise

    pki = _lab(folder / "mutant", "mutant")
    own = pki.machines["mutant"]
    options = Options(
        (kind or KIND,), own.certificate_der, own.key, (own.trusted_certs, own.trusted_crl), (pki.users.root,),
        port=port, anonymous=anonymous,
    )  # fmt: skip
    if not as_json:
        say(f"{known.title}: {known.breaks} ({known.source})")
    asyncio.run(_run(SimulatorProcess(options), pki, "mutant", as_json=as_json, mutant=known.id))


@command.command("mutants")
@_json_list
def mutants(as_json: bool) -> None:
    """What can be broken: every mutant with its ID, and what a correct implementation does instead."""
    from gateway.cli.lab import need_lab_packages  # noqa: PLC0415 - simulators, only here
    from simulators.mutants.registry import mutants as known  # noqa: PLC0415 - likewise

    need_lab_packages()
    rows = [{"id": one.id, "title": one.title, "breaks": one.breaks, "source": one.source} for one in known().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['id']}\n    {row['title']} ({row['source']})")


def _lab(folder: Path, name: str) -> LabPki:
    """The certificates of this folder, made where there are none yet."""
    from gateway.cli.lab import need_lab_packages  # noqa: PLC0415 - simulators and conformance, only here
    from security.pki.lab import create_lab, lab_paths  # noqa: PLC0415

    need_lab_packages()
    root = folder.resolve() / "pki"
    if root.exists():
        return lab_paths(root, machines=[name], gateway="gateway", watchers=["watcher"], site="lab")
    return create_lab(root, machines=[name])


async def _run(process: SimulatorProcess, pki: LabPki, name: str, *, as_json: bool, mutant: str | None = None) -> None:
    """Start it, say what a client needs, and wait for Ctrl-C or its end."""
    from simulators.process import SimulatorProcessError  # noqa: PLC0415 - the extra `lab`, only here

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await process.start()
        if mutant is not None:
            await process.command(do="mutant", id=mutant)
    except SimulatorProcessError as problem:
        await process.stop()
        raise UnreachableError(f"{problem}.") from problem
    access = {
        "urls": process.ready.get("urls", [process.url]),
        "machines": process.machines,
        "application_uri": pki.uris["gateway"],
        "certificate": str(pki.gateway_opcua.certificate),
        "key": str(pki.gateway_opcua.key),
        "user_certificate": str(pki.user.certificate),
        "user_key": str(pki.user.key),
        "trust": str(pki.gateway_opcua.root),
        "server_certificate": str(pki.machines[name].certificate_der),
    }
    tell(access, as_json=as_json)
    while not stop.is_set() and process.alive:
        try:
            async with asyncio.timeout(1.0):
                await stop.wait()
        except TimeoutError:
            continue
    code = await process.stop()
    if code:
        raise UnreachableError(f"the simulated server ended with code {code}.")


def tell(access: Mapping[str, object], *, as_json: bool) -> None:
    """What a client needs, on stdout: a line of JSON, or a list."""
    if as_json:
        click.echo(json.dumps(access))
        return
    for label, found in access.items():
        values = found if isinstance(found, list) else [found]
        say(f"{label.replace('_', ' '):20} {values[0]}")
        for value in values[1:]:
            say(f"{'':20} {value}")
    say("Ctrl-C ends it.")
