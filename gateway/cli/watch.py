"""`area4 watch`: what arrives at the broker, as a plain consumer sees it."""

from __future__ import annotations

import fnmatch
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.errors import ConfigurationError, UnreachableError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("watch")
@click.option("--lab", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The folder of a running `area4 demo`, instead of URL and certificates.")  # fmt: skip
@click.option("--url", help="The broker: mqtts://host:port.")
@click.option("--ca", type=_FILE, help="Certificate of the authority that the broker's certificate is of.")
@click.option("--cert", type=_FILE, help="Our certificate, PEM.")
@click.option("--key", type=_FILE, help="Its key, PEM.")
@click.option("--protocol", type=click.Choice(["5", "3.1.1"]), default="5", show_default=True, help="MQTT version.")
@click.option("--topic", default="area4/v1/#", show_default=True, help="What to subscribe.")
@click.option("--machine", default="*", help="Only machines whose identity fits this pattern.")
@click.option("--path", "pattern", default="*", help="Only signals whose path fits this pattern.")
@click.option("--live", is_flag=True, help="A table that is drawn again and again, instead of lines.")
@click.option("--for", "seconds", type=float, help="End after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="The messages as they came, one JSON object a line.")
def command(**options: Any) -> None:
    """Show values, events, gaps and states as they arrive at the broker.

    Ends with Ctrl-C, or after `--for` seconds. A line is: source time, machine, path, value with unit, and the status
    when it is not good.
    """
    from conformance.consumer import Access, Consumer, ConsumerError  # noqa: PLC0415 - only this command needs it
    from conformance.observer import Observer  # noqa: PLC0415

    if options["lab"]:
        options.update(lab_access(options["lab"]))
    missing = [f"--{name}" for name in ("url", "ca", "cert", "key") if not options[name]]
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)}; or --lab with the folder of a demo")
    files = (options["ca"], options["cert"], options["key"])
    access = Access(options["url"], *files, protocol=options["protocol"], topics=(options["topic"],))
    observer = Observer()
    end = time.monotonic() + options["seconds"] if options["seconds"] else float("inf")
    try:
        with Consumer(access) as consumer:
            if options["live"]:
                _live(consumer, observer, options, end)
            else:
                _lines(consumer, observer, options, end)
    except ConsumerError as error:
        raise UnreachableError(f"{error}.", advice="Check the URL and the certificates (`area4 pki show`).") from error


def lab_access(folder: Path) -> dict[str, Any]:
    """Access to the broker of a demo."""
    place = folder / "watcher"
    try:
        found: dict[str, Any] = json.loads((place / "access.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} is no folder of a demo: {place / 'access.json'} cannot be read.",
            advice="Start `area4 demo`; it says which folder it uses.",
        ) from error
    return {**found, "ca": place / "ca.pem", "cert": place / "cert.pem", "key": place / "key.pem"}


def _lines(consumer: Any, observer: Any, options: dict[str, Any], end: float) -> None:  # noqa: ANN401 - late imports
    while time.monotonic() < end:
        for message in consumer.drain(wait=0.2):
            before = observer.unreadable[:]
            observer.take([message])
            if observer.unreadable != before:
                click.echo(f"not understood: {observer.unreadable[-1]}", err=True)
                continue
            for line in _told(message, observer, options):
                click.echo(line)
        sys.stdout.flush()


def _told(message: Any, observer: Any, options: dict[str, Any]) -> list[str]:  # noqa: ANN401 - late imports
    if not message.payload:
        return []  # a connection test, or a retained message that was cleared: nothing is said
    body = json.loads(message.payload)
    machine = body.get("machine", "")
    if machine and not fnmatch.fnmatchcase(machine, options["machine"]):
        return []
    if "samples" in body:
        body["samples"] = [one for one in body["samples"] if fnmatch.fnmatchcase(one["path"], options["pattern"])]
        if not body["samples"]:
            return []
    if options["as_json"]:
        return [json.dumps({"topic": message.topic, "retained": message.retained, **body}, ensure_ascii=False)]
    return [_safe(line) for line in _text(message.topic.rsplit("/", 1)[-1], body, observer)]


def _text(kind: str, body: dict[str, Any], observer: Any) -> list[str]:  # noqa: ANN401 - late imports
    from gateway.cli.view import shown_sample  # noqa: PLC0415 - rich is needed for --live only

    match kind:
        case "data":
            machine = observer.machines[body["machine"]]
            return [
                f"{sample['time'] or '-':28} {body['machine']} {sample['path']} = "
                f"{shown_sample(sample, machine.signals.get(sample['path'], {}))}"
                for sample in body["samples"]
            ]
        case "event":
            event = body["event"]
            text = (event.get("message") or {}).get("text", "")
            return [f"{event['time'] or '-':28} {body['machine']} event {event['type']} {event['severity']}: {text}"]
        case "gap":
            lost = body.get("lost", "unknown number of")
            return [f"{body['end']:28} {body['machine']} GAP {body['cause']}: {lost} values since {body['begin']}"]
        case "description":
            described = body["description"]
            return [f"{body['taken']:28} {body['machine']} described: {len(described.get('signals', []))} signals"]
        case _:
            name = body.get("machine") or f"gateway {body.get('gateway')}"
            return [f"{body.get('since') or '-':28} {name} {body['state']} {body.get('reason') or ''}".rstrip()]


def _safe(line: str) -> str:
    """Without control characters, which a machine's texts could carry into the terminal."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)


def _live(consumer: Any, observer: Any, options: dict[str, Any], end: float) -> None:  # noqa: ANN401 - late imports
    from rich.live import Live  # noqa: PLC0415 - only here

    from gateway.cli.view import LiveView, lost_of  # noqa: PLC0415

    view = LiveView(observer)
    with Live(screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while time.monotonic() < end:
            observer.take(consumer.drain(wait=0.5))
            size = (live.console.width, live.console.height)
            facts = {"broker": options["url"], "lost": str(sum(map(lost_of, observer.machines.values())))}
            live.update(view.draw(time.monotonic(), facts, ["Ctrl-C ends it"], size), refresh=True)
