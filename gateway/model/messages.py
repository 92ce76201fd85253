"""The messages of the common data model as consumers see them; JSON Schema and AsyncAPI are generated from here.

Field names are lower camel case in JSON. Fields that hold their default are left out. All times are texts of
`gateway.model.times`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

VERSION = "v1"
"""Version of the topics and of the messages."""

Time = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$", examples=["2026-11-22T15:30:00.1234567Z"]),
]
Path = Annotated[str, Field(examples=["Monitoring/Spindle1/Override"])]
Quality = Literal["good", "uncertain", "bad"]
GapCause = Literal[
    "queue-overflow",  # the server's queue of a signal was full (overflow bit)
    "missing-sequence",  # the server no longer had a notification that it had numbered
    "undecodable",  # a notification could not be read
    "connection",  # the outage was longer than the server kept data
    "evicted",  # the outbox was full or its content too old
    "outbox-lost",  # the outbox file was damaged or removed
    "quarantined",  # a signal could not be subscribed
]


class Wire(BaseModel):
    """Base of everything on the wire: closed, camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class LocalizedText(Wire):
    """A text for people in one language; locale is a tag such as `de-DE` or empty."""

    text: str | None = None
    locale: str | None = None


class Unit(Wire):
    """Engineering unit of a signal.

    UNECE Recommendation 20 code, the symbol that the machine shows, and UCUM where the table knows it.
    """

    code: str | None = Field(default=None, description="UNECE Recommendation 20 common code, for example MMT")
    symbol: str | None = Field(default=None, description="Symbol as the machine shows it, for example mm")
    description: str | None = None
    ucum: str | None = Field(default=None, description="The same unit in UCUM, for example mm")


class Range(Wire):
    """Range in which a signal moves in normal operation (EURange); infinite ends are texts, as in values."""

    low: float | str
    high: float | str


class StructureField(Wire):
    """A field of a structured data type."""

    name: str
    data_type: str
    array_shape: list[int] | None = None
    optional: bool = False


class DataType(Wire):
    """A data type outside of the built-in ones, used by a signal of the machine.

    Attributes:
        enumeration: Names by number, for an enumeration.
        fields: The fields, for a structure.
    """

    name: str
    semantic_id: str | None = None
    enumeration: dict[str, str] | None = None
    fields: list[StructureField] | None = None


class Signal(Wire):
    """Description of one signal.

    Attributes:
        path: Browse path below the machine; the name of the signal in samples.
        data_type: Name of its OPC UA data type; details of non-built-in ones stand in `dataTypes`.
        array_shape: None for a scalar, else the length of each dimension, 0 where it varies.
        semantic_id: The declaration in the standard that this signal is an instance of.
        vendor: It is not declared by the standards.
    """

    path: Path
    data_type: str
    array_shape: list[int] | None = None
    unit: Unit | None = None
    range: Range | None = None
    enumeration: dict[str, str] | None = Field(default=None, description="Names by number")
    text: LocalizedText | None = Field(default=None, description="Description for people, as the machine gives it")
    semantic_id: str | None = Field(
        default=None, examples=["nsu=http://opcfoundation.org/UA/MachineTool/;i=263"], description="nsu=<URI>;i=<id>"
    )
    access: Literal["read", "read-write", "write"] = "read"
    vendor: bool = False
    quarantined: str | None = Field(default=None, description="Why this signal cannot be read, where it cannot")


class Component(Wire):
    """An object of the machine with its type, so that all spindles of all vendors are found without a name."""

    path: Path
    type: str = Field(examples=["SpindleMonitoringType"])
    type_id: str | None = Field(default=None, description="nsu=<URI>;i=<id> of the type definition")
    name: str | None = Field(default=None, description="Display name where it differs from the browse name")
    vendor: bool = False


class Lack(Wire):
    """A node that the standard makes mandatory and the machine does not have."""

    path: Path
    required_by: str = Field(examples=["MachineToolType"])


class MachineDescription(Wire):
    """What a machine is and what it offers; retained, new whenever it changes.

    Attributes:
        id: Identity: ProductInstanceUri, else manufacturer and serial number.
        name: Browse name of the machine.
        type: Browse name of its type definition.
        source: Name of the configured source that it is read from.
        identification: Values of its Identification, by browse name.
    """

    id: str
    name: str
    type: str
    type_id: str | None = None
    source: str
    identification: dict[str, JsonValue] = Field(default_factory=dict)
    components: list[Component] = Field(default_factory=list)
    signals: list[Signal] = Field(default_factory=list)
    data_types: list[DataType] = Field(default_factory=list)
    lacks: list[Lack] = Field(default_factory=list)


