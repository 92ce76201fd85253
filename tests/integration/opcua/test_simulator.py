"""The source against a simulated machine in a process of its own: real discovery, real users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.source import OpcUaSource
from gateway.errors import RefusedError
from gateway.model import Description, Gap, Samples
from security.pki.lab import LabPki
from simulators.process import Options, SimulatorProcess


def config_of(lab: LabPki, url: str, user: dict[str, Any]) -> OpcUaConfig:
    own = lab.gateway_opcua
    security = {
        "application_uri": lab.uris["gateway"],
        "certificate": own.certificate,
        "key": own.key,
        "trust": own.root,
    }
    return OpcUaConfig.model_validate({"url": url, "security": security, "user": user})


async def test_reads_a_simulated_machine_with_each_kind_of_user(lab: LabPki, tmp_path: Path) -> None:
    machine = lab.machines["m1"]
    options = Options(
        kinds=("machining-centre",),
        certificate=machine.certificate,
        key=machine.key,
        trust=(machine.root, lab.users.root),
        users={"gateway": "right"},
    )
    password = tmp_path / "password"
    password.write_text("right\n")
    password.chmod(0o600)
    by_name = {"name": "gateway", "password_file": password}
    by_certificate = {"certificate": lab.user.certificate, "key": lab.user.key}
    states: list[tuple[str, str, str]] = []
    async with SimulatorProcess(options) as simulator:
        for user in (by_name, by_certificate):
            source = OpcUaSource(
                "sim", config_of(lab, simulator.url, user), on_machine=lambda *told: states.append(told)
            )
            steps = [step async for step in source.probe()]
            assert [step.ok for step in steps] == [True] * 8, steps[-1]
            await source.connect(None)
            first = await source.read()
            assert [one.machine for one in first.records if isinstance(one, Description)] == simulator.machines
            first.done()
            values = await source.read()
            values.done()
            records = values.records
            assert sum(len(one.samples) for one in records if isinstance(one, Samples)) > 100
            assert not [one for one in records if isinstance(one, Gap)]
            await source.close()
        password.write_text("wrong\n")
        source = OpcUaSource(
            "sim", config_of(lab, simulator.url, by_name), on_machine=lambda *told: states.append(told)
        )
        with pytest.raises(RefusedError, match="when the user was told"):
            await source.connect(None)
        assert source.status.state == "refused"
    assert [state for _, state, _ in states] == ["online", "offline", "online", "offline"]
