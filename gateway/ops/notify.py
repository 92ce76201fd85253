"""systemd's notifications (sd_notify(3)) without a dependency."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Tells systemd that the service is ready, alive, stopping; does nothing where systemd does not ask for it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        own = environment.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
        microseconds = environment.get("WATCHDOG_USEC", "")
        self._watchdog = int(microseconds) / 1e6 if own and microseconds.isdigit() else 0.0

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two signs of life: half of what systemd grants; None where it wants none."""
        return self._watchdog / 2 if self._address and self._watchdog else None

    def ready(self, status: str = "") -> bool:
        """The service is up."""
        return self._send("READY=1", status)

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send("", text)

    def alive(self) -> bool:
        """A sign of life."""
        return self._send("WATCHDOG=1")

    def stopping(self) -> bool:
        """The service is going down."""
        return self._send("STOPPING=1", "stopping")

    def _send(self, state: str, status: str = "") -> bool:
        """Whether the message left; a missing receiver never disturbs the service."""
        if not self._address:
            return False
        lines = [state] if state else []
        if status:
            lines.append("STATUS=" + " ".join(status.split()))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True