class ConditionState(Wire):
    """State of an alarm or condition (OPC 10000-9) at this event.

    Attributes:
        id: Opaque and stable: the same condition of the same machine has the same id.
        retain: The condition is of interest: active, or not yet acknowledged.
    """

    id: str
    name: str | None = None
    enabled: bool | None = None
    active: bool | None = None
    acked: bool | None = None
    confirmed: bool | None = None
    retain: bool
    branch: str | None = None
    comment: LocalizedText | None = None


class EventBody(Wire):
    """One event of a machine.

    Attributes:
        id: EventId, base64; the same event seen twice (a refresh) has the same id.
        type: Browse name of its event type.
        source: Path of the object that it belongs to; empty for the machine itself, None when outside of it.
        refresh: It was told by a ConditionRefresh: the state after a (re)connection, not something that happened now.
        fields: All other fields by browse name; a nested field's name is its path.
    """

    id: str
    type: str = Field(examples=["AlertType"])
    type_id: str | None = None
    source: str | None = None
    source_name: str | None = None
    time: Time | None
    severity: int
    message: LocalizedText | None = None
    condition: ConditionState | None = None
    refresh: bool = False
    fields: dict[str, JsonValue] = Field(default_factory=dict)


class SampleBody(Wire):
    """One value of one signal; `quality` is left out when good, `status` when Good."""

    path: Path
    value: JsonValue
    time: Time | None = Field(description="Source time; null where the machine gave none")
    quality: Quality = "good"
    status: str | None = Field(default=None, description="OPC UA status name", examples=["BadSensorFailure"])
    backfilled: bool = Field(
        default=False, description="Read from the machine's history after an interruption: it may come after newer ones"
    )


class StreamMessage(Wire):
    """What every message of a machine's stream carries.

    A repeat carries the same pair of epoch and seq; a hole in seq within an epoch is a loss that nobody announced.

    Attributes:
        machine: Identity of the machine.
        epoch: Names the stream; changes only if the stream itself was lost.
        seq: +1 with each message of the machine, from 1, whatever its kind.
        taken: When the gateway took it.
    """

    machine: str
    epoch: str
    seq: int = Field(ge=1)
    taken: Time


class DataMessage(StreamMessage):
    """Samples of one machine, in the order of the machine per signal."""

    samples: list[SampleBody] = Field(min_length=1)


class EventMessage(StreamMessage):
    """An event, an alarm, a transition."""

    event: EventBody


class GapMessage(StreamMessage):
    """Something was lost, and this says what; silence never means loss."""

    signals: list[Path] | None = Field(description="null: any signal or event of the machine")
    events: bool = Field(default=False, description="Events of the machine may be missing too, as with signals null")
    begin: Time = Field(description="Last moment known to be complete")
    end: Time = Field(description="First moment known to be complete again")
    cause: GapCause
    detail: str = ""
    lost: int | None = Field(default=None, description="How many values, where that is known")
    missing: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="First and last seq of this epoch between which messages were lost; those that arrived were not",
    )


class DescriptionMessage(StreamMessage):
    """Retained: what a machine is and offers."""

    description: MachineDescription


MachineState = Literal["online", "silent", "offline"]


class MachineStatus(Wire):
    """Retained, outside of the stream: whether the gateway hears the machine.

    `silent`: connected, but neither data nor keep-alive within the time that was agreed.
    """

    machine: str
    state: MachineState
    since: Time
    reason: str | None = None


class GatewayStatus(Wire):
    """Retained; `offline` is also the gateway's last will.

    Attributes:
        waivers: Everything that was configured to be weaker than the default, by name.
    """

    gateway: str
    state: Literal["online", "offline"]
    version: str
    since: Time | None = Field(default=None, description="Left out in a last will")
    reason: str | None = None
    waivers: list[str] = Field(default_factory=list)


KINDS: dict[str, type[StreamMessage]] = {
    "data": DataMessage,
    "event": EventMessage,
    "gap": GapMessage,
    "description": DescriptionMessage,
}
"""Messages of a machine's stream by the last level of their topic."""

STATUS_KINDS: dict[str, type[Wire]] = {"status": MachineStatus, "gateway-status": GatewayStatus}


def dump(model: Wire) -> dict[str, Any]:
    """The model as it is written: camel case, without fields that hold their default."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
