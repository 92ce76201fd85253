"""What mutant gateways do to messages of the common data model (docs/topics.md), each one thing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from simulators.mutants.packets import Packet, Publish
from simulators.mutants.relay import OWN_NUMBER, Fault

Body = dict[str, Any]


class Edited(Fault):
    """Changes the body of every message of some kinds."""

    def __init__(self, edit: Callable[[Body], None], *kinds: str) -> None:
        self._edit = edit
        self._kinds = kinds

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The same with another body."""
        if not message.payload or message.topic.rsplit("/", 1)[-1] not in self._kinds:
            return [message]
        body = json.loads(message.payload)
        self._edit(body)
        return [replace(message, payload=json.dumps(body, ensure_ascii=False).encode())]


class Dropped(Fault):
    """Loses messages that a predicate names, and says that they were delivered."""

    def __init__(self, lost: Callable[[Publish], bool]) -> None:
        self._lost = lost

    def publish(self, message: Publish) -> Sequence[Publish]:
        """Nothing, or the message."""
        return [] if self._lost(message) else [message]


class Rewritten(Fault):
    """Changes topic, flags or bytes of every message."""

    def __init__(self, rewrite: Callable[[Publish], Publish]) -> None:
        self._rewrite = rewrite

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The same, changed."""
        return [self._rewrite(message)]


class Willless(Fault):
    """Takes the last will out of the CONNECT (MQTT 3.1.1 and 5, 3.1.2.5)."""

    def connect(self, packet: Packet) -> Packet:
        """Without flag, properties, topic and payload of the will."""
        body = packet.body
        flags_at = 3 + int.from_bytes(body[:2], "big")
        flags, level = body[flags_at], body[flags_at - 1]
        if not flags & 4:
            return packet
        at = flags_at + 3
        if level >= 5:
            at += 1 + body[at]
        at += 2 + int.from_bytes(body[at : at + 2], "big")  # client identifier
        end = at
        if level >= 5:
            end += 1 + body[end]
        for _ in ("topic", "payload"):
            end += 2 + int.from_bytes(body[end : end + 2], "big")
        kept = bytearray(body[:at] + body[end:])
        kept[flags_at] = flags & ~0b0011_1100
        return replace(packet, body=bytes(kept))


class Forgetful(Fault):
    """Acknowledges what it has not delivered: what is under way when the broker goes is lost."""

    early = True


class Pinning(Fault):
    """Trusts one certificate instead of its authority: a renewed one locks it out."""

    pins = True


class Unsure(Fault):
    """Acknowledges at once and keeps the newest messages in memory, which dies with it."""

    early = True
    lag = 2.0


class Slow(Fault):
    """Every message waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def delay(self, message: Publish) -> float:  # noqa: ARG002 - of the contract
        """Of all."""
        return self._seconds


class Plain(Fault):
    """Goes on without TLS where the broker has none."""

    plain = True


class Impatient(Fault):
    """Throws away what comes while the broker has not acknowledged for a while, as a full queue of the newest does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: float | None = None

    def acknowledged(self) -> None:
        """The broker is there."""
        self._waiting = None

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The message, unless the broker is silent."""
        now = time.monotonic()
        if self._waiting is None:
            self._waiting = now
        return [] if now - self._waiting > self._seconds else [message]


class Away:
    """Follows the machines' states, to know the first data message behind an interruption."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lost: set[str] = set()

    def was(self, message: Publish) -> bool:
        """It is data of a machine that was away since its last."""
        machine, _, kind = message.topic.rpartition("/")
        if kind == "status" and machine in self._known and b'"online"' not in message.payload:
            self._lost.add(machine)
        if kind != "data":
            return False
        self._known.add(machine)
        back = machine in self._lost
        self._lost.discard(machine)
        return back


class AfterInterruption(Fault):
    """Loses the first data message of a machine after its connection was lost: what its queues had kept."""

    def __init__(self) -> None:
        self._away = Away()

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The message, unless its machine was away before it."""
        return [] if self._away.was(message) else [message]


