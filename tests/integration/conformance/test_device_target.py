"""The device target against our simulator: what is found, how gently, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from asyncua import ua

from conformance.device.access import Access, Limits, Policy
from conformance.device.crawl import crawl
from conformance.device.model import JUDGES
from conformance.device.session import Session
from conformance.device.snapshot import MACHINE_TOOL_TYPE, SERVER
from conformance.device.target import DeviceTarget
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.runner import Settings, run
from conformance.suite.target import TargetError
from security.pki.lab import LabPki, create_lab
from simulators.machines import build
from simulators.mutants.reference import ReferenceMachine
from simulators.opcua.server import ServerConfig, SimulatorServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENT = Limits(requests_per_second=10_000, request_seconds=60, connect_seconds=60)
HOSTILE = "<script>alert(1)</script>\x1b[31m\r\nInjected/../&'\""


@dataclass
class Device:
    server: SimulatorServer
    lab: LabPki

    def access(self, limits: Limits = PATIENT, **rest: object) -> Access:
        own = self.lab.gateway_opcua
        given = {"certificate": own.certificate, "key": own.key, **rest}
        return Access(self.server.url, limits=limits, **given)

    @property
    def sessions(self) -> int:
        return len(self.server.server.iserver._external_sessions)

    @property
    def subscriptions(self) -> int:
        return len(self.server.server.iserver.subscription_service.subscriptions)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def device(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    lab = create_lab(tmp_path_factory.mktemp("lab") / "pki", machines=["m1"])
    own = lab.machines["m1"]
    config = ServerConfig(own.certificate, own.key, (own.root,), anonymous=True, users={"reader": "let me read"})
    machines = [ReferenceMachine(), build("laser-cutter", serial="7", seed=1)]
    server = SimulatorServer(machines, config)
    await server.start()
    yield Device(server, lab)
    await server.stop()


def only_model(catalogue: Catalogue) -> Catalogue:
    checks = {key: one for key, one in catalogue.checks.items() if one.rule in JUDGES}
    return Catalogue(checks, catalogue.requirements, catalogue.profiles)


async def judged(device: Device, **access: object) -> Report:
    target = DeviceTarget(device.access(**access))
    return await run(target, only_model(shipped()), settings=Settings(open_seconds=300, total_seconds=600))


async def test_both_machines_pass_and_two_runs_say_the_same(device: Device) -> None:
    first, second = await judged(device), await judged(device)
    assert first.complete
    states = {one.check.id: one.state for one in first.results}
    assert set(states.values()) <= {State.PASS}, {key: one for key, one in states.items() if one is not State.PASS}
    assert states == {one.check.id: one.state for one in second.results}
    assert [one.path for one in first.tree] == ["Reference", "LaserCutter-7"]
    assert first.fingerprint["machine Reference"] == "MachineToolType"
    assert {one.name for one in first.levels if one.reached} >= {"MachineTool Monitoring Server Facet"}


async def test_nothing_is_left_behind(device: Device) -> None:
    target = DeviceTarget(device.access())
    await target.open()
    assert device.sessions == 1
    await target.session.client.create_subscription(1000, None)
    assert device.subscriptions == 1
    await target.close()
    await target.close()  # once more does no harm
    assert (device.sessions, device.subscriptions) == (0, 0)


async def test_what_is_found(device: Device) -> None:
    target = DeviceTarget(device.access())
    await target.open()
    try:
        found = target.snapshot
    finally:
        await target.close()
    assert not found.incomplete
    assert SERVER not in found.nodes
    assert all(found.is_a(one.type, MACHINE_TOOL_TYPE) for one in found.machines)
    (override,) = [one for key, one in found.nodes.items() if key.endswith("s=Reference/Monitoring/Spindle1/Override")]
    assert found.path(override) == "Reference/Monitoring/Spindle1/Override"
    assert override.reading is not None
    assert (override.reading.value, override.reading.type, override.rank) == (100.0, "Double", -1)
    unit = found.child(override, "EngineeringUnits")
    assert unit is not None
    assert unit.reading is not None
    assert unit.reading.value.fields["DisplayName"].text == "%"
    claim = await target.claim()
    assert "MachineTool Monitoring WorkingUnit" in claim.units
    assert "http://opcfoundation.org/UA-Profile/MachineTool/Server/Basic" in claim.profiles
    assert not claim.written


async def test_requests_are_bounded_in_rate_and_size(device: Device) -> None:
    """Read and Browse keep to the device's OperationLimits, which this server enforces."""
    await device.server.set_limit(7)
    target = DeviceTarget(device.access())
    try:
        await target.open()
        assert not target.snapshot.incomplete
        assert len(target.snapshot.machines) == 2
        assert not any(one.reading is not None and one.reading.fault for one in target.snapshot.nodes.values())
    finally:
        await target.close()
        await device.server.set_limit(1_000)
    gentle = Session(device.access(Limits(requests_per_second=50)))
    await gentle.open()
    loop = asyncio.get_running_loop()
    begun, before = loop.time(), gentle.requests
    for _ in range(25):
        await gentle.read([(ua.NodeId(2258), ua.AttributeIds.Value)])
    assert loop.time() - begun >= (gentle.requests - before - 1) / 50 * 0.95
    await gentle.close()


