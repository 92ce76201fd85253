"""`area4 audit`: anybody's proof that nothing is lost, by a plain consumer of the broker."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.output import progress, say, table, write_json
from gateway.cli.watch import lab_access
from gateway.errors import ConfigurationError, LossError, UnreachableError

if TYPE_CHECKING:
    from conformance.audit import Audit, AuditReport, MachineAudit
    from conformance.consumer import Consumer
    from conformance.latency import Latencies

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

SHOWN = 20
"""Findings that are written out; the rest is counted."""

LOOK_SECONDS = 0.2


@click.command("audit")
@click.option("--url", help="The broker: mqtts://host:port.")
@click.option("--ca", type=_FILE, help="Certificate of the authority that the broker's certificate is of.")
@click.option("--cert", type=_FILE, help="Our certificate, PEM.")
@click.option("--key", type=_FILE, help="Its key, PEM.")
@click.option("--lab", type=click.Path(path_type=Path), help="Instead of all that: folder of a demo that runs.")
@click.option("--protocol", type=click.Choice(["5", "3.1.1"]), default="5", show_default=True, help="MQTT version.")
@click.option("--topic", default="area4/v1/#", show_default=True, help="What to subscribe.")
@click.option("--for", "seconds", type=click.FloatRange(0.1), help="Judge so many seconds; else until Ctrl-C.")
@click.option("--settle", type=click.FloatRange(0), default=5.0, show_default=True,
              help="Seconds to listen on afterwards, for what is still on its way.")  # fmt: skip
@click.option("--ledger", "ledgers", type=_FILE, multiple=True, metavar="FILE",
              help="A simulator's ledger: compare every value with the truth. May be given again.")  # fmt: skip
@click.option("--announced-ok", is_flag=True, help="Exit code 0 also where losses were announced by gap messages.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def command(**options: Any) -> None:
    """Subscribe as a plain consumer and report what is missing.

    For each machine: messages, repeats, holes in the stream (epoch, seq), gaps that were announced with their causes,
    and how late data arrives (source time to arrival, taken by the gateway to arrival). Exit code 0 says that nothing
    was lost, 5 that something was, or that it could not be shown that nothing was. docs/reliability.md says what that
    proves, and how a consumer in any language does the same.
    """
    from conformance.audit import Audit  # noqa: PLC0415 - only this command needs it
    from conformance.consumer import Access, Consumer, ConsumerError  # noqa: PLC0415

    if options["lab"]:
        options.update(lab_access(options["lab"]))
    missing = [f"--{name}" for name in ("url", "ca", "cert", "key") if not options[name]]
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)}; or --lab with the folder of a demo")
    files = (options["ca"], options["cert"], options["key"])
    # With a session the broker keeps what comes while our connection is down; MQTT 3.1.1 would keep it for ever.
    client_id = f"area4-audit-{secrets.token_hex(4)}" if options["protocol"] == "5" else ""
    access = Access(options["url"], *files, client_id, protocol=options["protocol"], topics=(options["topic"],))
    audit = Audit(time.time(), keep=bool(options["ledgers"]))
    try:
        with Consumer(access) as consumer:
            until = _listen(consumer, audit, options["seconds"], options["settle"])
    except ConsumerError as error:
        raise UnreachableError(f"{error}.", advice="Check the URL and the certificates (`area4 pki show`).") from error
    report = audit.report(_truth(options["ledgers"]), until=until)
    if options["as_json"]:
        write_json({"seconds": round(until - audit.begin, 1), **report.facts()})
    else:
        _tell(report, until - audit.begin)
    _judge(report, announced_ok=options["announced_ok"])


def _listen(consumer: Consumer, audit: Audit, seconds: float | None, settle: float) -> float:
    """Follow the messages; the Unix time up to which is judged."""
    end = time.monotonic() + seconds if seconds else float("inf")
    with _interrupted() as ended, progress("listening ..."):
        while time.monotonic() < end and not ended.is_set():
            audit.take(consumer.drain(wait=LOOK_SECONDS))
    until = time.time()
    end = time.monotonic() + settle
    with progress("taking what is still on its way ..."):
        while time.monotonic() < end:
            audit.take(consumer.drain(wait=LOOK_SECONDS))
    return until


@contextlib.contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; afterwards they do what they did before."""
    ended = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: ended.set()) for number in numbers]
    try:
        yield ended
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _truth(ledgers: tuple[Path, ...]) -> list[dict[str, Any]] | None:
    from conformance.delivery import read_ledger  # noqa: PLC0415

    if not ledgers:
        return None
    try:
        return [line for path in ledgers for line in read_ledger([path])]
    except ValueError as error:
        raise ConfigurationError(f"{error}.", advice="Name ledgers that simulated machines wrote.") from error


def _tell(report: AuditReport, seconds: float) -> None:
    say(f"{len(report.machines)} machines, {seconds:.0f} s")
    head = ("machine", "messages", "repeats", "values", "holes", "gaps", "source to arrival", "taken to arrival")
    table([head, *(_row(machine) for machine in report.machines)])
    say("latencies in ms: half of all, 99 of 100, longest; source times are by the machines' clocks")
    for machine in report.machines:
        if machine.backfilled:
            say(f"read from history after an interruption: {machine.id} {machine.backfilled} values")
        if machine.stream.displaced:
            say(f"came behind younger ones, and those again: {machine.id} {machine.stream.displaced} messages")
        for cause, count in sorted(machine.stream.gaps.items()):
            say(f"gaps announced: {machine.id} {cause} {count}")
        for _, low, high in machine.stream.announced:
            say(f"missing as announced: {machine.id} seq {low} to {high}")
    if report.values is not None:
        values = report.values
        say(
            f"ledger: {values.expected} values due, {len(values.missing)} missing, {len(values.announced)} missing as "
            f"announced, {len(values.wrong)} wrong, {len(values.disordered)} signals out of order"
        )
    findings = report.findings()
    for line in findings[:SHOWN]:
        say(line)
    if len(findings) > SHOWN:
        say(f"and {len(findings) - SHOWN} more")
    say(f"lossless: {'yes' if report.lossless else 'no, as announced' if report.told_all else 'no'}")


def _row(machine: MachineAudit) -> tuple[str, ...]:
    stream = machine.stream
    return (
        machine.id,
        str(stream.messages),
        str(stream.repeats),
        str(machine.values),
        str(len(stream.holes) + len(stream.announced)),
        str(stream.gaps.total()),
        _milliseconds(machine.from_source),
        _milliseconds(machine.from_taken),
    )


def _milliseconds(latencies: Latencies) -> str:
    if not latencies.count:
        return "-"
    figures = (latencies.percentile(50), latencies.percentile(99), latencies.longest)
    return " ".join(f"{1000 * (figure or 0.0):.0f}" for figure in figures)


def _judge(report: AuditReport, *, announced_ok: bool) -> None:
    """End with exit code 5 unless nothing was lost.

    Raises:
        LossError: Something was, or nothing came that could show it.
    """
    if not report.flowed:
        raise LossError(
            "no message came, so nothing is shown.",
            advice="Check --topic, whether the gateway runs, and whether our certificate may read these topics.",
        )
    if not report.told_all:
        raise LossError("messages or values are missing, wrong or out of order, and no gap says so.")
    if not report.lossless and not announced_ok:
        raise LossError("values were lost, and gap messages say which.", advice="Look at their causes above.")