class Repeated(Fault):
    """Sends every tenth data message again with the same number but another content."""

    def __init__(self) -> None:
        self._count = 0

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The message, and sometimes its altered repeat."""
        if not message.topic.endswith("/data"):
            return [message]
        self._count += 1
        if self._count % 10:
            return [message]
        body = json.loads(message.payload)
        body["samples"] = body["samples"][:1]
        again = replace(message, payload=json.dumps(body, ensure_ascii=False).encode(), number=OWN_NUMBER)
        return [message, again]


class Skipping(Fault):
    """Counts the messages of each machine wrongly: after the twentieth a number is left out, without any loss."""

    def publish(self, message: Publish) -> Sequence[Publish]:
        """With another `seq`."""
        if message.topic.rsplit("/", 1)[-1] not in {"data", "event", "gap", "description"} or not message.payload:
            return [message]
        body = json.loads(message.payload)
        body["seq"] += body["seq"] > 20
        return [replace(message, payload=json.dumps(body, ensure_ascii=False).encode())]


class Swapping(Fault):
    """Sends every tenth data message behind the one that follows it."""

    def __init__(self) -> None:
        self._count = 0
        self._held: Publish | None = None

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The message; or none; or it and the one that was held."""
        held, self._held = self._held, None
        if held is not None:
            return [message, held]
        self._count += message.topic.endswith("/data")
        if message.topic.endswith("/data") and self._count % 10 == 0:
            self._held = replace(message, number=OWN_NUMBER)
            return []
        return [message]


class Stale(Fault):
    """Adds to a machine's data message a value that it never had at that time."""

    def publish(self, message: Publish) -> Sequence[Publish]:
        """With one sample more."""
        if not message.topic.endswith("/data"):
            return [message]
        body = json.loads(message.payload)
        first, last = body["samples"][0], body["samples"][-1]
        if isinstance(last.get("value"), float):
            body["samples"].append({**first, "value": -4711.5, "time": "2001-01-01T00:00:00.0000000Z"})
        return [replace(message, payload=json.dumps(body, ensure_ascii=False).encode())]


class Announcing(Fault):
    """Loses every tenth data message and says so in its place."""

    def __init__(self) -> None:
        self._count = 0

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The message, or a gap."""
        if not message.topic.endswith("/data"):
            return [message]
        self._count += 1
        if self._count % 10:
            return [message]
        body = json.loads(message.payload)
        times = sorted(one["time"] for one in body["samples"] if one["time"])
        gap = {key: body[key] for key in ("machine", "epoch", "seq", "taken")}
        gap |= {"signals": sorted({one["path"] for one in body["samples"]}), "cause": "queue-overflow"}
        gap |= {"begin": times[0], "end": times[-1], "lost": len(body["samples"])}
        topic = f"{message.topic.removesuffix('/data')}/gap"
        return [replace(message, topic=topic, payload=json.dumps(gap, ensure_ascii=False).encode())]


class SlowReturn(Fault):
    """After a machine was away, the first message of it waits for long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._away = Away()

    def delay(self, message: Publish) -> float:
        """None, unless the machine was away before it."""
        return self._seconds if self._away.was(message) else 0.0


def samples(edit: Callable[[Body], None]) -> Fault:
    """Changes every sample."""

    def body(whole: Body) -> None:
        for one in whole["samples"]:
            edit(one)

    return Edited(body, "data")


def every(count: int, kind: str) -> Fault:
    """Loses one in `count` messages of a kind."""
    seen = [0]

    def lost(message: Publish) -> bool:
        seen[0] += message.topic.endswith(f"/{kind}")
        return message.topic.endswith(f"/{kind}") and seen[0] % count == 0

    return Dropped(lost)


def rounded(sample: Body) -> None:
    """Numbers lose their decimals."""
    if isinstance(sample.get("value"), float):
        sample["value"] = round(sample["value"], 1)


