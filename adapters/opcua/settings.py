"""Which settings a signal's monitored item gets: the source's own, changed by the overrides that fit."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from asyncua import ua

from adapters.opcua.config import MachinesConfig, OpcUaConfig, OverrideConfig
from adapters.opcua.plan import MachinePlan, SignalPlan

_ABSOLUTE, _PERCENT = 1, 2  # DeadbandType (OPC 10000-4, 7.22.2)


@dataclass(frozen=True, slots=True)
class ItemSettings:
    """Of one monitored item; `deadband` with its type, or None."""

    sampling: float
    queue: int
    deadband: tuple[int, float] | None = None

    def request(self, plan: SignalPlan, handle: int, *, filtered: bool = True) -> ua.MonitoredItemCreateRequest:
        """The request to create the item."""
        parameters = ua.MonitoringParameters(
            ClientHandle=handle, SamplingInterval=self.sampling * 1000, QueueSize=self.queue, DiscardOldest=True
        )
        if self.deadband is not None and filtered:
            parameters.Filter = ua.DataChangeFilter(
                Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=self.deadband[0], DeadbandValue=self.deadband[1]
            )
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=plan.node, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=parameters,
        )


def wanted(machines: MachinesConfig, plan: MachinePlan) -> bool:
    """Whether the machine is to be read."""
    names = (plan.description.id, plan.description.name)
    included = any(fnmatchcase(name, pattern) for pattern in machines.include for name in names)
    return included and not any(fnmatchcase(name, pattern) for pattern in machines.exclude for name in names)


def settings_of(config: OpcUaConfig, machine: MachinePlan, plan: SignalPlan) -> ItemSettings | None:
    """The settings of a signal, None if it is to be ignored; the first override that fits decides each setting."""
    subscription = config.subscription
    sampling = queue = ignore = deadband = None
    for override in config.overrides:
        if not _fits(override, machine, plan):
            continue
        ignore = override.ignore if ignore is None else ignore
        sampling = override.sampling_interval if sampling is None else sampling
        queue = override.queue_size if queue is None else queue
        if deadband is None and override.deadband is not None:
            deadband = (_ABSOLUTE, override.deadband)
        elif deadband is None and override.deadband_percent is not None:
            deadband = (_PERCENT, override.deadband_percent)
    if ignore:
        return None
    interval = subscription.sampling_interval if sampling is None else sampling
    size = subscription.queue_size if queue is None else queue
    if interval and queue is None:  # holds three publishing intervals whatever the configured size
        size = max(size, int(3 * subscription.publishing_interval / interval) + 1)
    return ItemSettings(interval, size, deadband)


def _fits(override: OverrideConfig, machine: MachinePlan, plan: SignalPlan) -> bool:
    names = (machine.description.id, machine.description.name)
    return (
        fnmatchcase(plan.ref.path, override.path)
        and fnmatchcase(plan.component_type, override.component_type)
        and fnmatchcase(plan.data_type, override.data_type)
        and any(fnmatchcase(name, override.machine) for name in names)
    )