async def test_a_node_limit_is_kept_and_told(device: Device) -> None:
    target = DeviceTarget(device.access(Limits(requests_per_second=10_000, nodes=50, request_seconds=60)))
    await target.open()
    await target.close()
    assert len(target.snapshot.inside) <= 50
    assert "more than 50 nodes" in target.options()["left out"]


@pytest.mark.parametrize("policy", [Policy.AES256, Policy.AES128, Policy.BASIC256])
async def test_policies_and_users(device: Device, policy: Policy) -> None:
    target = DeviceTarget(device.access(policy=policy, user="reader", password="let me read"))
    await target.open()
    await target.close()
    assert target.options()["policy"] == f"{policy.value}/SignAndEncrypt"
    assert target.options()["user"] == "reader"
    assert "let me read" not in target.repeat("device.basics.loops") + repr(target.access)


async def test_a_user_certificate(device: Device) -> None:
    user = device.lab.user
    session = Session(device.access(user_certificate=user.certificate, user_key=user.key))
    await session.open()
    assert device.sessions == 1
    await session.close()
    assert device.sessions == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"policy": Policy.NONE}, "offers no endpoint for None"),
        ({"user": "reader", "password": "wrong"}, "the login: Bad"),
        ({"certificate": None}, "needs a certificate"),
        ({"certificate": Path("/nowhere/cert.pem")}, "cert.pem"),
    ],
)
async def test_a_refused_access_says_where_it_stopped(device: Device, change: dict[str, object], reason: str) -> None:
    with pytest.raises(TargetError, match=reason):
        await DeviceTarget(device.access(**change)).open()
    assert device.sessions == 0


async def test_the_trust_list_is_held_against_the_device(device: Device, tmp_path: Path) -> None:
    own = device.lab.machines["m1"]
    session = Session(device.access(trust=(own.certificate,)))
    await session.open()
    await session.close()
    stranger = create_lab(tmp_path / "other", machines=["m1"]).machines["m1"]
    with pytest.raises(TargetError, match="not trusted"):
        await Session(device.access(trust=(stranger.certificate,))).open()


async def test_hostile_names_and_values_are_data(device: Device) -> None:
    """Script tags, control sequences and line ends arrive as they are: those who show them escape them."""
    runner = device.server.runner
    assert runner is not None
    shown = runner.machines[0]
    space = shown.builder.space
    owner = shown.instance.entries["Components/Coolant"].node
    node = ua.NodeId("hostile", shown.instance.namespace)
    name = ua.QualifiedName(HOSTILE, shown.instance.namespace)
    value = ua.DataValue(ua.Variant(HOSTILE * 1_000, ua.VariantType.String))
    kinds = ua.NodeId(ua.ObjectIds.HasComponent), ua.NodeId(ua.ObjectIds.BaseDataVariableType)
    space.add_variable(node, owner, kinds[0], name, kinds[1], data_type=ua.NodeId(12), rank=-1, value=value)
    try:
        report = await judged(device)
    finally:
        space.remove(node)
    assert all(one.state is not State.ERROR for one in report.results)
    text = report.model_dump_json()
    assert len(text) < 10_000_000
    assert "\x1b" not in text  # JSON escapes it
    (coolant,) = [
        branch for one in report.tree for part in one.children for branch in part.children
        if branch.path == "Reference/Components/Coolant"
    ]  # fmt: skip
    assert any(HOSTILE in one.path for one in coolant.children)


async def test_a_second_look_finds_the_same(device: Device) -> None:
    session = Session(device.access())
    await session.open()
    first, second = await crawl(session), await crawl(session)
    await session.close()
    assert list(first.nodes) == list(second.nodes)
    assert first.types == second.types
    assert first.states == second.states
