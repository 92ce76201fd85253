from __future__ import annotations

from typing import Any

import pytest
from asyncua import Server, ua
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.machine import Appeared, Change, Localized, RefusedError, State, Structure
from simulators.machines import KINDS, build
from simulators.machines.board import single
from simulators.opcua.builder import Builder
from simulators.opcua.nodesets import load_nodesets
from simulators.opcua.space import Space
from simulators.opcua.types import Types
from simulators.opcua.values import Values

SECOND = 10_000_000


async def test_all_mandatory_nodes_of_the_nodesets_have_values_of_the_models() -> None:
    server = Server()
    await server.init()
    await load_nodesets(server)
    machines = [build(kind, serial=f"M{number}", seed=number) for number, kind in enumerate(KINDS)]
    for machine in machines:
        await server.register_namespace(machine.namespace)
    space = Space(server)
    await space.refresh_uris()
    types, values = Types(space), Values(space)
    for machine in machines:
        instance = Builder(space, types, values).build(machine, space.index(machine.namespace), 132_223_104_000_000_000)
        assert instance.neutral == []
        assert len(instance.variables) > 280
        kinds = {ua.VariantType(v.value.Value.VariantType) for v in instance.variables.values() if v.value.Value}
        wanted = {"Boolean", "Int16", "Int32", "Int64", "UInt16", "UInt32", "UInt64", "Float", "Double", "String",
                  "DateTime", "ByteString", "LocalizedText", "ExtensionObject"}  # fmt: skip
        assert wanted <= {kind.name for kind in kinds}


def test_what_every_machine_declares(kind: str) -> None:
    machine = build(kind, serial="A/7", seed=1)
    points = {point.path: point for point in machine.points}
    assert len(points) == len(machine.points) > 200
    assert points["Identification/ProductInstanceUri"].initial == f"urn:area4-sim:{kind}:A-7"
    assert machine.namespace == f"urn:area4:sim:{kind}:A-7"
    assert points["Identification/Location"].initial.startswith("N 51.")
    for path, point in points.items():
        assert point.initial is not None, path
        if point.low is not None and point.high is not None:
            assert point.low <= point.initial <= point.high, path
    seen: set[str] = set()
    for part in machine.parts:
        assert part.path not in seen
        seen.add(part.path)
    shown = [point.initial for point in machine.points]
    assert any(isinstance(value, int) and value > 2**53 for value in shown)
    assert any(isinstance(value, Structure) and value.type == "RGBWDataType" for value in shown)
    assert any(isinstance(value, list) for value in shown)
    assert any(isinstance(value, str) and not value.isascii() for value in shown)
    assert any(isinstance(value, Localized) for value in shown)
    assert any(isinstance(value, State) for value in shown)


def test_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="machining-centre, turning-centre, laser-cutter"):
        build("lathe", serial="1", seed=1)


def test_same_seed_same_run_and_steps_do_not_matter(kind: str, start: Any) -> None:
    whole = start(kind, seed=9).go(900.0)
    other, pieces, number = start(kind, seed=9), [], 0
    end = other.now + 900 * SECOND
    while other.now < end:
        number += 1
        step = (0.037, 0.1, 1.003, 13.7)[number % 4]
        pieces += other.go(min(step, (end - other.now) / SECOND))
    assert whole == pieces
    assert len(whole) > 10_000
    assert start(kind, seed=10).go(60.0) != start(kind, seed=9).go(60.0)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(KINDS)), st.lists(st.integers(1, 40_000_000), min_size=1, max_size=20), st.integers(0, 99))
def test_times_lie_between_calls_and_never_go_back(kind: str, steps: list[int], extra: int) -> None:
    machine = build(kind, serial="1", seed=1)
    now = last = 133_801_632_000_000_000 + extra
    assert machine.advance(now) == []
    for step in steps:
        before, now = now, now + step
        for one in machine.advance(now):
            assert last <= one.time <= now
            assert one.time > before - before % 10
            assert one.time % 10 == 0
            last = one.time


def test_only_what_differs_is_told(kind: str, start: Any) -> None:
    running = start(kind)
    known = dict(running.values)
    for one in running.go(400.0):
        if isinstance(one, Change):
            assert one.value != known[one.path], one.path
            known[one.path] = one.value
        elif isinstance(one, Appeared):
            known |= {point.path: point.initial for point in one.points}


def test_floats_are_what_32_bits_can_carry(kind: str, start: Any) -> None:
    running = start(kind)
    floats = {point.path for point in running.machine.points if point.data_type == "Float"}
    assert floats
    for one in running.go(120.0):
        if isinstance(one, Change) and one.path in floats:
            assert one.value == single(one.value)


def test_rate_of_changes_while_cutting(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    changes = [one for one in running.go(60.0) if isinstance(one, Change)]
    assert 25 * 60 <= len(changes) <= 180 * 60


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("Monitoring/Channel1/FeedOverride", 151.0, "BadOutOfRange"),
        ("Monitoring/Channel1/FeedOverride", -1.0, "BadOutOfRange"),
        ("Monitoring/Channel1/FeedOverride", float("nan"), "BadOutOfRange"),
        ("Monitoring/Channel1/FeedOverride", "fast", "BadTypeMismatch"),
        ("Monitoring/Channel1/FeedOverride", True, "BadTypeMismatch"),
        ("Monitoring/Channel1/RapidOverride", 101.0, "BadOutOfRange"),
        ("Monitoring/Fluids/CoolantPressureSetpoint", 4.9, "BadOutOfRange"),
        ("Monitoring/Channel1/ChannelModifiers/OptionalStop", 1, "BadTypeMismatch"),
        ("Diagnostics/ShopFloorMessage", 5, "BadTypeMismatch"),
        ("Diagnostics/ShopFloorMessage", "x" * 201, "BadOutOfRange"),
        ("Monitoring/Energy/Power", 1.0, "BadNotWritable"),
        ("Monitoring/Nothing", 1.0, "BadNodeIdUnknown"),
    ],
)
def test_refused_writes_change_nothing(kind: str, start: Any, path: str, value: Any, status: str) -> None:
    running = start(kind)
    with pytest.raises(RefusedError) as caught:
        running.machine.write(path, value, running.now)
    assert caught.value.status == status
    assert not [one for one in running.go(0.05) if isinstance(one, Change) and one.path == path]


def test_written_text_is_shown(kind: str, start: Any) -> None:
    running = start(kind)
    moment = running.now + 1_234_567
    happened = running.machine.write("Diagnostics/ShopFloorMessage", "Ölwechsel ⚙", moment)
    change = happened[-1]
    assert change == Change("Diagnostics/ShopFloorMessage", "Ölwechsel ⚙", moment - moment % 10)


def test_a_refusal_loses_nothing_of_what_happened_before(kind: str, start: Any) -> None:
    whole, other = start(kind), start(kind)
    expected = whole.go(30.0)
    for moment in (9.5, 20.05):
        with pytest.raises(RefusedError):
            other.machine.write("Monitoring/Energy/Power", 1.0, other.now + round(moment * SECOND))
        with pytest.raises(RefusedError):
            other.machine.call("Control/Fly", [], other.now + round(moment * SECOND))
    assert other.go(30.0) == expected
