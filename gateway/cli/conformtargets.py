"""`area4 conform device`, `gateway`, `broker`, `network`: from options to a target."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.suite.check import TargetKind
from conformance.suite.target import Target
from gateway.cli.conformrun import Common, common_options, judge
from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from conformance.broker.access import Access

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_LAB_CONFIG = "area4.toml"


@click.command("device")
@click.argument("url", required=False)
@click.option("--lab", type=_FOLDER, help="Instead: folder of a demo that runs; judges its first machine.")
@click.option("--source", help="With --lab: another machine, as the demo's configuration names it.")
@click.option("--certificate", type=_FILE, help="The suite's own certificate as a client, PEM or DER.")
@click.option("--key", type=_FILE, help="Its key, PEM.")
@click.option("--trust", type=_FILE, multiple=True,
              help="Certificate of the device or its authority; else any is accepted. May be repeated.")  # fmt: skip
@click.option("--policy", help="Security policy of the session: best, None, or its name.", default="best",
              show_default=True)  # fmt: skip
@click.option("--user", default="", help="User name; without user the session is anonymous.")
@click.option("--password-file", type=_FILE, help="File with the user's password.")
@click.option("--user-certificate", type=_FILE, help="The user's certificate, in place of a name.")
@click.option("--user-key", type=_FILE, help="Its key, PEM.")
@click.option("--test-ca", type=_FOLDER, help="Folder of a test authority that the device trusts for this test.")
@common_options
def device(url: str | None, lab: Path | None, source: str | None, **options: Any) -> None:
    """Judge the OPC UA server of a machine tool at URL (opc.tcp://host:port).

    Without URL, --lab DIR judges a machine of a demo. Reads only, at most 20 requests a second, one session, unless
    --allow-writes or --allow-stress is given.
    """
    common = Common.of(options)
    if (url is None) == (lab is None):
        raise click.UsageError("give either the URL of a server, or --lab with the folder of a demo")
    if lab is not None:
        url, found = _lab_device(lab, source)
        options.update(found)
    judge(TargetKind.DEVICE, common, lambda: _device(url or "", common, options))


def _device(url: str, common: Common, options: dict[str, Any]) -> Target:
    from conformance.device.access import Access, Policy  # noqa: PLC0415 - asyncua is loaded only where it is used
    from conformance.device.target import DeviceTarget, Observing  # noqa: PLC0415

    if not url.startswith("opc.tcp://"):
        raise ConfigurationError(f"{url!r} is no address of an OPC UA server; allowed is opc.tcp://host:port.")
    _pair(options, "certificate", "key")
    _pair(options, "user_certificate", "user_key")
    policies = {one.value.lower(): one for one in Policy}
    policy = policies.get(str(options["policy"]).lower())
    if policy is None:
        raise ConfigurationError(f"--policy {options['policy']}; allowed: {', '.join(one.value for one in Policy)}.")
    password = options["password_file"]
    access = Access(
        url=url,
        certificate=options["certificate"],
        key=options["key"],
        trust=tuple(options["trust"]),
        policy=policy,
        user=options["user"],
        password=password.read_text(encoding="utf-8").strip() if password is not None else "",
        user_certificate=options["user_certificate"],
        user_key=options["user_key"],
        test_authority=options["test_ca"],
    )
    return DeviceTarget(access, Observing() if common.window is None else Observing(common.window))


def _lab_device(folder: Path, source: str | None) -> tuple[str, dict[str, Any]]:
    """URL of a demo's machine, and the gateway's certificates, which it trusts."""
    from adapters.opcua.config import OpcUaConfig  # noqa: PLC0415 - loads the adapters
    from gateway.cli.loading import settings_of  # noqa: PLC0415

    file = folder / _LAB_CONFIG
    if not file.exists():
        raise ConfigurationError(f"{folder} is no folder of a demo that runs: {_LAB_CONFIG} is missing.")
    configs = {link.name: link.config for link in settings_of(file).sources if isinstance(link.config, OpcUaConfig)}
    name = source or next(iter(configs), "")
    if name not in configs:
        raise ConfigurationError(f"{file}: --source {name}; allowed: {', '.join(configs)}.")
    config = configs[name]
    trusted = config.security.trust / "trusted" / "certs"
    return config.url, {
        "certificate": config.security.certificate,
        "key": config.security.key,
        "trust": tuple(sorted(one for one in trusted.iterdir() if one.is_file())),
        "user_certificate": config.user.certificate,
        "user_key": config.user.key,
    }


@click.command("gateway")
@click.option("--command", "start", metavar="COMMAND",
              help="How the gateway is started; {stage} becomes the file that says what it must connect. `area4` is "
              "this gateway. Without, the file is named and somebody starts it.")  # fmt: skip
@click.option("--format", "form", default="area4", show_default=True, help="Of its messages.")
@click.option("--wait", type=click.FloatRange(1), default=60.0, show_default=True,
              help="Seconds until its first data may take.")  # fmt: skip
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Folder for the stage; a new one by default.")
@common_options
def gateway(start: str | None, form: str, wait: float, folder: Path | None, **options: Any) -> None:
    """Judge a gateway: it reads a simulated machine, writes to a broker, and everything that arrives is compared.

    Needs the extra `lab`.
    """
    from gateway.cli.lab import need_lab_packages  # noqa: PLC0415 - the extra `lab`, only here

    common = Common.of(options)
    need_lab_packages()
    with tempfile.TemporaryDirectory(prefix="area4-conform-") as temporary:
        place = folder or Path(temporary) / "stage"
        judge(TargetKind.GATEWAY, common, lambda: _gateway(start, form, wait, place, common))


def _gateway(start: str | None, form: str, wait: float, folder: Path, common: Common) -> Target:
    from conformance.gateway.target import GatewayTarget, Settings  # noqa: PLC0415
    from gateway.cli.stage import Gateway, LabStage  # noqa: PLC0415 - loads the simulators

    settings = Settings(format=form, wait=wait, command=start or "")
    if common.window is not None:
        settings = Settings(format=form, wait=wait, command=start or "", window=common.window)
    stage = LabStage(folder, Gateway(start))

    def told() -> None:
        if start is None:
            click.echo(f"the stage stands: {stage.stage_file} says what the gateway must connect", err=True)

    return GatewayTarget(stage, settings, told)


_BROKER = (
    click.option("--lab", type=_FOLDER, help="Instead of URL and certificates: folder of a demo that runs."),
    click.option("--ca", type=_FILE, help="PEM: authorities that issued the broker's certificate."),
    click.option("--certificate", type=_FILE, help="A gateway's certificate, PEM: may publish to --topic."),
    click.option("--key", type=_FILE, help="Its key, PEM."),
    click.option("--reader-certificate", type=_FILE, help="One that may subscribe, where the gateway's may not."),
    click.option("--reader-key", type=_FILE, help="Its key."),
    click.option("--topic", help="Topic that the gateway may publish to, with {} for a name of the suite's own."),
    click.option("--plain-port", "plain_ports", type=click.IntRange(1, 65_535), multiple=True,
                 help="Port on which no listener without TLS may be; 1883 by default. May be given again."),
    click.option("--patience", type=click.FloatRange(1), default=15.0, show_default=True,
                 help="Seconds that it may take to answer."),
)  # fmt: skip


def _broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_BROKER):
        command = option(command)
    return command


@click.command("broker")
@click.argument("url", required=False)
@_broker_options
@click.option("--other-certificate", type=_FILE, help="Another gateway's: may publish to --foreign-topic.")
@click.option("--other-key", type=_FILE, help="Its key.")
@click.option("--revoked-certificate", type=_FILE, help="One that the broker's revocation list names.")
@click.option("--revoked-key", type=_FILE, help="Its key.")
@click.option("--ca-key", type=_FILE, help="Key of a test authority of client certificates; the suite issues bad ones.")
@click.option("--foreign-topic", help="Topic that the gateway may neither publish to nor read, with {}.")
@click.option("--restart-command", metavar="COMMAND", help="Kills the broker without warning and starts it again.")
@common_options
def broker(url: str | None, **options: Any) -> None:
    """Judge the MQTT broker at URL (mqtts://host:port) as a gateway relies on it."""
    common = Common.of(options)
    url = _broker_url(url, options)
    judge(TargetKind.BROKER, common, lambda: _broker(url, options))


@click.command("network")
@click.argument("url", required=False)
@_broker_options
@click.option("--time-server", metavar="HOST[:PORT]", help="Answers SNTP; the clock of the shop floor is to be its.")
@common_options
def network(url: str | None, time_server: str | None, **options: Any) -> None:
    """Judge the way from here to the broker at URL (mqtts://host:port): throughput, round trip, TLS, clock.

    Throughput is measured only with --allow-stress.
    """
    common = Common.of(options)
    url = _broker_url(url, options)
    judge(TargetKind.NETWORK, common, lambda: _network(url, time_server, options))


def _broker_url(url: str | None, options: dict[str, Any]) -> str:
    """Where the broker is; a demo's folder fills in what was not given."""
    lab = options.pop("lab")
    if (url is None) == (lab is None):
        raise click.UsageError("give either the URL of a broker, or --lab with the folder of a demo")
    if lab is not None:
        found = _lab_broker(lab)
        url = str(found.pop("url"))
        options.update({name: value for name, value in found.items() if options[name] is None})
    missing = [f"--{name}" for name in ("ca", "certificate", "key") if options[name] is None]
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)}; or --lab with the folder of a demo")
    return url or ""


