"""The gateway target: a stage is built, the gateway reads and publishes, everything that arrives is kept and judged."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from conformance.consumer import ConsumerError
from conformance.gateway import data, faults, model, mqtt, security
from conformance.gateway.readers import Reader, ReaderError, reader
from conformance.gateway.recording import Judgement, Recording
from conformance.gateway.stage import Stage
from conformance.suite.check import TargetKind
from conformance.suite.claims import Claim
from conformance.suite.report import TreeNode
from conformance.suite.target import Rule, TargetError

BAD_SIGNAL = "Probe/Temperature"
"""Is bad in the middle of the window, so that a quality must be told."""

BAD_STATUS = "BadSensorFailure"
BAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a gateway is judged.

    Attributes:
        format: Of its messages, the name of a reader.
        window: Seconds of undisturbed work that are judged; an alarm of the probe machine comes and goes in 7 s.
        wait: Seconds until its first data may take.
        quiet: Seconds without a message after which everything has arrived.
        settle: Seconds that all may take to arrive once the machines stand still.
        command: How it is started, for the line that repeats a check.
    """

    format: str = "area4"
    window: float = 15.0
    wait: float = 60.0
    quiet: float = 2.0
    settle: float = 60.0
    command: str = ""


class GatewayTarget:
    """See `conformance.suite.target.Target`; rules look at `recording`, `judgement` and `stage`.

    Attributes:
        recording: What came so far.
        judgement: Of the undisturbed window.
        reader: Of the gateway's format.
    """

    kind = TargetKind.GATEWAY
    rules: Mapping[str, Rule] = {**data.RULES, **model.RULES, **mqtt.RULES, **faults.RULES, **security.RULES}

    def __init__(self, stage: Stage, settings: Settings, told: Callable[[], None] = lambda: None) -> None:
        """`told` is called when the stage stands: somebody may have to configure the gateway now."""
        self.stage = stage
        self.settings = settings
        self.name = settings.command or "a gateway"
        self.reader: Reader
        self.recording: Recording
        self.judgement: Judgement
        self._told = told

    async def open(self) -> None:
        """Build the stage, wait for data, let the window pass, judge it.

        Raises:
            TargetError: No data arrives.
        """
        try:
            await self.stage.start()
            self.reader = reader(self.settings.format, self.stage.machines)
            self.recording = Recording(self.stage.access, self.reader)
            await self.recording.begin()
        except (OSError, ConsumerError, ReaderError) as problem:
            raise TargetError(f"the stage does not stand: {problem}") from problem
        self._told()
        await self.recording.moving(self.stage.machines[:1], self.settings.wait)
        with contextlib.suppress(TargetError):  # a rule tells which machine does not come
            await self.recording.moving(self.stage.machines, self.settings.wait / 2)
        await self._window()
        self.judgement = await self.judged()
        await self.recording.come_late()

    async def judged(self) -> Judgement:
        """Let the machines stand still until everything has arrived, judge, let them go on."""
        await self.stage.pause()
        await self.recording.quiet(self.settings.quiet, self.settings.settle)
        found = await asyncio.to_thread(self.recording.judge, self.stage.ledgers)
        await self.stage.resume()
        return found

    async def _window(self) -> None:
        await asyncio.sleep(self.settings.window / 2)
        await self.stage.status(BAD_SIGNAL, BAD_STATUS)
        await asyncio.sleep(BAD_SECONDS)
        await self.stage.status(BAD_SIGNAL, "Good")
        await asyncio.sleep(max(0.0, self.settings.window / 2 - BAD_SECONDS))

    async def close(self) -> None:
        """End consumer, gateway, machines and broker."""
        try:
            if hasattr(self, "recording"):
                await self.recording.end()
        finally:
            await self.stage.stop()

    async def claim(self) -> Claim:
        """A gateway says nothing of itself: everything is asked of it."""
        return Claim(target=self.kind, product=self.name, written=False)

    def fingerprint(self) -> dict[str, str]:
        """What its status tells of it."""
        if not hasattr(self, "recording"):
            return {}
        told = self.recording.observer.gateways
        return {f"gateway {name}": str(body.get("version", "")) for name, body in sorted(told.items())}

    def options(self) -> dict[str, str]:
        """Format and times."""
        return {"format": self.settings.format, "window": f"{self.settings.window:g} s"}

    def tree(self) -> tuple[TreeNode, ...]:
        """None: the machines are the suite's own."""
        return ()

    def repeat(self, check_id: str) -> str:
        """Of the whole command, with this check alone."""
        parts = ["area4", "conform", "gateway", "--only", check_id, "--allow-stress"]
        if self.settings.format != "area4":
            parts += ["--format", self.settings.format]
        if self.settings.command:
            parts += ["--command", self.settings.command]
        return shlex.join(parts)
