"""Prometheus metrics, made from a snapshot at each scrape: nothing is counted twice, nothing grows with time."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.contracts import LinkState
from gateway.model import GapCause
from gateway.ops.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES: tuple[str, ...] = get_args(LinkState)
GAP_CAUSES: tuple[str, ...] = get_args(GapCause)

_LINK = ["kind", "name"]


class Metrics(Collector):
    """The gateway's metrics in a registry of their own."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not take a snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics of this moment."""
        snapshot = self._snapshot()
        yield from _links(snapshot)
        yield from _machines(snapshot)
        yield from _outbox(snapshot)
        yield from _process(snapshot)


def _links(snapshot: Snapshot) -> Iterator[Metric]:
    state = GaugeMetricFamily("area4_link_state", "1 for the state that a connection is in.", labels=[*_LINK, "state"])
    up = GaugeMetricFamily("area4_link_up", "1 while values pass through a connection.", labels=_LINK)
    since = GaugeMetricFamily(
        "area4_link_state_since_seconds", "Unix time since which a connection is in its state.", labels=_LINK
    )
    values_in = CounterMetricFamily("area4_values_in", "Samples and events read from a source.", labels=["source"])
    out = CounterMetricFamily("area4_messages_out", "Messages acknowledged by a sink's broker.", labels=["sink"])
    refused = CounterMetricFamily("area4_messages_refused", "Messages that a sink's broker refused.", labels=["sink"])
    pending = GaugeMetricFamily(
        "area4_messages_pending", "Messages that a sink has not delivered yet.", labels=["sink"]
    )
    expiry = GaugeMetricFamily(
        "area4_certificate_expiry_timestamp_seconds",
        "Unix time at which the first certificate of either side of a connection ends.",
        labels=_LINK,
    )
    for link in snapshot.links:
        labels = [link.kind, link.name]
        for one in STATES:
            state.add_metric([*labels, one], float(link.status.state == one))
        up.add_metric(labels, float(link.up))
        since.add_metric(labels, link.status.since)
        if link.status.certificate_expiry is not None:
            expiry.add_metric(labels, link.status.certificate_expiry)
        if link.kind == "source":
            values_in.add_metric([link.name], link.values)
        else:
            out.add_metric([link.name], link.values)
            refused.add_metric([link.name], link.refused)
            pending.add_metric([link.name], link.pending)
    yield from (state, up, since, values_in, out, refused, pending, expiry)


def _machines(snapshot: Snapshot) -> Iterator[Metric]:
    online = GaugeMetricFamily("area4_machine_online", "1 while a machine is heard.", labels=["machine", "source"])
    for machine in snapshot.machines:
        online.add_metric([machine.id, machine.source], float(machine.state == "online"))
    gaps = CounterMetricFamily("area4_gaps", "Announced losses by cause.", labels=["cause"])
    for cause in sorted({*GAP_CAUSES, *snapshot.gaps}):
        gaps.add_metric([cause], snapshot.gaps.get(cause, 0))
    waivers = GaugeMetricFamily("area4_waiver_in_use", "1 for each weakening that is configured.", labels=["waiver"])
    for waiver in snapshot.waivers:
        waivers.add_metric([waiver], 1.0)
    yield from (online, gaps, waivers)


def _outbox(snapshot: Snapshot) -> Iterator[Metric]:
    figures = snapshot.outbox
    yield GaugeMetricFamily("area4_outbox_messages", "Messages in the outbox.", value=figures.messages)
    yield GaugeMetricFamily("area4_outbox_bytes", "Bytes in the outbox.", value=figures.bytes)
    yield GaugeMetricFamily("area4_outbox_max_bytes", "Bytes that the outbox may hold.", value=figures.max_bytes)
    yield GaugeMetricFamily("area4_outbox_oldest_seconds", "Age of the oldest message.", value=figures.oldest)
    yield GaugeMetricFamily("area4_outbox_writable", "1 while the outbox can store.", value=float(not figures.problem))


def _process(snapshot: Snapshot) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "area4_build_info", "1; the labels name the build.", labels=["version", "python", "gateway"]
    )
    info.add_metric([snapshot.version, platform.python_version(), snapshot.gateway], 1.0)
    ready = GaugeMetricFamily("area4_ready", "1 while every connection is up and the outbox can store.")
    ready.add_metric([], float(not snapshot.not_ready()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = CounterMetricFamily("process_cpu_seconds", "User and system CPU time.", value=used.ru_utime + used.ru_stime)
    start = GaugeMetricFamily("process_start_time_seconds", "Unix time of the start.", value=snapshot.started)
    uptime = GaugeMetricFamily("area4_uptime_seconds", "Since the start.", value=time.time() - snapshot.started)
    yield from (info, ready, cpu, start, uptime)
    resident = resident_bytes()
    if resident is not None:
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=resident)


def resident_bytes() -> int | None:
    """Resident memory of this process; None where the system does not tell it."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None
