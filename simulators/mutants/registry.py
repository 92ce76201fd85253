"""All mutants, by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from simulators.mutants import (
    device_basics,
    device_behaviour,
    device_channels,
    device_endpoints,
    device_hostile,
    device_model,
    device_services,
    device_sessions,
    device_trust,
)
from simulators.mutants.broker import broker_mutants
from simulators.mutants.device import DeviceMutant
from simulators.mutants.gateway_table import gateway_mutants
from simulators.mutants.mutant import Mutant
from simulators.mutants.network import network_mutants


def device_mutants() -> dict[str, DeviceMutant]:
    """Mutant devices, which `simulators.mutants.device.Switch` switches."""
    return _by_id(
        device_basics.MUTANTS,
        device_model.MUTANTS,
        device_endpoints.MUTANTS,
        device_trust.MUTANTS,
        device_channels.MUTANTS,
        device_sessions.MUTANTS,
        device_hostile.MUTANTS,
        device_services.MUTANTS,
        device_behaviour.MUTANTS,
    )


def mutants() -> Mapping[str, Mutant]:
    """Mutants of every kind."""
    return {**device_mutants(), **gateway_mutants(), **broker_mutants(), **network_mutants()}


def _by_id(*lists: Iterable[DeviceMutant]) -> dict[str, DeviceMutant]:
    found: dict[str, DeviceMutant] = {}
    for one in (mutant for some in lists for mutant in some):
        if one.id in found:
            raise ValueError(f"there are two mutants {one.id}")
        found[one.id] = one
    return found
