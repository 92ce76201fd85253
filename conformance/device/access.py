"""How a device is reached, and how gently it is treated."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Policy(StrEnum):
    """Security policy of the channel (OPC 10000-7); `best` takes the strongest that the device offers."""

    BEST = "best"
    AES256 = "Aes256_Sha256_RsaPss"
    AES128 = "Aes128_Sha256_RsaOaep"
    BASIC256 = "Basic256Sha256"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the suite allows itself and the device.

    Attributes:
        requests_per_second: Requests of the suite's session, at most.
        request_seconds: Longest time until an answer.
        connect_seconds: Longest time until a connection stands.
        session_seconds: After this time without a request the device may forget the session.
        nodes: Nodes that are looked at below the Machines folder.
        other_nodes: Nodes that are looked at besides, below Objects.
        items_per_call: Nodes in one request; less where the device's OperationLimits say so.
        message_bytes: Longest answer that is accepted.
        text_characters: What is kept of a text or a byte string.
        array_elements: What is kept of an array.
    """

    requests_per_second: float = 20.0
    request_seconds: float = 10.0
    connect_seconds: float = 10.0
    session_seconds: float = 120.0
    nodes: int = 20_000
    other_nodes: int = 2_000
    items_per_call: int = 500
    message_bytes: int = 16 * 1024 * 1024
    text_characters: int = 4_096
    array_elements: int = 1_000


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials.

    Attributes:
        url: `opc.tcp://host:port/path`; this host is dialled, whatever the device says of itself.
        certificate: Of the suite as a client (PEM or DER), with its ApplicationUri in SubjectAltName.
        key: Its private key.
        trust: Certificates of the device or of the authorities that issue it; without, any certificate is accepted, and
            the report says so.
        policy: Of the channel.
        user: User name; without user name and user certificate the session is anonymous.
        password: Of the user.
        user_certificate: Of the user, in place of name and password.
        user_key: Its private key.
        test_authority: Folder of a test authority that the device trusts for the test (`conformance.device.authority`);
            without, checks that need wrong certificates of a trusted issuer cannot be done.
    """

    url: str
    certificate: Path | None = None
    key: Path | None = None
    trust: tuple[Path, ...] = ()
    policy: Policy = Policy.BEST
    user: str = ""
    password: str = field(default="", repr=False)
    user_certificate: Path | None = None
    user_key: Path | None = None
    test_authority: Path | None = None
    limits: Limits = field(default_factory=Limits)