def _broker(url: str, options: dict[str, Any]) -> Target:
    from conformance.broker.target import BrokerTarget  # noqa: PLC0415

    return BrokerTarget(_broker_access(url, options), repeat=_again("broker", url, options))


def _network(url: str, time_server: str | None, options: dict[str, Any]) -> Target:
    from conformance.network.target import NetworkTarget  # noqa: PLC0415

    host, _, port = (time_server or "").partition(":")
    if port and not port.isdecimal():
        raise ConfigurationError(f"--time-server {time_server}; allowed is HOST or HOST:PORT.")
    return NetworkTarget(
        _broker_access(url, options),
        time_server=(host, int(port or 123)) if host else None,
        repeat=_again("network", url, {**options, "time_server": time_server}),
    )


def _broker_access(url: str, options: dict[str, Any]) -> Access:
    from conformance.broker.access import Access, AccessError, Identity, address, by_command  # noqa: PLC0415

    def identity(name: str) -> Identity | None:
        certificate, key = (f"{name}_certificate", f"{name}_key") if name else ("certificate", "key")
        if options.get(certificate) is None and options.get(key) is None:
            return None
        _pair(options, certificate, key)
        return Identity(options[certificate], options[key])

    given = {name: options[name] for name in ("topic", "foreign_topic") if options.get(name)}
    if options["plain_ports"]:
        given["plain_ports"] = options["plain_ports"]
    client = identity("")
    assert client is not None
    restart = options.get("restart_command")
    try:
        host, port = address(url)
        return Access(
            host=host,
            port=port,
            ca=options["ca"],
            client=client,
            reader=identity("reader"),
            other=identity("other"),
            revoked=identity("revoked"),
            ca_key=options.get("ca_key"),
            restart=by_command(restart) if restart else None,
            patience=options["patience"],
            **given,
        )
    except AccessError as error:
        raise ConfigurationError(f"{error}.") from error


