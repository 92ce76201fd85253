"""The composition root with a real broker: values of a source arrive, states are served, the end is graceful."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from adapters.registry import SINKS, SOURCES, Adapter
from conformance.consumer import Access as ConsumerAccess
from conformance.consumer import Consumer
from gateway.app import Gateway
from gateway.config import Settings, load_settings
from gateway.contracts import Batch, LinkStatus, MachineListener, ProbeStep
from gateway.errors import ConfigurationError, UnreachableError
from gateway.model import Sample, Samples, SignalRef
from gateway.ops.notify import Notifier
from security.pki import LabPki, create_lab
from simulators.broker import Access, Broker, BrokerFiles, start_broker

from .conftest import free_port

MACHINE = "urn:maker:mill:7"


class TickConfig(BaseModel):
    values: int = 20


class TickSource:
    """One machine that counts."""

    def __init__(self, name: str, config: TickConfig, *, on_machine: MachineListener) -> None:
        self.name = name
        self.acknowledged = 0
        self._config = config
        self._on_machine = on_machine
        self._count = 0
        self._signal = SignalRef("Monitoring/Count")

    @property
    def status(self) -> LinkStatus:
        return LinkStatus("tick://", "online", 0.0)

    async def connect(self, resume: bytes | None) -> None:
        if self._config.values == 0:
            raise UnreachableError("There is nobody.", advice="Look.")
        self._on_machine(MACHINE, "online", "")

    async def read(self) -> Batch:
        if self._count >= self._config.values:
            await asyncio.Event().wait()
        self._count += 1
        await asyncio.sleep(0.001)
        samples = Samples(MACHINE, [Sample(self._signal, self._count, 134_000_000_000_000_000 + self._count)])
        return Batch([samples], b"%d" % self._count, 1, self._done)

    def _done(self) -> None:
        self.acknowledged += 1

    async def close(self) -> None:
        return None

    async def probe(self) -> AsyncIterator[ProbeStep]:
        yield ProbeStep("tick", ok=True, found="ticks")


ADAPTERS = SOURCES.with_("tick", Adapter("ticks", f"{__name__}:TickConfig", f"{__name__}:TickSource"))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    return create_lab(tmp_path_factory.mktemp("pki") / "pki", machines=[])


@pytest.fixture
async def broker(pki: LabPki, tmp_path: Path) -> AsyncIterator[Broker]:
    files = BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)
    running = await start_broker(tmp_path / "broker", files, Access({"gateway": "hall"}, ["watcher"]))
    yield running
    await running.stop()


def _settings(folder: Path, pki: LabPki, url: str, values: int = 20, port: int = 0) -> Settings:
    own = pki.gateway_mqtt
    file = folder / "area4.toml"
    file.write_text(
        f"""
        [gateway]
        name = "gateway"
        site = "hall"
        [http]
        listen = "127.0.0.1:{port or free_port()}"
        [source.ticker]
        type = "tick"
        values = {values}
        [sink.ticker]  # the same name as the source
        type = "mqtt"
        url = "{url}"
        [sink.ticker.security]
        certificate = "{own.certificate}"
        key = "{own.key}"
        trust = "{own.root}"
        """
    )
    return load_settings(file, {"tick": TickConfig}, {"mqtt": SINKS["mqtt"].config})


async def _get(settings: Settings, path: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{settings.http.listen}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read().decode()

    return await asyncio.to_thread(fetch)


async def _until(condition: Callable[[], bool], within: float = 30) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.02)


class _Systemd(Notifier):
    def __init__(self) -> None:
        super().__init__({})
        self.told: list[str] = []

    def _send(self, state: str, status: str = "") -> bool:
        self.told.append(state or status)
        return True


async def test_values_arrive_and_the_gateway_says_how_it_stands(pki: LabPki, broker: Broker, tmp_path: Path) -> None:
    settings = _settings(tmp_path, pki, broker.url)
    systemd = _Systemd()
    gateway = Gateway(settings, systemd, sources=ADAPTERS)
    own = pki.watchers["watcher"]
    with Consumer(ConsumerAccess(broker.url, pki.mqtt_ca_file, own.certificate, own.key)) as consumer:
        running = asyncio.create_task(gateway.run())
        seen: dict[str, list[dict[str, object]]] = {}

        def take() -> bool:
            for message in consumer.drain(wait=0.05):
                seen.setdefault(message.topic.rsplit("/", 1)[-1], []).append(json.loads(message.payload))
            samples = [one for body in seen.get("data", []) for one in body["samples"]]  # type: ignore[attr-defined]
            return len(samples) >= 20

        await _until(take)
        await _until(lambda: bool(systemd.told))
        status, body = await _get(settings, "/readyz")
        assert (status, json.loads(body)["links"]) == (200, {"source.ticker": "online", "sink.ticker": "online"})
        metrics = (await _get(settings, "/metrics"))[1]
        assert 'area4_values_in_total{source="ticker"} 20.0' in metrics
        assert f'area4_machine_online{{machine="{MACHINE}",source="ticker"}} 1.0' in metrics
        assert MACHINE in (await _get(settings, "/"))[1]
        gateway.stop()
        await asyncio.wait_for(running, 30)
        await _until(lambda: take() and seen["status"][-1]["state"] == "offline")
    states = [one for one in seen["status"] if "gateway" in one]
    assert [one["state"] for one in states[-2:]] == ["online", "offline"]
    assert states[-1]["version"] == states[-2]["version"]
    machine = [one for one in seen["status"] if "machine" in one]
    assert [one["state"] for one in machine[-2:]] == ["online", "offline"]
    assert systemd.told[0] == "READY=1"
    assert systemd.told[-1] == "STOPPING=1"
    assert "WATCHDOG=1" in systemd.told


async def test_what_a_broker_did_not_take_is_kept_for_the_next_start(
    pki: LabPki, broker: Broker, tmp_path: Path
) -> None:
    settings = _settings(tmp_path, pki, f"mqtts://127.0.0.1:{free_port()}")
    gateway = Gateway(settings, _Systemd(), sources=ADAPTERS)
    running = asyncio.create_task(gateway.run())
    body = ""

    async def stored() -> bool:
        nonlocal body
        try:
            status, body = await _get(settings, "/readyz")
        except OSError:
            return False
        metrics = (await _get(settings, "/metrics"))[1]
        return status == 503 and 'area4_values_in_total{source="ticker"} 20.0' in metrics and "sink ticker: off" in body

    async with asyncio.timeout(30):
        while not await stored():  # noqa: ASYNC110 - a page is asked until it says so
            await asyncio.sleep(0.05)
    reasons = json.loads(body)["reasons"]
    assert len(reasons) == 1
    gateway.stop()
    await asyncio.wait_for(running, 30)

    settings = _settings(tmp_path, pki, broker.url, values=0)
    own = pki.watchers["watcher"]
    with Consumer(ConsumerAccess(broker.url, pki.mqtt_ca_file, own.certificate, own.key)) as consumer:
        gateway = Gateway(settings, _Systemd(), sources=ADAPTERS)
        running = asyncio.create_task(gateway.run())
        values: list[object] = []

        def take() -> bool:
            for message in consumer.drain(wait=0.05):
                if message.topic.endswith("/data"):
                    values.extend(one["value"] for one in json.loads(message.payload)["samples"])
            return len(values) >= 20

        await _until(take)
        assert values == list(range(1, 21))
        gateway.stop()
        await asyncio.wait_for(running, 30)


async def test_two_gateways_do_not_share_an_outbox(pki: LabPki, broker: Broker, tmp_path: Path) -> None:
    first = _settings(tmp_path, pki, broker.url)
    systemd = _Systemd()
    gateway = Gateway(first, systemd, sources=ADAPTERS)
    running = asyncio.create_task(gateway.run())
    await _until(lambda: bool(systemd.told))
    with pytest.raises(ConfigurationError, match="in use by another process"):
        await Gateway(_settings(tmp_path, pki, broker.url), _Systemd(), sources=ADAPTERS).run()
    gateway.stop()
    await asyncio.wait_for(running, 30)


async def test_waivers_are_told_everywhere(
    pki: LabPki, broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _settings(tmp_path, pki, broker.url)
    file = settings.file
    file.write_text(file.read_text().replace("[http]", '[http]\n        waivers = ["http-exposed"]'))
    settings = load_settings(file, {"tick": TickConfig}, {"mqtt": SINKS["mqtt"].config})
    systemd = _Systemd()
    gateway = Gateway(settings, systemd, sources=ADAPTERS)
    running = asyncio.create_task(gateway.run())
    await _until(lambda: bool(systemd.told))
    assert json.loads((await _get(settings, "/readyz"))[1])["waivers"] == ["http:http-exposed"]
    assert 'area4_waiver_in_use{waiver="http:http-exposed"} 1.0' in (await _get(settings, "/metrics"))[1]
    assert "http:http-exposed" in caplog.text
    gateway.stop()
    await asyncio.wait_for(running, 30)
