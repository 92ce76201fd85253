"""`area4 conform`: judge devices, gateways, brokers, networks; list checks; compare, sign and verify reports."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.output import say, table, write_json
from gateway.errors import ConfigurationError, NonConformityError

if TYPE_CHECKING:
    from conformance.suite.catalogue import Catalogue
    from conformance.suite.check import Check, Requirement

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_KINDS = ("device", "gateway", "broker", "network")
_checks = click.option("--checks", "folders", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
                       help="A folder with checks of your own. May be given again.")  # fmt: skip

_RUNS = {
    "device": "Judge an OPC UA server of machine tools.",
    "gateway": "Judge a gateway between a simulated machine and a broker.",
    "broker": "Judge an MQTT broker.",
    "network": "Judge the way to a broker.",
}


class _Group(click.Group):
    """Commands that run checks are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those that run first."""
        return [*_RUNS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in _RUNS:
            return super().get_command(ctx, cmd_name)
        found = getattr(importlib.import_module("gateway.cli.conformtargets"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The list in the help, without an import."""
        rows = list(_RUNS.items())
        rows += [(name, one.get_short_help_str(80)) for name, one in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group("conform", cls=_Group)
def command() -> None:
    """Judge devices, gateways, brokers and networks by the standards of machine tools.

    Every check says what it asks for, by which clause, what it saw, and how to repeat it alone. Runs read only, unless
    --allow-writes or --allow-stress is given. Exit code 0: the target conforms to what was asked; 5: it does not, or
    that could not be shown. docs/conformance/ explains states, claims, reports and checks of one's own.
    """


def catalogue_of(folders: tuple[Path, ...]) -> tuple[Catalogue, list[Any]]:
    """The catalogue with those of plug-ins, and the plug-ins.

    Raises:
        ConfigurationError: A plug-in cannot be used.
    """
    from conformance import plugins  # noqa: PLC0415 - only these commands need it
    from conformance.suite.catalogue import CatalogueError, shipped  # noqa: PLC0415

    try:
        found = [*plugins.installed(), *(plugins.of_folder(folder) for folder in folders)]
        return plugins.joined(shipped(), found), found
    except (plugins.PluginError, CatalogueError) as error:
        raise ConfigurationError(f"{error}.") from error


@command.command("list")
@click.option("--target", type=click.Choice(_KINDS), help="Only of this kind of target.")
@click.option("--units", is_flag=True, help="Conformance units and profiles instead, as a claim file names them.")
@click.option("--requirements", is_flag=True, help="Requirements instead, with the number of their checks.")
@_checks
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything that is known of each.")
def list_(target: str | None, units: bool, requirements: bool, folders: tuple[Path, ...], as_json: bool) -> None:
    """List the checks with their ids."""
    if units and requirements:
        raise click.UsageError("--units and --requirements are two lists; ask for one")
    catalogue, _ = catalogue_of(folders)
    chosen = [one for one in catalogue.checks.values() if target in {None, one.target}]
    if units:
        _units(catalogue, chosen, as_json=as_json)
    elif requirements:
        rows = [one for one in catalogue.requirements.values() if target is None or target in one.targets]
        _requirements(rows, chosen, as_json=as_json)
    elif as_json:
        write_json([one.model_dump(mode="json") for one in chosen])
    else:
        table([(one.id, "manual" if one.manual else one.obligation.value, one.title) for one in chosen])
        by_hand = sum(one.manual for one in chosen)
        say(f"{len(chosen) - by_hand} checks, and {by_hand} that are left to a person")


def _units(catalogue: Catalogue, checks: list[Check], *, as_json: bool) -> None:
    names = {unit for check in checks for unit in check.units}
    names |= {unit for profile in catalogue.profiles.values() for unit in profile.units}
    counts = {name: sum(name in check.units for check in checks) for name in sorted(names)}
    profiles = {one.name: sorted(catalogue.units_of([one.name])) for one in catalogue.profiles.values()}
    if as_json:
        write_json({"units": counts, "profiles": profiles})
        return
    table([(name, f"{count} checks") for name, count in counts.items()])
    say()
    table([(one.name, one.uri) for one in catalogue.profiles.values()])


def _requirements(rows: list[Requirement], checks: list[Check], *, as_json: bool) -> None:
    found = {row.id: [one.id for one in checks if row.id in one.requirements and not one.manual] for row in rows}
    if as_json:
        write_json([{**row.model_dump(mode="json"), "checks": found[row.id]} for row in rows])
        return
    table([(row.id, row.goal.value, f"{len(found[row.id])} checks", row.title) for row in rows])
    say(f"{sum(bool(one) for one in found.values())} of {len(rows)} requirements have checks")


@command.command("show")
@click.argument("check_id", metavar="ID")
@_checks
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(check_id: str, folders: tuple[Path, ...], as_json: bool) -> None:
    """Show a check, or a requirement."""
    catalogue, _ = catalogue_of(folders)
    row = catalogue.requirements.get(check_id)
    one = catalogue.checks.get(check_id)
    if one is not None:
        body = one.model_dump(mode="json")
    elif row is not None:
        answers = [check.id for check in catalogue.checks.values() if row.id in check.requirements]
        body = {**row.model_dump(mode="json"), "checks": answers}
    else:
        raise ConfigurationError(f"there is no check or requirement {check_id!r}; `area4 conform list` shows all.")
    if as_json:
        write_json(body)
        return
    rows = [(name, value) for name, value in body.items() if value not in ("", [], {}, False)]
    table([(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in rows])


@command.command("compare")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="REPORT...")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the comparison as one page.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(files: tuple[Path, ...], html: Path | None, as_json: bool) -> None:
    """Lay reports (JSON) side by side, differences first."""
    from conformance.reports import compare as forms  # noqa: PLC0415

    found = forms.compare([_report(file) for file in files])
    if html is not None:
        write(html, forms.page(found))
    if as_json:
        write_json(forms.facts(found))
    else:
        for line in forms.text(found):
            say(line)


@command.command("sign")
@click.argument("file", type=_FILE, metavar="REPORT")
@click.option("--cert", type=_FILE, required=True, help="PEM: your certificate, then those up to your authority.")
@click.option("--key", type=_FILE, required=True, help="Its key, PEM without a password.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it; by default in place of REPORT.")
def sign(file: Path, cert: Path, key: Path, out: Path | None) -> None:
    """Sign a report (JSON).

    A reader then knows who stands for it, and that nobody changed it since.
    """
    from conformance.reports import signature  # noqa: PLC0415

    try:
        text = signature.sign(file.read_bytes(), cert.read_bytes(), key.read_bytes())
    except (signature.SignatureError, signature.DocumentError) as error:
        raise ConfigurationError(f"{error}.") from error
    write(out or file, text)
    say(f"signed: {out or file}")


@command.command("verify")
@click.argument("file", type=_FILE, metavar="REPORT")
@click.option("--ca", type=_FILE, required=True, help="PEM: authorities that you trust.")
def verify(file: Path, ca: Path) -> None:
    """Verify a signed report (JSON).

    Says who signed it and when. Exit code 5: it is not signed, was changed, or the signer is of no authority of --ca.
    """
    from conformance.reports import signature  # noqa: PLC0415
    from conformance.reports.html.page import judgement  # noqa: PLC0415

    try:
        found = signature.verify(file.read_bytes(), ca.read_bytes())
    except (signature.SignatureError, signature.DocumentError) as error:
        raise NonConformityError(f"{file}: {error}.") from error
    table([
        ("signed by", found.signer),
        ("certificate", f"SHA-256 {found.thumbprint}"),
        ("of", found.authority),
        ("at", f"{found.signed.isoformat()} by the signer's clock"),
        ("says", judgement(found.report)),
    ])  # fmt: skip


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of reports."""
    from conformance.reports.document import schema_text  # noqa: PLC0415

    click.echo(schema_text(), nl=False)


def _report(file: Path) -> Any:  # noqa: ANN401 - the model is imported late
    from conformance.reports.document import DocumentError, read_file  # noqa: PLC0415

    try:
        return read_file(file)
    except DocumentError as error:
        raise ConfigurationError(f"{error}.", advice="Name reports that `--json FILE` wrote.") from error


def write(file: Path, text: str) -> None:
    """Write a form of a report whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
