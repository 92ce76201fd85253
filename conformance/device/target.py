"""The device target: an OPC UA server, looked at once, then judged by rules."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from conformance.device import behaviour, declared, model, security
from conformance.device.access import Access
from conformance.device.behaviour.observation import Observation
from conformance.device.behaviour.recorder import observe
from conformance.device.crawl import crawl
from conformance.device.prober import Prober, prober_of
from conformance.device.session import Session
from conformance.device.snapshot import Node, Reading, Snapshot, Structure, Text
from conformance.suite.catalogue import shipped
from conformance.suite.check import TargetKind
from conformance.suite.claims import Claim
from conformance.suite.outcome import Verdict
from conformance.suite.report import TreeNode
from conformance.suite.target import Rule, TargetError

_DEPTH = 12
_VALUE = 80
UNIT_RULE = "model.unit"
"""Of the checks that find out whether a conformance unit is there."""


@dataclass(frozen=True, slots=True)
class Observing:
    """The observation window.

    Attributes:
        seconds: How long; 0 leaves it out.
    """

    seconds: float = 30.0


class DeviceTarget:
    """A device; see `conformance.suite.target.Target`.

    Attributes:
        access: How it is reached.
        session: The suite's session on it, once it is open.
        snapshot: What was found in its address space, once it is open.
    """

    kind = TargetKind.DEVICE
    rules: Mapping[str, Rule] = {**model.RULES, **security.RULES, **behaviour.RULES, **behaviour.OBSERVING}

    def __init__(self, access: Access, observing: Observing = Observing()) -> None:
        self.access = access
        self.observing = observing
        self.name = access.url
        self.session = Session(access)
        self.snapshot = Snapshot({})
        self._observation: Observation | TargetError | None = None

    @cached_property
    def prober(self) -> Prober:
        """What the security checks ask with: connections of their own."""
        return prober_of(self.access)

    async def open(self) -> None:
        """Connect and look at the address space.

        Raises:
            TargetError: It does not answer.
        """
        await self.session.open()
        self.snapshot = await crawl(self.session)

    async def close(self) -> None:
        """Leave nothing behind. Never raises."""
        await self.session.close()

    async def observed(self) -> Observation:
        """What was seen in the observation window, which begins with the first question about it.

        Raises:
            TargetError: The device does not let itself be watched.
        """
        if self._observation is None:
            try:
                self._observation = await observe(self.prober, self.snapshot, self.observing.seconds)
            except TargetError as error:
                self._observation = error
        if isinstance(self._observation, TargetError):
            raise self._observation
        return self._observation

    async def claim(self) -> Claim:
        """The profiles of its ServerProfileArray that the catalogue knows, and the units whose nodes are there."""
        found = self.snapshot.server.get("ServerCapabilities/ServerProfileArray", Reading())
        told = found.value if isinstance(found.value, list) else []
        catalogue = shipped()
        known = {one.uri for one in catalogue.profiles.values() if one.uri}
        units = [
            unit
            for check in catalogue.of(self.kind)
            if check.rule == UNIT_RULE and declared.unit(self.snapshot, check.parameters).verdict is Verdict.PASS
            for unit in check.units
        ]
        build = self.build_info()
        return Claim(
            product=build.get("ProductName", ""),
            vendor=build.get("ManufacturerName", ""),
            version=build.get("SoftwareVersion", ""),
            target=self.kind,
            profiles=tuple(one for one in told if one in known),
            units=tuple(dict.fromkeys(units)),
            written=False,
        )

    def build_info(self) -> dict[str, str]:
        """BuildInfo by field, as text."""
        found = self.snapshot.server.get("ServerStatus/BuildInfo", Reading()).value
        if not isinstance(found, Structure) or found.fields is None:
            return {}
        return {key: str(value) for key, value in found.fields.items() if value not in (None, "")}

    def fingerprint(self) -> dict[str, str]:
        """BuildInfo, certificate, namespaces."""
        made = {f"BuildInfo {key}": value for key, value in self.build_info().items()}
        if self.session.certificate is not None:
            made["certificate SHA-256"] = self.session.certificate.fingerprint(hashes.SHA256()).hex()
            made["certificate subject"] = self.session.certificate.subject.rfc4514_string()
        for machine in self.snapshot.machines:
            made[f"machine {machine.name.name}"] = self.snapshot.type_name(machine.type)
        return made

    def options(self) -> dict[str, str]:
        """What of the settings matters to the result."""
        endpoint = self.session.endpoint
        policy = (endpoint.SecurityPolicyUri or "").rpartition("#")[2] if endpoint is not None else "none"
        user = self.access.user or ("a certificate" if self.access.user_certificate else "anonymous")
        return {
            "policy": f"{policy}/{endpoint.SecurityMode.name}" if endpoint is not None else policy,
            "user": user,
            "device certificate": "held against the trust list" if self.access.trust else "accepted unseen",
            "requests per second": f"{self.access.limits.requests_per_second:g}",
            "nodes": str(len(self.snapshot.nodes)),
            "left out": "; ".join(self.snapshot.incomplete) or "nothing",
        }

    def tree(self) -> tuple[TreeNode, ...]:
        """Its machines."""
        return tuple(self._branch(machine, set(), 0) for machine in self.snapshot.machines)

    def _branch(self, node: Node, seen: set[str], depth: int) -> TreeNode:
        seen.add(node.id)
        children = []
        if depth < _DEPTH:
            for _, child in self.snapshot.children(node):
                if child.id not in seen:
                    children.append(self._branch(child, seen, depth + 1))
        kind = self.snapshot.type_name(node.type) if node.type else node.node_class
        return TreeNode(path=self.snapshot.path(node), kind=kind, value=shown(node.reading), children=tuple(children))

    def repeat(self, check_id: str) -> str:
        """The command line that does one check again."""
        access = self.access
        line = ["area4", "conform", "device", access.url, "--only", check_id]
        places: tuple[tuple[str, Path | None], ...] = (
            ("--certificate", access.certificate),
            ("--key", access.key),
            *(("--trust", place) for place in access.trust),
            ("--user-certificate", access.user_certificate),
            ("--user-key", access.user_key),
            ("--test-ca", access.test_authority),
        )
        for option, place in places:
            line += [option, str(place)] if place is not None else []
        line += ["--user", access.user] if access.user else []
        return shlex.join(line)


def shown(reading: Reading | None) -> str:
    """A value in a few characters."""
    if reading is None:
        return ""
    if reading.bad:
        return reading.fault[:_VALUE] or reading.status_name
    value = reading.value
    if isinstance(value, Text):
        value = value.text
    elif isinstance(value, Structure):
        value = value.type
    return "" if value is None else str(value)[:_VALUE]
