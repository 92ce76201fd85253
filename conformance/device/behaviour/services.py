"""Rules about the services themselves: what they say to questions that cannot be answered (OPC 10000-4)."""

# ruff: noqa: ANN401 - asyncua's structures come without usable annotations
from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from conformance.device.prober import Prober
from conformance.device.security.table import Rules
from conformance.device.wire.errors import Refused
from conformance.device.wire.session import Session
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, passed

RULES = Rules()
VALUE = ua.AttributeIds.Value
STATE = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)
CLOCK = ua.ObjectIds.Server_ServerStatus_CurrentTime
_NOWHERE = ua.NodeId("area4 conform: no such node", 0)
_OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)
_MANY = 20_000


async def _status(attempt: Awaitable[Any]) -> str:
    """`Good`, or the status with which a service was refused."""
    try:
        await attempt
    except Refused as refusal:
        return refusal.status or "closed"
    return "Good"


async def _read(session: Session, request: Any) -> Any:
    return (await session.channel.request(request)).Results


def _reading(*wanted: tuple[ua.NodeId, int], times: Any = ua.TimestampsToReturn.Both, age: float = 0.0) -> Any:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn, request.Parameters.MaxAge = times, age
    request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=number) for node, number in wanted]
    return request


def named(found: dict[str, str], wanted: dict[str, str]) -> Outcome:
    """Every question has the status that it should have."""
    wrong = [f"{what}: {status} instead of {wanted[what]}" for what, status in found.items() if status != wanted[what]]
    return (
        failed("; ".join(wrong)) if wrong else passed(", ".join(f"{what}: {status}" for what, status in found.items()))
    )


@RULES.secured("service.read-unknown")
async def read_unknown(prober: Prober, _check: Check) -> Outcome:
    """A node that is not there, an attribute that it has not."""
    async with prober.session() as session:
        results = await _read(session, _reading((_NOWHERE, VALUE), (STATE, 99), (_OBJECTS, VALUE)))
    names = [one.StatusCode.name for one in results]
    wanted = {"node": "BadNodeIdUnknown", "attribute": "BadAttributeIdInvalid", "value": "BadAttributeIdInvalid"}
    return named(dict(zip(wanted, names, strict=True)), wanted)


@RULES.secured("service.nothing")
async def nothing(prober: Prober, _check: Check) -> Outcome:
    """Empty requests."""
    async with prober.session() as session:
        found = {
            "Read": await _status(session.channel.request(_reading())),
            "Browse": await _status(session.channel.request(ua.BrowseRequest())),
        }
    return named(found, dict.fromkeys(found, "BadNothingToDo"))


@RULES.secured("service.arguments")
async def arguments(prober: Prober, _check: Check) -> Outcome:
    """A negative MaxAge, and timestamps that do not exist."""
    async with prober.session() as session:
        found = {"MaxAge -1": await _status(session.channel.request(_reading((STATE, VALUE), age=-1.0)))}
    return named(found, {"MaxAge -1": "BadMaxAgeInvalid"})


@RULES.secured("service.timestamps")
async def read_timestamps(prober: Prober, _check: Check) -> Outcome:
    """Read gives the timestamps that were asked for."""
    seen = {}
    async with prober.session() as session:
        for name in ("Source", "Server", "Neither"):
            (one,) = await _read(session, _reading((STATE, VALUE), times=getattr(ua.TimestampsToReturn, name)))
            seen[name] = (one.SourceTimestamp is not None, one.ServerTimestamp is not None)
    if seen == {"Source": (True, False), "Server": (False, True), "Neither": (False, False)}:
        return passed("TimestampsToReturn is obeyed")
    return failed(f"asked for Source, Server, Neither, timestamps (source, server) are there: {seen}")


