"""The device target against another stack (node-opcua), and against what does not behave at all."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import shutil
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from asyncua import Server, ua

from conformance.device.access import Access, Limits, Policy
from conformance.device.model import JUDGES
from conformance.device.snapshot import MACHINE_TOOL_TYPE
from conformance.device.target import DeviceTarget
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.runner import Settings, run
from security.pki.lab import LabPki, create_lab

FOREIGN = Path(__file__).parents[1] / "foreign" / "conftest.py"
pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENT = Limits(requests_per_second=10_000, request_seconds=60, connect_seconds=60)

STATE = "ForeignMill/Production/ActiveProgram/State/CurrentState: its Id is no state of its type"
EXPLAINED = {
    # server.mjs sets the text and the number of the program's state, and leaves the Id null
    "device.model.ProductionProgramStateMachineType.states": STATE,
    "device.model.ProductionStateMachineType.states": STATE,
    # ForeignMill has values that are bad, and one that nobody may read, for the gateway to stumble over
    "device.basics.valid": "ForeignMill/Besonderes/Bad: is BadSensorFailure (2 more)",
    "device.basics.readable": "ForeignMill/Many/V020: its AccessLevel forbids reading",
    # neither machine has a whole nameplate
    "device.basics.nameplate": "ForeignMill: has no Identification/Model (9 more)",
    # PoorMill lacks what is mandatory, and hangs its Identification on HasComponent
    "device.basics.identity": "PoorMill: has no Identification/Manufacturer",
    "device.model.MachineToolType.Equipment.present": "PoorMill: has no Equipment",
    "device.model.MachineToolType.Monitoring.present": "PoorMill: has no Monitoring",
    "device.model.MachineToolType.Notification.present": "PoorMill: has no Notification",
    "device.model.MachineToolType.Production.present": "PoorMill: has no Production",
    "device.model.MachineToolType.Identification.shape": "PoorMill/Identification: must hang on HasAddIn",
    "device.model.MachineryItemIdentificationType.Manufacturer.present": (
        "PoorMill/Identification: has no Manufacturer"
    ),
}
"""Every finding about tests/foreign/server.mjs (docs/conformance/device.md tells them too)."""


def only_model() -> Catalogue:
    catalogue = shipped()
    checks = {key: one for key, one in catalogue.checks.items() if one.rule in JUDGES}
    return Catalogue(checks, catalogue.requirements, catalogue.profiles)


async def report_of(target: DeviceTarget) -> Report:
    return await run(target, only_model(), settings=Settings(open_seconds=300, total_seconds=600))


ANSWERS = {
    # what the configuration of server.mjs allows, or does not do
    "device.security.A-02.anonymous",
    # what the product does (docs/conformance/findings.md)
    "device.behaviour.item.unknown",
    "device.behaviour.service.timestamps",
    "device.security.A-03.throttle",
    "device.security.C-12.omitted",
    "device.security.D-02.chunks",
    "device.security.D-03.nested",
    "device.security.D-05.length",
    "device.security.D-12.half-open",
    "device.security.S-04.signature",
}
"""Findings of the checks that ask with sessions of their own."""


@contextlib.contextmanager
def another_stack(folder: Path, *options: str) -> Iterator[tuple[str, LabPki]]:
    spec = importlib.util.spec_from_file_location("foreign_server", FOREIGN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["foreign_server"] = module
    spec.loader.exec_module(module)
    lab = create_lab(folder / "pki", machines=[module.NAME], site=module.SITE)
    assert shutil.which("node"), "node is not installed: run tests/tools/ensure.sh"
    server = module.ForeignServer(lab, folder)
    try:
        server.start(*options)
        yield server.url, lab
    finally:
        server.stop()
        del sys.modules["foreign_server"]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, LabPki]]:
    with another_stack(tmp_path_factory.mktemp("foreign")) as found:
        yield found


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_the_whole_suite_judges_another_stack_with_nodes_of_every_type(tmp_path: Path) -> None:
    """node-opcua-address-space-for-conformance-testing: over 2,000 nodes besides the machines, some changing."""
    file = tmp_path / "report.json"
    with another_stack(tmp_path, "--all") as (url, lab):
        own = lab.gateway_opcua
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "conform", "device", url, "--allow-stress", "--window", "5"),
            *("--certificate", own.certificate, "--key", own.key, "--json", file, "--quiet"),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, told = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 5, told.decode()  # it does not conform
    report = json.loads(file.read_bytes())
    assert report["complete"]
    states = {one["check"]["id"]: State(one["state"]) for one in report["results"]}
    assert set(states) == {one.id for one in shipped().of(TargetKind.DEVICE)}
    assert not [key for key, one in states.items() if one is State.ERROR]
    found = {key for key, one in states.items() if one in {State.FAIL, State.NON_STRICT}}
    assert found == ANSWERS | set(EXPLAINED)


async def test_another_stack_is_judged_and_every_finding_has_its_reason(foreign: tuple[str, LabPki]) -> None:
    url, lab = foreign
    own = lab.gateway_opcua
    target = DeviceTarget(Access(url, own.certificate, own.key, limits=PATIENT))
    report = await report_of(target)
    assert report.complete
    found = {one.check.id: one for one in report.results}
    assert not [key for key, one in found.items() if one.state is State.ERROR]
    assert all(target.snapshot.is_a(one.type, MACHINE_TOOL_TYPE) for one in target.snapshot.machines)
    broken = {State.FAIL, State.NON_STRICT}
    assert {key: one.seen for key, one in found.items() if one.state in broken} == EXPLAINED
    assert sum(one.state is State.PASS for one in found.values()) > 50


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(8)


async def huge_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(struct.pack("<3scI", b"ACK", b"F", 2_000_000_000))
    await writer.drain()
    await reader.read()


async def endless_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(struct.pack("<3scIIIIII", b"ACK", b"F", 28, 0, 65_536, 65_536, 0, 0))
    chunk = struct.pack("<3scIIIII", b"MSG", b"C", 65_536, 1, 1, 1, 1) + bytes(65_536 - 24)
    while True:
        writer.write(chunk)
        await writer.drain()


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (silent, "no answer within"),
        (garbage, "does not speak OPC UA"),
        (hang_up, "the connection is gone"),
        (huge_chunk, "announced a chunk of 2000000000 bytes"),
        (endless_chunks, "GetEndpoints|channel|longer than"),
    ],
)
async def test_what_does_not_speak_opc_ua_ends_in_a_report(handler: Handler, reason: str) -> None:
    seconds = 2 if handler is silent else 60
    limits = Limits(
        requests_per_second=10_000, request_seconds=seconds, connect_seconds=seconds, message_bytes=1_000_000
    )
    async with listening(handler) as url:
        report = await report_of(DeviceTarget(Access(url, policy=Policy.NONE, limits=limits)))
    assert {one.state for one in report.results} == {State.BLOCKED}
    (seen,) = {one.seen for one in report.results}
    assert re.search(reason, seen), seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def growing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Access, Server]]:
    """A server of asyncua in this process, with one variable that a test makes monstrous."""
    lab = create_lab(tmp_path_factory.mktemp("plain") / "pki", machines=["m1"])
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.set_application_uri(lab.uris["m1"])
    await server.nodes.objects.add_variable(ua.NodeId("big", 1), "1:Big", "small")
    await server.start()
    port = server.bserver._server.sockets[0].getsockname()[1]
    for endpoint in server.iserver.endpoints:
        endpoint.EndpointUrl = f"opc.tcp://127.0.0.1:{port}/"
    limits = Limits(requests_per_second=10_000, request_seconds=60, connect_seconds=60, message_bytes=4_000_000)
    yield Access(f"opc.tcp://127.0.0.1:{port}/", policy=Policy.NONE, limits=limits), server
    await server.stop()


async def test_a_string_of_50_megabytes_is_refused_before_it_fills_the_memory(growing: tuple[Access, Server]) -> None:
    access, server = growing
    await server.get_node(ua.NodeId("big", 1)).write_value("x" * 50_000_000)
    report = await report_of(DeviceTarget(access))
    assert {one.state for one in report.results} == {State.BLOCKED}
    assert all("longer than 4000000 bytes" in one.seen for one in report.results)


async def test_a_long_string_is_kept_in_part_and_a_plain_server_is_judged(growing: tuple[Access, Server]) -> None:
    access, server = growing
    await server.get_node(ua.NodeId("big", 1)).write_value("x" * 2_000_000)
    target = DeviceTarget(access)
    report = await report_of(target)
    (big,) = [one for one in target.snapshot.nodes.values() if one.name.name == "Big"]
    assert big.reading is not None
    assert len(big.reading.value) == access.limits.text_characters
    found = {one.check.id: one for one in report.results}
    assert found["device.basics.machines-folder"].state is State.FAIL
    assert not [one for one in found.values() if one.state is State.ERROR]


async def test_a_device_that_goes_away_in_the_middle_ends_in_a_report(growing: tuple[Access, Server]) -> None:
    access, server = growing
    await server.get_node(ua.NodeId("big", 1)).write_value("small")
    read = server.iserver.attribute_service.read
    asked = 0

    def gone(parameters: ua.ReadParameters) -> object:
        nonlocal asked
        asked += len(parameters.NodesToRead)
        if asked > 20:
            for transport in list(server.iserver.asyncio_transports):
                transport.abort()
        return read(parameters)

    server.iserver.attribute_service.read = gone
    try:
        report = await report_of(DeviceTarget(access))
    finally:
        server.iserver.attribute_service.read = read
    assert {one.state for one in report.results} == {State.BLOCKED}
    assert all("the connection is gone" in one.seen for one in report.results)
