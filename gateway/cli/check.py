"""`area4 check`: is the configuration right, can this computer run it, and does every connection work?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from gateway.cli.loading import config_option, settings_of
from gateway.cli.main import as_area4_error
from gateway.cli.output import progress, say, write_json
from gateway.config import Settings
from gateway.contracts import ProbeStep
from gateway.errors import Area4Error, ConfigurationError, RefusedError, UnreachableError

PROBE_SECONDS = 90.0
"""For all steps of one connection; each step has its own, shorter deadline."""

_HERE = "this computer"
_ERRORS = {kind.exit_code: kind for kind in (ConfigurationError, RefusedError, UnreachableError)}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was tried with one thing: this computer, or one connection."""

    link: str
    steps: tuple[ProbeStep, ...]

    @property
    def failed(self) -> ProbeStep | None:
        """The first step that failed."""
        return next((step for step in self.steps if not step.ok), None)


@click.command("check")
@config_option
@click.option("--offline", is_flag=True, help="Try no connection: only the file and this computer.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(file: Path, offline: bool, as_json: bool) -> None:
    """Validate the configuration, then try this computer and every connection step by step.

    It says which step fails and what to do. The exit code is that of the failure to begin with: 2 configuration or
    this computer, else 3 refused, else 4 unreachable.
    """
    settings = settings_of(file)
    found = asyncio.run(_check(settings, offline=offline, quiet=as_json))
    error = _error(found)
    if as_json:
        write_json(
            {
                "ok": error is None,
                "file": str(file),
                "waivers": settings.waivers,
                "checked": [{"link": one.link, "steps": [asdict(step) for step in one.steps]} for one in found],
            }
        )
    elif error is None:
        for waiver in settings.waivers:
            say(f"weaker than the default by the configuration's wish: {waiver}")
        say("Everything works." if not offline else "The configuration and this computer are in order.")
    if error is not None:
        raise error


async def _check(settings: Settings, *, offline: bool, quiet: bool) -> list[Checked]:
    from gateway.ops.preflight import local_steps  # noqa: PLC0415 - after the configuration is known to be right

    found = [Checked(_HERE, tuple(await local_steps(settings)))]
    if not quiet:
        _tell(found[0])
    if offline:
        return found
    tasks = _probes(settings)
    with progress(f"trying {len(tasks)} connections") as update:
        for name, task in tasks.items():
            update(f"trying {name}")
            found.append(Checked(name, await task))
            if not quiet:
                _tell(found[-1])
    return found


def _probes(settings: Settings) -> dict[str, asyncio.Task[tuple[ProbeStep, ...]]]:
    """All connections side by side: one that is slow does not hold up the others."""
    tasks = {f"source.{link.name}": _source_steps(settings, link.name) for link in settings.sources}
    tasks |= {f"sink.{link.name}": _sink_steps(settings, link.name) for link in settings.sinks}
    return {name: asyncio.create_task(_collect(steps), name=f"check {name}") for name, steps in tasks.items()}


async def _source_steps(settings: Settings, name: str) -> AsyncIterator[ProbeStep]:
    from gateway.app import make_source  # noqa: PLC0415 - loads the adapter

    link = next(link for link in settings.sources if link.name == name)
    source = make_source(link, lambda _machine, _state, _reason: None)
    async for step in source.probe():
        yield step


async def _sink_steps(settings: Settings, name: str) -> AsyncIterator[ProbeStep]:
    from gateway.app import make_sink  # noqa: PLC0415 - loads the adapter

    link = next(link for link in settings.sinks if link.name == name)
    sink = make_sink(link, settings)
    async for step in sink.probe():
        yield step


async def _collect(steps: AsyncIterator[ProbeStep]) -> tuple[ProbeStep, ...]:
    """The steps of one connection; whatever goes wrong is a step that failed."""
    found: list[ProbeStep] = []
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async for step in steps:
                found.append(step)  # noqa: PERF401 - what was found before a failure counts
    except TimeoutError:
        late = UnreachableError(f"not finished within {PROBE_SECONDS:g} s")
        found.append(ProbeStep.failed("deadline", late))
    except Exception as problem:
        known = as_area4_error(problem)
        if known is None:
            raise
        found.append(ProbeStep.failed("connect", known))
    return tuple(found)


def _tell(checked: Checked) -> None:
    say(f"{checked.link}")
    for step in checked.steps:
        say(f"  {'ok    ' if step.ok else 'FAILED'} {step.name}: {step.found}")
        if step.advice:
            say(f"         {'what to do: ' if not step.ok else 'note: '}{step.advice.removeprefix('What to do: ')}")


def _error(found: list[Checked]) -> Area4Error | None:
    """The failure to begin with: what is wrong here, then who refuses, then who is not there."""
    errors = [_failure(one.link, one.failed) for one in found if one.failed is not None]
    if not errors:
        return None
    first = min(errors, key=lambda error: error.exit_code)
    more = f" ({len(errors) - 1} more failed)" if len(errors) > 1 else ""
    return type(first)(f"{first}{more}.", advice=first.advice)


def _failure(link: str, step: ProbeStep) -> Area4Error:
    kind = ConfigurationError if link == _HERE else _ERRORS.get(step.exit_code, RefusedError)
    return kind(f"{link}: {step.name} failed: {step.found.rstrip('.')}", advice=step.advice)