def own_clock(sample: Body) -> None:
    """The gateway's time stands for the machine's."""
    sample["time"] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.{time.time_ns() // 100 % 10_000_000:07d}Z"


def always_good(sample: Body) -> None:
    """What the machine says of the quality is left out."""
    sample.pop("quality", None)
    sample.pop("status", None)


def imprecise(sample: Body) -> None:
    """64 bit integers pass through a double."""
    value = sample.get("value")
    if isinstance(value, str) and value.lstrip("-").isdigit():
        sample["value"] = str(int(float(value)))


def no_number(sample: Body) -> None:
    """What JSON has no number for becomes null."""
    if sample.get("value") in ("NaN", "Infinity", "-Infinity"):
        sample["value"] = None


def ascii_only(sample: Body) -> None:
    """Texts lose what is not ASCII."""
    if isinstance(sample.get("value"), str):
        sample["value"] = sample["value"].encode("ascii", "replace").decode()


def flattened(sample: Body) -> None:
    """Arrays become text."""
    if isinstance(sample.get("value"), list):
        sample["value"] = str(sample["value"])


def with_node_id(sample: Body) -> None:
    """The server's own numbers get out."""
    sample["node"] = "ns=7;i=6001"


def literal_nan(message: Publish) -> Publish:
    """Writes NaN as Python's json does, which no other parser reads."""
    return replace(message, payload=message.payload.replace(b'"NaN"', b"NaN"))


def truncated(sample: Body) -> None:
    """Byte strings lose their last byte (values of the probe machine's `Bytes`)."""
    if sample["path"].endswith("/Bytes") and isinstance(sample.get("value"), str):
        sample["value"] = base64.b64encode(base64.b64decode(sample["value"])[:-1]).decode()


def plain_names_only(body: Body) -> None:
    """Samples of signals with + or # in their name are left out."""
    kept = [one for one in body["samples"] if not set("+#") & set(one["path"])]
    body["samples"] = kept or body["samples"][:1]


def split_names(sample: Body) -> None:
    """An escaped slash becomes a level."""
    sample["path"] = sample["path"].replace("%2F", "/")


def half(body: Body) -> None:
    """Every second signal of a description is left out."""
    signals = body["description"].get("signals", [])
    body["description"]["signals"] = signals[::2]


def backwards(body: Body) -> None:
    """The samples of a message in reverse."""
    body["samples"].reverse()


def renamed(message: Publish) -> Publish:
    """A machine's identity is the name of the connection."""
    levels = message.topic.split("/")
    if len(levels) != 5 or not message.payload:
        return message
    body = json.loads(message.payload)
    if "machine" not in body:
        return message
    body["machine"] = levels[3] = f"connection-{len(body['machine'])}"
    return replace(message, topic="/".join(levels), payload=json.dumps(body, ensure_ascii=False).encode())


def unescaped(message: Publish) -> Publish:
    """Names stand in topics as they are: a slash in one makes another level."""
    return replace(message, topic=message.topic.replace("/urn:", "/urn/", 1))


def without(*keys: str) -> Callable[[Body], None]:
    """Takes keys out of every signal of a description."""

    def edit(body: Body) -> None:
        for signal in body["description"].get("signals", []):
            for key in keys:
                signal.pop(key, None)

    return edit


def event_without(key: str) -> Callable[[Body], None]:
    """Takes a key out of every event."""

    def edit(body: Body) -> None:
        body["event"].pop(key, None)

    return edit


def mild(body: Body) -> None:
    """Every event has the same severity."""
    body["event"]["severity"] = 1


def untaken(body: Body) -> None:
    """A field that the published schema demands is left out."""
    body.pop("taken", None)


def offline(message: Publish) -> Publish:
    """The gateway's status never says that it is there."""
    return replace(message, payload=message.payload.replace(b'"online"', b'"offline"'))


def flag(*, kinds: Sequence[str], retain: bool) -> Callable[[Publish], Publish]:
    """Another retain flag for some kinds of messages."""

    def rewrite(message: Publish) -> Publish:
        return replace(message, retain=retain) if message.topic.rsplit("/", 1)[-1] in kinds else message

    return rewrite


class AtMostOnce(Fault):
    """Publishes with QoS 0 and tells the gateway that all is well."""

    def publish(self, message: Publish) -> Sequence[Publish]:
        """The same, unacknowledged."""
        return [replace(message, qos=0)]


def is_kind(kind: str) -> Callable[[Publish], bool]:
    """All messages of a kind."""
    return lambda message: message.topic.endswith(f"/{kind}")


def of_machine(part: str) -> Callable[[Publish], bool]:
    """All messages of the machines whose topic contains this."""
    return lambda message: part in message.topic
