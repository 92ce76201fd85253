"""How the connection to the broker stands, in words; and the gateway's own status message."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence

from adapters.mqtt.client import RECEIVE_MAXIMUM, Granted
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.opening import Opened
from gateway.contracts import LinkState, LinkStatus
from gateway.errors import Area4Error, RefusedError
from gateway.model.messages import GatewayStatus, dump
from gateway.model.times import TICKS_PER_SECOND, UNIX_EPOCH_TICKS, iso_from_ticks

log = logging.getLogger(__name__)

REFUSED_TOPICS = 100
"""So many refused topics are remembered by name."""


def gateway_status(
    *, gateway: str, version: str, state: str, since: float | None, reason: str | None, waivers: Sequence[str]
) -> bytes:
    """A GatewayStatus message; `since` in Unix seconds."""
    moment = None if since is None else iso_from_ticks(int(since * TICKS_PER_SECOND) + UNIX_EPOCH_TICKS)
    message = GatewayStatus.model_validate(
        {
            "gateway": gateway,
            "version": version,
            "state": state,
            "since": moment,
            "reason": reason,
            "waivers": list(waivers),
        }
    )
    return json.dumps(dump(message), ensure_ascii=False, separators=(",", ":")).encode()


class StatusBoard:
    """Collects what happens on a link and says how it stands; a first failure is a warning, its repeats are not."""

    def __init__(self, config: MqttConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._state: LinkState = "offline"
        self._since = clock()
        self._reason = "not connected yet"
        self._advice = ""
        self._expiry: float | None = None
        self._facts: dict[str, str | int | float] = {}
        self._refused_topics: dict[str, str] = {}
        self._delivered = 0
        self._refused = 0
        self._silent = 0.0
        self._told = ""

    def status(self, *, in_flight: int, announcing: int) -> LinkStatus:
        """The status now."""
        state, reason, advice = self._state, self._reason, self._advice
        if state == "online" and self._silent:
            state, reason = "silent", f"The broker has acknowledged nothing for {self._silent:.0f} s."
            advice = "Check the broker's load and its disk."
        elif state == "online" and self._refused_topics:
            topic, why = next(iter(self._refused_topics.items()))
            others = len(self._refused_topics) - 1
            more = f" and {others} more" if others else ""
            state, reason = "degraded", f"The broker refuses {topic}{more}: {why}."
            advice = "Let the broker's access list allow this gateway to publish there."
        details = {
            **self._facts,
            "delivered": self._delivered,
            "refused": self._refused,
            "in_flight": in_flight,
            "announcing": announcing,
        }
        return LinkStatus(
            self._config.url, state, self._since, reason, advice, self._expiry, tuple(self._config.waivers), details
        )

    def connecting(self) -> None:
        """An attempt begins; the reason of the last failure stays until it succeeds."""
        self._become("connecting", self._reason, self._advice)

    def online(self, opened: Opened, granted: Granted, *, window: int) -> None:
        """CONNECT was accepted."""
        self._refused_topics.clear()
        self._silent = 0.0
        self._expiry = opened.first_expiry
        self._facts = {"protocol": f"MQTT {self._config.protocol}", "window": window}
        if opened.tls_version:
            self._facts |= {"tls": opened.tls_version, "cipher": opened.cipher}
        if granted.receive_maximum != RECEIVE_MAXIMUM:
            self._facts["receive_maximum"] = granted.receive_maximum
        if granted.maximum_packet is not None:
            self._facts["maximum_packet_size"] = granted.maximum_packet
        self._become("online", "", "")
        self._told = ""
        log.info("connected to %s (%s)", self._config.url, ", ".join(f"{k} {v}" for k, v in self._facts.items()))

    def failed(self, error: Area4Error) -> None:
        """An attempt failed or the connection was lost."""
        self._silent = 0.0
        self._become("refused" if isinstance(error, RefusedError) else "offline", str(error), error.advice)
        level = logging.DEBUG if self._told == error.told else logging.WARNING
        self._told = error.told
        log.log(level, "%s", error.told)

    def stopped(self) -> None:
        """Left politely."""
        self._silent = 0.0
        self._become("stopped", "The gateway was stopped.", "")

    def silent(self, seconds: float) -> None:
        """The broker has acknowledged nothing for so long, 0 if it has."""
        self._silent = seconds

    def accepted(self, topic: str, *, message: bool) -> None:
        """The broker acknowledged a publication."""
        if message:
            self._delivered += 1
        if self._refused_topics and self._refused_topics.pop(topic, None) is not None:
            log.info("%s is accepted again", topic)

    def refused(self, topic: str, reason: str) -> None:
        """A publication was refused."""
        self._refused += 1
        if topic in self._refused_topics:
            log.debug("%s is refused: %s", topic, reason)
        elif len(self._refused_topics) < REFUSED_TOPICS:
            self._refused_topics[topic] = reason
            log.warning("%s is refused: %s", topic, reason)

    def _become(self, state: LinkState, reason: str, advice: str) -> None:
        if state != self._state:
            self._state, self._since = state, self._clock()
        self._reason, self._advice = reason, advice
