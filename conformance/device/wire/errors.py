"""What a server may do to a client on the wire."""

from __future__ import annotations

from asyncua import ua

from conformance.suite.target import TargetError


class Refused(TargetError):  # noqa: N818 - a refusal is often what a check hopes for
    """The server said no, or closed the connection.

    Attributes:
        stage: What was asked: `connection`, `hello`, `channel`, or the name of a service.
        status: OPC UA status name; empty where the connection was closed without a word.
    """

    def __init__(self, stage: str, status: str = "", reason: str = "") -> None:
        self.stage = stage
        self.status = status
        said = f"answers {status}" if status else "closes the connection"
        super().__init__(f"the server {said} ({stage}{': ' + reason if reason else ''})")


class Silent(TargetError):  # noqa: N818
    """The server neither answers nor closes."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(f"the server neither answers nor closes the connection for {seconds:g} s ({stage})")


class Garbled(TargetError):  # noqa: N818
    """The server sends what is no OPC UA, or more than was agreed upon."""


def status_name(code: int) -> str:
    """The name of a status code; its digits where it has none."""
    name: str = ua.StatusCode(code).name
    return name if name and not name.startswith("Unknown") else f"0x{code:08X}"