def _lab_broker(folder: Path) -> dict[str, Any]:
    """A demo's broker: the gateway publishes, the watcher reads."""
    from adapters.mqtt.config import MqttConfig  # noqa: PLC0415 - loads the adapters
    from gateway.cli.lab import SITE  # noqa: PLC0415
    from gateway.cli.loading import settings_of  # noqa: PLC0415
    from gateway.cli.watch import lab_access  # noqa: PLC0415

    reader = lab_access(folder)
    configs = [link.config for link in settings_of(folder / _LAB_CONFIG).sinks if isinstance(link.config, MqttConfig)]
    security = configs[0].security if configs else None
    if security is None:
        raise ConfigurationError(f"{folder / _LAB_CONFIG}: there is no MQTT sink with a certificate.")
    return {
        "url": reader["url"],
        "ca": reader["ca"],
        "certificate": security.certificate,
        "key": security.key,
        "reader_certificate": reader["cert"],
        "reader_key": reader["key"],
        "topic": f"area4/v1/{SITE}/conform-{{}}/data",
    }


def _pair(options: dict[str, Any], certificate: str, key: str) -> None:
    if (options[certificate] is None) != (options[key] is None):
        names = " and ".join(f"--{name.replace('_', '-')}" for name in (certificate, key))
        raise ConfigurationError(f"{names} belong together: give both or neither.")


def _again(kind: str, url: str, options: dict[str, Any]) -> str:
    """The command line without the options that concern the report."""
    line = ["area4", "conform", kind, url]
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and one is not False:
                option = "--plain-port" if name == "plain_ports" else f"--{name.replace('_', '-')}"
                line += [option, *([] if one is True else [str(one)])]
    return shlex.join(line)
