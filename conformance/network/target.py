"""The way from here to a broker as a target."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from conformance.broker import wire
from conformance.broker.access import Access
from conformance.broker.client import Client
from conformance.broker.target import BrokerTarget, Role
from conformance.network.path import Path
from conformance.network.rules import RULES
from conformance.suite.check import TargetKind
from conformance.suite.claims import Claim
from conformance.suite.report import TreeNode
from conformance.suite.target import Rule, TargetError


class NetworkTarget:
    """A network under test: measured by talking to a broker at its other end.

    Attributes:
        access: The broker, and the identities that may publish and read there.
        path: What the operating system tells.
        time_server: Host and port that answer SNTP, whose clock the shop floor's is to be.
        version: MQTT that the broker speaks.
    """

    kind = TargetKind.NETWORK

    def __init__(
        self,
        access: Access,
        *,
        path: Path | None = None,
        time_server: tuple[str, int] | None = None,
        repeat: str = "",
    ) -> None:
        self.access = access
        self.path = path or Path()
        self.time_server = time_server
        self.name = f"the way to mqtts://{access.host}:{access.port}"
        self.rules: Mapping[str, Rule] = RULES
        self.version: int = wire.V5
        self._repeat = repeat or f"area4 conform network mqtts://{access.host}:{access.port}"
        self._broker = BrokerTarget(access)

    @property
    def is_address(self) -> bool:
        """The broker is named by its address."""
        try:
            ipaddress.ip_address(self.access.host)
        except ValueError:
            return False
        return True

    async def open(self) -> None:
        """Reach the broker.

        Raises:
            TargetError: It cannot be reached, or refuses the client.
        """
        await self._broker.open()
        self.version = self._broker.version

    async def close(self) -> None:
        """Nothing is left."""
        await self._broker.close()

    async def claim(self) -> Claim:
        """A network says nothing of itself."""
        return Claim(product=self.name, target=self.kind, written=False)

    def fingerprint(self) -> dict[str, str]:
        """The broker's."""
        return self._broker.fingerprint()

    def options(self) -> dict[str, str]:
        """What was given."""
        server = self.time_server
        return {
            "topic": self.access.topic,
            "time server": f"{server[0]}:{server[1]}" if server else "none",
            "patience": f"{self.access.patience:g} s",
        }

    def tree(self) -> tuple[TreeNode, ...]:
        """A network has no machines."""
        return ()

    def repeat(self, check_id: str) -> str:
        """The command line that does one check again."""
        return f"{self._repeat} --only {check_id}"

    def channel(self) -> str:
        """A topic that nobody has used before."""
        return self._broker.channel()

    async def dial(self) -> Client:
        """A connection, TLS handshake done.

        Raises:
            TargetError: None comes about.
        """
        return await self._broker.dial()

    async def client(self, role: Role = "client") -> Client:
        """A connection that the broker has accepted.

        Raises:
            TargetError: It has not.
        """
        return await self._broker.client(role)

    async def addresses(self) -> list[tuple[int, str]]:
        """Of the broker's name.

        Raises:
            TargetError: It has none.
        """
        try:
            return await self.path.resolve(self.access.host, self.access.port)
        except OSError as error:
            raise TargetError(f"{self.access.host} has no address: {error.strerror or error}") from error
