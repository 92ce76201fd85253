"""The mutant gateways, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.mutants import gateway_faults as faults
from simulators.mutants.gateway_faults import Dropped, Edited, Rewritten, every, of_machine, samples
from simulators.mutants.mutant import Mutant
from simulators.mutants.peercheck import PeerCheck
from simulators.mutants.relay import Fault

STEP_SOURCE = "docs/topics.md"


@dataclass(frozen=True, slots=True)
class GatewayMutant(Mutant):
    """A mutant gateway.

    Attributes:
        fault: Makes what the relay does to messages.
        broker_check: How it looks at the broker's certificate.
        server_check: How an accomplice looks at the server's; None: there is no accomplice.
        unsecured: The accomplice takes a server without security too.
        writes: The accomplice also writes.
        calls_home: It keeps a connection to somebody else.
        tells_key: It writes its private key to its log.
        listens: It listens on all addresses.
    """

    fault: Callable[[], Fault] = Fault
    broker_check: PeerCheck = field(default_factory=PeerCheck)
    server_check: PeerCheck | None = None
    unsecured: bool = False
    writes: bool = False
    calls_home: bool = False
    tells_key: bool = False
    listens: bool = False

    @property
    def of_messages(self) -> bool:
        """It is only the fault that makes it, and that looks at messages one by one."""
        plain = self.broker_check == PeerCheck() and self.server_check is None
        plain = plain and not (self.tells_key or self.listens or self.calls_home)
        made = self.fault()
        return plain and not made.early and type(made).publish is not Fault.publish


def _mutant(name: str, title: str, breaks: str, source: str, **made: Any) -> GatewayMutant:
    return GatewayMutant(f"gateway.{name}", title, breaks, source, **made)


_DATA = "OPC 10000-4 1.05, 7.11"
_TRUST = "OPC 10000-4 1.05, 6.1.3"
_TLS = "RFC 5280, 6"

MUTANTS: Sequence[GatewayMutant] = (
    _mutant(
        "data.machine-missing",
        "One machine is left out",
        "Data of the second machine never arrives, and it says that it was delivered.",
        "OPC 40001-1, 11.1",
        fault=lambda: Dropped(of_machine("/urn:area4-sim:machining-centre")),
    ),
    _mutant(
        "data.loses-messages",
        "Every fifth data message is lost",
        "It is acknowledged and thrown away; a gateway forgets only what the broker has.",
        "IEC 62443-4-2 CR 7.4",
        fault=lambda: every(5, "data"),
    ),
    _mutant(
        "data.announces-losses",
        "Announces losses that need not be",
        "Some values are lost undisturbed and named by a gap; with fitting queues none is.",
        "OPC 10000-4 1.05, 5.13.1.5",
        fault=faults.Announcing,
    ),
    _mutant(
        "data.rounds-numbers",
        "Rounds numbers",
        "A float keeps one decimal; values must be what the machine showed.",
        _DATA,
        fault=lambda: samples(faults.rounded),
    ),
    _mutant(
        "data.own-clock",
        "Stamps with its own clock",
        "The time of sending stands for the source time.",
        _DATA,
        fault=lambda: samples(faults.own_clock),
    ),
    _mutant(
        "data.always-good",
        "Says good for every value",
        "Quality and status are dropped; a bad value looks like a good one.",
        "OPC 10000-4 1.05, 7.38",
        fault=lambda: samples(faults.always_good),
    ),
    _mutant(
        "data.repeats-old-values",
        "Tells an old value again as new",
        "Each message ends with a value that was never shown at that time.",
        _DATA,
        fault=faults.Stale,
    ),
    _mutant(
        "data.backwards",
        "Turns the order of a message round",
        "The newest value comes first, so a consumer ends with the oldest.",
        "OPC 10000-4 1.05, 5.13.1.5",
        fault=lambda: Edited(faults.backwards, "data"),
    ),
    _mutant(
        "data.no-not-a-number",
        "Drops NaN and Infinity",
        "They become null, which says that there is no value.",
        "OPC 10000-6 1.05, 5.4.2.4",
        fault=lambda: samples(faults.no_number),
    ),
    _mutant(
        "data.imprecise-integers",
        "Sends 64 bit integers through a double",
        "Beyond 2^53 the last digits are wrong.",
        "RFC 8259, 6",
        fault=lambda: samples(faults.imprecise),
    ),
    _mutant(
        "data.ascii-only",
        "Texts lose what is not ASCII",
        "Umlauts become question marks.",
        "RFC 8259, 8.1",
        fault=lambda: samples(faults.ascii_only),
    ),
    _mutant(
        "data.flattened-arrays",
        "Arrays become text",
        "A consumer must parse a string.",
        "OPC 10000-6 1.05, 5.4.5",
        fault=lambda: samples(faults.flattened),
    ),
    _mutant(
        "data.truncated-bytes",
        "Byte strings lose their end",
        "The last byte of each byte string is missing.",
        "OPC 10000-6 1.05, 5.4.2.8",
        fault=lambda: samples(faults.truncated),
    ),
    _mutant(
        "data.drops-odd-names",
        "Drops signals with odd names",
        "A name with + or # never arrives.",
        "MQTT 5.0, 4.7.1",
        fault=lambda: Edited(faults.plain_names_only, "data"),
    ),
    _mutant(
        "data.splits-names",
        "Takes a slash in a name for a level",
        "Two different signals may get one path.",
        STEP_SOURCE,
        fault=lambda: samples(faults.split_names),
    ),
    _mutant(
        "data.loses-events",
        "Every third event is lost",
        "It says that they were delivered.",
        "IEC 62443-4-2 CR 7.4",
        fault=lambda: every(3, "event"),
    ),
    _mutant(
        "data.mild-events",
        "All events have severity 1",
        "An operator cannot tell an alarm from a notice.",
        "OPC 10000-5 1.05, 6.4.2",
        fault=lambda: Edited(faults.mild, "event"),
    ),
    _mutant(
        "data.stateless-alarms",
        "Alarms come without their state",
        "Nobody learns that an alarm went.",
        "OPC 10000-9 1.05, 5.5.2",
        fault=lambda: Edited(faults.event_without("condition"), "event"),
    ),
    _mutant(
        "data.late",
        "Every message waits",
        "Values arrive many seconds late.",
        "IEC 62443-4-2 CR 7.1",
        fault=lambda: faults.Slow(1.5),
    ),
    _mutant(
        "model.literal-nan",
        "Writes NaN as a bare word",
        "No parser but a careless one reads it.",
        "RFC 8259, 6",
        fault=lambda: Rewritten(faults.literal_nan),
    ),
    _mutant(
        "model.incomplete-messages",
        "Leaves out a field that the schema demands",
        "`taken` is missing.",
        "docs/schema",
        fault=lambda: Edited(faults.untaken, "event"),
    ),
    _mutant(
        "model.node-ids",
        "NodeIds with namespace indexes get out",
        "After the next start of the server they mean something else.",
        "OPC 10000-3 1.05, 8.2.2",
        fault=lambda: samples(faults.with_node_id),
    ),
    _mutant(
        "model.renames-machines",
        "Names machines by its connections",
        "Two gateways give one machine two names.",
        "OPC 40001-1, 8.4",
        fault=lambda: Rewritten(faults.renamed),
    ),
    _mutant(
        "model.unescaped-topics",
        "Puts names into topics as they are",
        "A slash in a name makes a level that no subscription expects.",
        "MQTT 5.0 [MQTT-4.7.1-1]",
        fault=lambda: Rewritten(faults.unescaped),
    ),
    _mutant(
        "model.short-descriptions",
        "Leaves out half of the signals of a description",
        "Values come that nothing explains.",
        "OPC 40001-1, 6",
        fault=lambda: Edited(faults.half, "description"),
    ),
    _mutant(
        "model.no-units",
        "Descriptions have no units",
        "A number without its unit is worth little.",
        "OPC 10000-8 1.05, 5.6.4",
        fault=lambda: Edited(faults.without("unit"), "description"),
    ),
    _mutant(
        "model.no-ranges",
        "Descriptions have no ranges",
        "Nobody knows the ends of a scale.",
        "OPC 10000-8 1.05, 5.6.2",
        fault=lambda: Edited(faults.without("range"), "description"),
    ),
    _mutant(
        "model.no-enumerations",
        "Descriptions do not name the values of enumerations",
        "2 means nothing.",
        "OPC 10000-3 1.05, 5.6.3",
        fault=lambda: Edited(faults.without("enumeration"), "description"),
    ),
    _mutant(
        "model.no-data-types",
        "Descriptions have no data types",
        "A consumer has to guess.",
        "OPC 10000-3 1.05, 5.6.2",
        fault=lambda: Edited(faults.without("dataType"), "description"),
    ),
    _mutant(
        "model.no-semantics",
        "Descriptions do not name the standard's declarations",
        "Signals of two vendors cannot be told to be the same.",
        "OPC 40501-1 1.02, 8",
        fault=lambda: Edited(faults.without("semanticId"), "description"),
    ),
    _mutant(
        "mqtt.at-most-once",
        "Publishes with QoS 0",
        "What a broker or a network drops is gone.",
        "MQTT 5.0, 4.3.1",
        fault=faults.AtMostOnce,
    ),
    _mutant(
        "mqtt.retains-data",
        "Data is retained",
        "A consumer that comes later takes old values for new ones.",
        "MQTT 5.0, 3.3.1.3",
        fault=lambda: Rewritten(faults.flag(kinds=("data",), retain=True)),
    ),
    _mutant(
        "mqtt.forgets-descriptions",
        "Descriptions are not retained",
        "A consumer that comes later understands nothing.",
        "MQTT 5.0, 3.3.1.3",
        fault=lambda: Rewritten(faults.flag(kinds=("description",), retain=False)),
    ),
    _mutant(
        "mqtt.never-online",
        "Its status never says that it is there",
        "Nobody can tell a dead gateway from a living one.",
        "MQTT 5.0, 3.1.2.5",
        fault=lambda: Rewritten(faults.offline),
    ),
    _mutant(
        "stream.skips-numbers",
        "Leaves out a number without any loss",
        "A consumer sees a hole where nothing is missing.",
        STEP_SOURCE,
        fault=faults.Skipping,
    ),
    _mutant(
        "stream.altered-repeats",
        "A repeat has another content",
        "The same number names two different messages.",
        STEP_SOURCE,
        fault=faults.Repeated,
    ),
    _mutant(
        "stream.swaps-messages",
        "Sends every tenth message behind its successor",
        "A message comes behind one with a higher number.",
        "MQTT 5.0 [MQTT-4.6.0-2]",
        fault=faults.Swapping,
    ),
    _mutant(
        "fault.forgets-in-outage",
        "Acknowledges before the broker has it",
        "What was under way when the broker went is lost.",
        "IEC 62443-4-2 CR 7.4",
        fault=faults.Forgetful,
    ),
    _mutant(
        "fault.loses-after-silence",
        "Throws away what comes while the broker is silent",
        "Without an acknowledgement for 2 s, new messages are acknowledged and dropped.",
        "IEC 62443-4-2 CR 7.1",
        fault=lambda: faults.Impatient(2.0),
    ),
    _mutant(
        "fault.loses-after-cut",
        "Loses what follows a cut connection",
        "The first data message after an interruption is thrown away.",
        "OPC 10000-4 1.05, 6.7",
        fault=faults.AfterInterruption,
    ),
    _mutant(
        "fault.silent-gaps",
        "Says nothing of a loss",
        "Gap messages are dropped.",
        "design rule: a loss is data",
        fault=lambda: Dropped(faults.is_kind("gap")),
    ),
    _mutant(
        "fault.slow-return",
        "Takes half a minute to come back",
        "After an interruption the first message waits for 15 s, and all behind it.",
        "IEC 62443-4-2 CR 7.4",
        fault=lambda: faults.SlowReturn(15.0),
    ),
    _mutant(
        "fault.keeps-in-memory",
        "Keeps the newest in memory only",
        "What it had acknowledged dies with its process.",
        "IEC 62443-4-2 CR 7.4",
        fault=faults.Unsure,
    ),
    _mutant(
        "fault.no-will",
        "Has no last will",
        "When it dies, its status says online for ever.",
        "MQTT 5.0, 3.1.2.5",
        fault=faults.Willless,
    ),
    _mutant(
        "security.broker-unknown-authority",
        "Trusts a broker of any authority",
        "Whoever stands at the address gets its data.",
        _TLS,
        broker_check=PeerCheck(chain=False),
    ),
    _mutant(
        "security.broker-expired",
        "Takes an expired broker certificate",
        "A key that should be out of use still works.",
        _TLS,
        broker_check=PeerCheck(time=False),
    ),
    _mutant(
        "security.broker-wrong-host",
        "Does not compare the broker's name",
        "Any server of the authority can stand in for the broker.",
        "RFC 6125, 6",
        broker_check=PeerCheck(name=False),
    ),
    _mutant(
        "security.broker-revoked",
        "Does not look at revocation lists",
        "A stolen key works until it expires.",
        "RFC 5280, 6.3",
        broker_check=PeerCheck(revocation=False),
    ),
    _mutant(
        "security.broker-plain",
        "Goes on without TLS where the broker has none",
        "Everybody on the network reads along.",
        "ETSI EN 303 645, 5.5-1",
        fault=faults.Plain,
    ),
    _mutant(
        "security.server-unknown-authority",
        "Trusts a server of any authority",
        "Whoever stands at the address learns the user.",
        _TRUST,
        server_check=PeerCheck(chain=False),
    ),
    _mutant(
        "security.server-expired",
        "Takes an expired server certificate",
        "BadCertificateTimeInvalid is not looked for.",
        _TRUST,
        server_check=PeerCheck(time=False),
    ),
    _mutant(
        "security.server-wrong-uri",
        "Does not compare the ApplicationUri",
        "Any application of the authority can stand in for the server.",
        _TRUST,
        server_check=PeerCheck(name=False),
    ),
    _mutant(
        "security.server-none",
        "Takes a server without security",
        "Everybody on the network reads along.",
        "OPC 10000-2 1.05, 5.1",
        server_check=PeerCheck(),
        unsecured=True,
    ),
    _mutant(
        "fault.pins-certificate",
        "Takes only the broker certificate that it saw first",
        "When the broker's certificate is renewed, nothing arrives any more.",
        "IEC 62443-4-2 CR 1.5",
        fault=faults.Pinning,
    ),
    _mutant(
        "fault.trusts-the-handshake",
        "Takes a finished handshake for an accepted connection",
        "With TLS 1.3 a refusal comes after it; what was sent meanwhile is lost.",
        "RFC 8446, 4.4.2",
        fault=faults.Forgetful,
    ),
    _mutant(
        "security.writes",
        "Writes to machines that it should only read",
        "A machine may move because of it.",
        "IEC 62443-4-2 CR 2.1",
        server_check=PeerCheck(),
        writes=True,
    ),
    _mutant(
        "security.calls-home",
        "Keeps a connection that nobody configured",
        "It tells somebody something.",
        "IEC 62443-4-2 CR 5.1",
        calls_home=True,
    ),
    _mutant(
        "security.tells-key",
        "Writes its private key to the log",
        "Whoever reads the log can be the gateway.",
        "ETSI EN 303 645, 5.4-1",
        tells_key=True,
    ),
    _mutant(
        "security.listens-everywhere",
        "Listens on all addresses",
        "Its pages are open to the whole network.",
        "ETSI EN 303 645, 5.6-1",
        listens=True,
    ),
)
"""In the order of the catalogue."""


def gateway_mutants() -> Mapping[str, GatewayMutant]:
    """By id."""
    return {one.id: one for one in MUTANTS}