@RULES.secured("service.browse-unknown")
async def browse_unknown(prober: Prober, _check: Check) -> Outcome:
    """A node that is not there, and a path that leads nowhere."""
    browse, path = ua.BrowseRequest(), ua.TranslateBrowsePathsToNodeIdsRequest()
    browse.Parameters.NodesToBrowse = [ua.BrowseDescription(NodeId=_NOWHERE)]
    step = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences), IncludeSubtypes=True,
        TargetName=ua.QualifiedName("area4 conform: no such name", 0),
    )  # fmt: skip
    path.Parameters.BrowsePaths = [ua.BrowsePath(_OBJECTS, ua.RelativePath([step]))]
    async with prober.session() as session:
        found = {
            "Browse": (await _read(session, browse))[0].StatusCode.name,
            "TranslateBrowsePaths": (await _read(session, path))[0].StatusCode.name,
        }
    return named(found, {"Browse": "BadNodeIdUnknown", "TranslateBrowsePaths": "BadNoMatch"})


@RULES.secured("service.register")
async def register(prober: Prober, _check: Check) -> Outcome:
    """Registered nodes can be read by the ids that come back."""
    request = ua.RegisterNodesRequest()
    request.Parameters.NodesToRegister = [STATE, ua.NodeId(CLOCK)]
    async with prober.session() as session:
        answer = await session.channel.request(request)
        ids = list(getattr(answer, "Parameters", answer).RegisteredNodeIds or ())
        if len(ids) != 2:
            return failed(f"registering 2 nodes gives {len(ids)} ids")
        results = await _read(session, _reading(*((one, VALUE) for one in ids)))
    if all(one.StatusCode.is_good() and one.Value is not None for one in results):
        return passed("both registered nodes can be read by their new ids")
    return failed(f"registered nodes read {[one.StatusCode.name for one in results]}")


@RULES.secured("service.limit")
async def limits(prober: Prober, _check: Check) -> Outcome:
    """More nodes than MaxNodesPerRead are refused, as many are not."""
    async with prober.session() as session:
        (found,) = await session.read(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
        most = found.Value.Value if found.Value is not None else None
        if not isinstance(most, int) or not 0 < most <= _MANY:
            return absent(f"MaxNodesPerRead is {most}: no limit that can be tried")
        full = await _status(session.channel.request(_reading(*[(STATE, VALUE)] * most)))
        more = await _status(session.channel.request(_reading(*[(STATE, VALUE)] * (most + 1))))
    return named(
        {f"{most} nodes": full, "one more": more}, {f"{most} nodes": "Good", "one more": "BadTooManyOperations"}
    )


@RULES.secured("service.write-refused")
async def write_refused(prober: Prober, _check: Check) -> Outcome:
    """A read-only variable cannot be written."""
    request = ua.WriteRequest()
    value = ua.DataValue(ua.Variant(4, ua.VariantType.Int32))
    request.Parameters.NodesToWrite = [ua.WriteValue(NodeId=STATE, AttributeId=VALUE, Value=value)]
    async with prober.session() as session:
        before = (await session.read_nodes([STATE], VALUE))[0].Value.Value
        name = (await _read(session, request))[0].name
        after = (await session.read_nodes([STATE], VALUE))[0].Value.Value
    if before != after or name == "Good":
        return failed(f"writing the server's state gives {name}, and it is {after} instead of {before}")
    return passed(f"writing the server's state is refused: {name}")


@RULES.secured("service.call-arguments")
async def call_arguments(prober: Prober, _check: Check) -> Outcome:
    """A method with a wrong number of arguments, and one that is not there."""
    getter = ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems)
    server = ua.NodeId(ua.ObjectIds.Server)
    calls = [ua.CallMethodRequest(ObjectId=server, MethodId=getter), ua.CallMethodRequest(server, _NOWHERE)]
    request = ua.CallRequest()
    request.Parameters = calls if isinstance(request.Parameters, list) else request.Parameters
    if not isinstance(request.Parameters, list):
        request.Parameters.MethodsToCall = calls
    async with prober.session() as session:
        results = await _read(session, request)
    names = [one.StatusCode.name for one in results]
    if names[1] in {"BadMethodInvalid", "BadNodeIdUnknown", "BadNodeIdInvalid"} and names[0] != "Good":
        return passed(f"a missing argument is {names[0]}, a method that is not there {names[1]}")
    return failed(f"a missing argument is {names[0]}, a method that is not there {names[1]}")


