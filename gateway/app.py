"""The composition root: settings become sources, sinks, outbox and pipeline, watched by metrics and a status page."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version as version_of
from typing import TypeAlias

import msgspec

from adapters.registry import ENCODINGS, SINKS, SOURCES, Adapter, MakeSink, MakeSource
from gateway.config import Link, Settings
from gateway.contracts import LinkStatus, MachineListener, Sink, Source
from gateway.model import GatewayStatus, MachineState
from gateway.model.messages import dump
from gateway.model.times import TICKS_PER_SECOND, UNIX_EPOCH_TICKS, iso_from_ticks, ticks_from_unix_ns
from gateway.ops.http import Server
from gateway.ops.notify import Notifier
from gateway.ops.snapshot import LinkFigures, LinkKind, MachineFigures, OutboxFigures, Snapshot
from gateway.outbox import Limits, Outbox
from gateway.pipeline import MachineStates, Pipeline, PipelineSettings

_LOG = logging.getLogger(__name__)

STATUS_SECONDS = 5.0
"""Between two looks at how the gateway stands, for systemd."""

Sources: TypeAlias = Mapping[str, Adapter[MakeSource]]
Sinks: TypeAlias = Mapping[str, Adapter[MakeSink]]

DISTRIBUTION = "area4-gateway"


def version() -> str:
    """Of this gateway."""
    return version_of(DISTRIBUTION)


def make_source(link: Link, on_machine: MachineListener, sources: Sources = SOURCES) -> Source:
    """The source of a configured table; touches no network."""
    return sources[link.type].make(link.name, link.config, on_machine=on_machine)


def make_sink(link: Link, settings: Settings, sinks: Sinks = SINKS) -> Sink:
    """The sink of a configured table; touches no network.

    Raises:
        ConfigurationError: There is no such encoding.
    """
    encode = ENCODINGS[str(getattr(link.config, "encoding", "common"))]
    gateway = settings.gateway
    return sinks[link.type].make(
        link.name, link.config, site=gateway.site, gateway=gateway.name, version=version(), encode=encode
    )


class Gateway:
    """One gateway, from its start to its graceful end.

    Args:
        settings: The whole configuration.
        notifier: Whom to tell that we live; systemd by default.
        sources: Adapters for its sources.
        sinks: Adapters for its sinks.
    """

    def __init__(
        self,
        settings: Settings,
        notifier: Notifier | None = None,
        *,
        sources: Sources = SOURCES,
        sinks: Sinks = SINKS,
    ) -> None:
        self._settings = settings
        self._adapters = (sources, sinks)
        self._notifier = notifier or Notifier()
        self._started = time.time()
        self._owners: dict[str, str] = {}
        self._machines = MachineStates()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Let `run` end gracefully."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`; then what was read is stored, delivered as far as seconds allow, and all is closed.

        Raises:
            ConfigurationError: The outbox or the port is in use, or a name does not exist.
            StorageError: The outbox cannot be opened.
        """
        settings = self._settings
        source_adapters, sink_adapters = self._adapters
        sources = [make_source(link, self._listener(link.name), source_adapters) for link in settings.sources]
        sinks = [make_sink(link, settings, sink_adapters) for link in settings.sinks]
        async with AsyncExitStack() as stack:
            outbox = await Outbox.open(
                settings.outbox_path, limits=_limits(settings), sinks=[sink.name for sink in sinks]
            )
            stack.push_async_callback(outbox.close)
            pipeline = Pipeline(sources, sinks, outbox, _behaviour(settings), self._machines, _backlog_rates(settings))
            if settings.http.enabled:
                address = settings.http.address
                server = Server(address.host, address.port, lambda: self._snapshot(pipeline, outbox))
                await stack.enter_async_context(server)
                _LOG.info("metrics and status: http://%s:%d/", _bracketed(address.host), server.port)
            self._tell_start()
            self._announce(sinks)
            await self._carry(pipeline, outbox)
        _LOG.info("stopped")

    async def _carry(self, pipeline: Pipeline, outbox: Outbox) -> None:
        """The pipeline, until it ends or is asked to."""
        carrying = asyncio.create_task(pipeline.run(), name="pipeline")
        watching = asyncio.create_task(self._watch(pipeline, outbox), name="watch")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        self._notifier.ready("running")
        try:
            await asyncio.wait((carrying, watching, stopping), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            self._notifier.stopping()
            pipeline.stop()
            await carrying
        finally:
            for task in (carrying, watching, stopping):
                task.cancel()
            await asyncio.gather(carrying, watching, stopping, return_exceptions=True)

    async def _watch(self, pipeline: Pipeline, outbox: Outbox) -> None:
        """Tell systemd that the loop is alive and how the gateway stands."""
        interval = min(self._notifier.watchdog_interval or STATUS_SECONDS, STATUS_SECONDS)
        while True:
            self._notifier.alive()
            snapshot = self._snapshot(pipeline, outbox)
            up = sum(link.up for link in snapshot.links)
            self._notifier.status(
                f"{up} of {len(snapshot.links)} connections up, {len(snapshot.machines)} machines, "
                f"{snapshot.outbox.messages} messages in the outbox"
            )
            await asyncio.sleep(interval)

    def _listener(self, source: str) -> MachineListener:
        def listen(machine: str, state: MachineState, reason: str) -> None:
            self._owners[machine] = source
            self._machines(machine, state, reason)

        return listen

    def _tell_start(self) -> None:
        settings = self._settings
        _LOG.info(
            "area4 %s: gateway %s at site %s, %d sources, %d sinks, outbox %s",
            version(),
            settings.gateway.name,
            settings.gateway.site,
            len(settings.sources),
            len(settings.sinks),
            settings.outbox_path,
        )
        for waiver in settings.waivers:
            _LOG.warning("weaker than the default by the configuration's wish: %s", waiver)

    def _announce(self, sinks: list[Sink]) -> None:
        """Online, with version and waivers; the sinks themselves tell the end."""
        status = GatewayStatus(
            gateway=self._settings.gateway.name,
            state="online",
            version=version(),
            since=iso_from_ticks(ticks_from_unix_ns(int(self._started * 1e9))),
            waivers=list(self._settings.waivers),
        )
        payload = msgspec.json.encode(dump(status))
        for sink in sinks:
            sink.announce("gateway-status", self._settings.gateway.name, payload)

    def _snapshot(self, pipeline: Pipeline, outbox: Outbox) -> Snapshot:
        depth = outbox.depth()
        return Snapshot(
            gateway=self._settings.gateway.name,
            site=self._settings.gateway.site,
            version=version(),
            started=self._started,
            links=[*self._links("source", pipeline, outbox), *self._links("sink", pipeline, outbox)],
            machines=[
                MachineFigures(name, self._owners.get(name, ""), heard.state, _unix(heard.since), heard.reason)
                for name, heard in sorted(self._machines.all().items())
            ],
            outbox=OutboxFigures(
                depth.messages,
                depth.bytes,
                self._settings.outbox.max_bytes,
                depth.oldest_age,
                pipeline.storage_trouble,
            ),
            gaps=dict(pipeline.counters.gaps),
            waivers=self._settings.waivers,
        )

    def _links(self, kind: LinkKind, pipeline: Pipeline, outbox: Outbox) -> list[LinkFigures]:
        statuses: Mapping[str, LinkStatus] = pipeline.links()
        counters = pipeline.counters
        if kind == "source":
            return [
                LinkFigures(link.name, kind, statuses[link.name], counters.values_in[link.name])
                for link in self._settings.sources
            ]
        names = {link.name for link in self._settings.sources}
        return [
            LinkFigures(
                link.name,
                kind,
                statuses[f"sink:{link.name}" if link.name in names else link.name],
                counters.delivered[link.name],
                counters.refused[link.name],
                min(outbox.last_id - outbox.cursor(link.name), outbox.depth().messages),
            )
            for link in self._settings.sinks
        ]


def run_until_signal(settings: Settings) -> None:
    """Run a gateway in this process: SIGTERM or SIGINT ends it gracefully, a second one at once."""
    asyncio.run(_run_until_signal(settings))


async def _run_until_signal(settings: Settings) -> None:
    gateway = Gateway(settings)
    loop = asyncio.get_running_loop()
    asked = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            _LOG.warning("%s again: ending at once; the outbox keeps what is not delivered", number.name)
            logging.shutdown()
            os._exit(128 + number)  # the outbox is durable at any moment, and everything else may be hanging
        asked = True
        _LOG.info("%s: stopping; once more ends at once", number.name)
        gateway.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await gateway.run()


def _limits(settings: Settings) -> Limits:
    outbox = settings.outbox
    return Limits(bytes=outbox.max_bytes, age=outbox.max_age, message=outbox.max_message_bytes, full=outbox.full)


def _behaviour(settings: Settings) -> PipelineSettings:
    return PipelineSettings(linger=settings.outbox.linger, message_samples=settings.outbox.max_message_samples)


def _backlog_rates(settings: Settings) -> dict[str, float]:
    rates = {link.name: getattr(link.config, "backlog_rate", None) for link in settings.sinks}
    return {name: rate for name, rate in rates.items() if rate is not None}


def _unix(ticks: int) -> float:
    return (ticks - UNIX_EPOCH_TICKS) / TICKS_PER_SECOND


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
