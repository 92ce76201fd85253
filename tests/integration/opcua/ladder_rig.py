"""A simulated machine, a source, and an outbox reduced to what the ladder needs: records and progress."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.source import OpcUaSource
from gateway.contracts import Batch
from gateway.errors import Area4Error, UnreachableError
from gateway.model import Gap, Record, Samples
from gateway.model.encode import encode_sample
from security.pki.lab import LabPki
from simulators.opcua.server import ServerConfig, SimulatorServer

SPEED = "Monitoring/Spindle1/Speed"
"""One more with every step of 50 ms."""


MACHINE = "urn:example:bench:B-1"

SAME_SESSION = "the session was taken up again"
TAKEN_OVER = "the subscription was taken over"
NEW = "by a new subscription"
"""The rungs, as the source calls them in its log."""


def bench_machine(**named: Any) -> Any:
    """The machine of the simulators' own tests, beyond the steps in which its tools change."""
    if "bench_machine" not in sys.modules:
        file = Path(__file__).parents[1] / "simulators" / "bench_machine.py"
        spec = importlib.util.spec_from_file_location("bench_machine", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["bench_machine"] = module
        spec.loader.exec_module(module)
    machine = sys.modules["bench_machine"].BenchMachine(**named)
    machine.step = 60
    return machine


def simulator(lab: LabPki, ledger: Path, *machines: Any, **options: Any) -> SimulatorServer:
    own = lab.machines["m1"]
    settings = {"certificate": own.certificate, "key": own.key, "trust": (own.root,), "anonymous": True} | options
    return SimulatorServer(machines or (bench_machine(),), ServerConfig(ledger=ledger, **settings))


def config_of(lab: LabPki, url: str, **more: Any) -> OpcUaConfig:
    own = lab.gateway_opcua
    security = {
        "application_uri": lab.uris["gateway"],
        "certificate": own.certificate,
        "key": own.key,
        "trust": own.root,
    }
    subscription = {"publishing_interval": 0.1, "keep_alive": 1.0} | more.pop("subscription", {})
    return OpcUaConfig.model_validate(
        {
            "url": url,
            "security": security,
            "user": {"anonymous": True},
            "waivers": ["anonymous-user"],
            "subscription": subscription,
            **more,
        }
    )


@dataclass
class Ladder:
    """Sources one after the other, as a gateway and its successors would run them, and what they committed."""

    config: OpcUaConfig
    records: list[Record] = field(default_factory=list)
    progress: bytes | None = None
    source: OpcUaSource = field(init=False)

    def __post_init__(self) -> None:
        self.new_process()

    def new_process(self, config: OpcUaConfig | None = None) -> None:
        """Nothing is left in memory."""
        self.config = config or self.config
        self.source = OpcUaSource("sim", self.config, on_machine=lambda *_told: None)

    async def connect(self, within: float = 30) -> None:
        """Until it succeeds, as the pipeline would."""
        async with asyncio.timeout(within):
            while not await self._connected():  # noqa: ASYNC110 - the delay of a back-off
                await asyncio.sleep(0.2)

    async def _connected(self) -> bool:
        try:
            await self.source.connect(self.progress)
        except UnreachableError:
            return False
        return True

    async def read(self, enough: Callable[[], bool], *, commit: bool = True) -> list[Batch]:
        """Read and commit until it is enough."""
        batches: list[Batch] = []
        async with asyncio.timeout(40):
            while not enough():
                batch = await self.source.read()
                batches.append(batch)
                if commit:
                    self.commit(batch)
                elif len(batches) >= 5:
                    break
        return batches

    async def more(self, steps: int) -> None:
        """Read until `steps` further values of the speed are there."""
        have = len(self.samples(SPEED))
        await self.read(lambda: len(self.samples(SPEED)) >= have + steps)

    def commit(self, batch: Batch) -> None:
        self.records += batch.records
        if batch.progress is not None:
            self.progress = batch.progress
        batch.done()

    async def lost(self) -> Area4Error:
        """Read until the connection is lost."""
        try:
            await self.read(lambda: False)
        except UnreachableError as problem:
            return problem
        raise AssertionError("the connection was not lost")

    async def kill(self) -> None:
        """What the server sees of SIGKILL: the socket ends without a word."""
        connection = self.source._connection
        assert connection is not None
        rediscovery = self.source._rediscovery
        assert rediscovery is not None
        await rediscovery.stop()
        await connection.abandon()
        self.new_process()

    def samples(self, path: str) -> list[dict[str, Any]]:
        return self.delivered().get(path, [])

    def delivered(self) -> dict[str, list[dict[str, Any]]]:
        """Samples by path, in the order of the stream."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            if isinstance(record, Samples):
                for sample in record.samples:
                    body = json.loads(encode_sample(sample))
                    found.setdefault(body["path"], []).append(_told(body))
        return found

    def gaps(self) -> list[Gap]:
        return [record for record in self.records if isinstance(record, Gap)]


def truth(ledger: Path) -> dict[str, list[dict[str, Any]]]:
    """Values of the ledger by path."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in ledger.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["kind"] == "value" and entry["machine"] == MACHINE:
            found.setdefault(entry["path"], []).append(_told(entry))
    return found


def _told(body: dict[str, Any]) -> dict[str, Any]:
    return {"value": body["value"], "time": body["time"], "quality": body.get("quality", "good")}


def assert_each_once(ladder: Ladder, server: SimulatorServer) -> None:
    """Every signal: what was delivered is a piece of the ledger without a hole, each value once and in order."""
    assert server.ledger is not None
    assert server.config.ledger is not None
    server.ledger.flush()
    expected = truth(server.config.ledger)
    delivered = ladder.delivered()
    assert len(delivered) > 20
    for path, values in delivered.items():
        start = expected[path].index(values[0])
        assert values == expected[path][start : start + len(values)], path