@RULES.secured("server.state")
async def state(prober: Prober, _check: Check) -> Outcome:
    """The server runs, and says since when."""
    async with prober.session() as session:
        found = await session.read(
            ua.ObjectIds.Server_ServerStatus_State, ua.ObjectIds.Server_ServerStatus_StartTime, CLOCK
        )
    run, start, now = (one.Value.Value if one.Value is not None else None for one in found)
    if run != ua.ServerState.Running:
        return failed(f"ServerStatus/State is {run}, 0 is Running")
    if not isinstance(start, datetime) or not isinstance(now, datetime) or start > now:
        return failed(f"the server says that it started at {start} and that it is {now}")
    return passed(f"Running since {start:%Y-%m-%d %H:%M:%S} UTC")


def clock_offset(server: datetime, before: datetime, after: datetime) -> float:
    """Seconds by which a clock is ahead, at least, when it was read between two moments."""
    moment = server.replace(tzinfo=UTC) if server.tzinfo is None else server
    if moment > after:
        return (moment - after).total_seconds()
    return min(0.0, (moment - before).total_seconds())


@RULES.secured("server.clock")
async def clock(prober: Prober, check: Check) -> Outcome:
    """The server's clock is ours, give or take the seconds in the parameters."""
    most = float(check.parameters["seconds"])
    async with prober.session() as session:
        before = datetime.now(UTC)
        (found,) = await session.read(CLOCK)
    now = found.Value.Value if found.Value is not None else None
    if not isinstance(now, datetime):
        return failed("CurrentTime is no time")
    offset = clock_offset(now, before, datetime.now(UTC))
    text = f"the device's clock is {abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"
    return failed(f"{text}; {most:g} s are allowed") if abs(offset) > most else passed(text)


@RULES.secured("server.ticks")
async def ticks(prober: Prober, _check: Check) -> Outcome:
    """The server's clock goes on."""
    async with prober.session() as session:
        (first,) = await session.read(CLOCK)
        for _ in range(20):
            await asyncio.sleep(0.25)
            (second,) = await session.read(CLOCK)
            step = second.Value.Value - first.Value.Value
            if step > timedelta(0):
                return passed("CurrentTime goes on")
            if step < timedelta(0):
                return failed(f"CurrentTime goes back by {-step.total_seconds():g} s")
    return failed("CurrentTime stands still for 5 s")


@RULES.secured("server.namespaces")
async def namespaces(prober: Prober, _check: Check) -> Outcome:
    """The first namespaces are OPC UA's and the server's own, none is there twice."""
    async with prober.session() as session:
        (found,) = await session.read(ua.ObjectIds.Server_NamespaceArray)
    uris = found.Value.Value if found.Value is not None else None
    if not isinstance(uris, list) or not uris or uris[0] != "http://opcfoundation.org/UA/":
        return failed(f"the first namespace is not OPC UA's: {str(uris)[:200]}")
    if len(set(uris)) < len(uris) or not all(uris):
        return failed(f"a namespace is empty or there twice: {', '.join(map(str, uris))[:400]}")
    application = (await prober.endpoint()).Server.ApplicationUri
    if len(uris) > 1 and uris[1] != application:
        return failed(f"the second namespace is {uris[1]!r}, not the server's ApplicationUri {application!r}")
    return passed(f"{len(uris)} namespaces, none twice")


@RULES.secured("server.same-ids")
async def same_ids(prober: Prober, _check: Check) -> Outcome:
    """Two sessions see the same namespaces and the same nodes below Objects."""
    seen = []
    for _ in range(2):
        async with prober.session() as session:
            (table,) = await session.read(ua.ObjectIds.Server_NamespaceArray)
            request = ua.BrowseRequest()
            request.Parameters.NodesToBrowse = [
                ua.BrowseDescription(NodeId=_OBJECTS, IncludeSubtypes=True, ResultMask=63)
            ]
            references = (await _read(session, request))[0].References or ()
            seen.append((table.Value.Value, sorted(one.NodeId.to_string() for one in references)))
    if seen[0] != seen[1]:
        return failed("a second session sees other namespaces or other NodeIds below Objects")
    return passed(f"both sessions see the same {len(seen[0][1])} nodes below Objects")
