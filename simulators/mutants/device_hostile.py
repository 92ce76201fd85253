"""Mutants of what a server does with bytes that no honest client sends."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import asyncio
from typing import Any

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.server.binary_server_asyncio import OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from cryptography import x509

from simulators.mutants.device import DeviceMutant
from simulators.mutants.device_trust import trusting
from simulators.mutants.patching import core, mutant, patched, processor, protocol
from simulators.opcua.mended import Processor, Protocol
from simulators.opcua.trust import Trust, first_certificate

_TCP = "OPC 10000-6, 7.1"
_ROBUST = "IEC 62443-4-2, CR 3.5"
_ENDLESS = (2_000_000_000).to_bytes(4, "little")


class _Patient(Protocol):
    def data_received(self, data: bytes) -> None:
        OPCUAProtocol.data_received(self, data)


class _LongHello(Protocol):
    def most_bytes(self, kind: bytes) -> int:
        return 1_000_000 if kind == b"HEL" else super().most_bytes(kind)


class _Huge(Protocol):
    def most_bytes(self, kind: bytes) -> int:
        return super().most_bytes(kind) if kind == b"HEL" else 0x7FFF_FFFF


class _Generous(TransportLimits):
    def create_acknowledge_and_set_limits(self, msg: Any) -> Any:
        answer = super().create_acknowledge_and_set_limits(msg)
        answer.ReceiveBufferSize = answer.SendBufferSize = 65_535
        return answer


class _GenerousProcessor(Processor):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = self._connection._limits = _Generous()


class _Shocked(Processor):
    """Says nothing more after bytes that it cannot decode."""

    async def process(self, header: Any, body: Any) -> Any:
        if header.MessageType == ua.MessageType.SecureOpen:
            return await super().process(header, body)
        return await UaProcessor.process(self, header, body)


class _ShockedOpening(Processor):
    async def process(self, header: Any, body: Any) -> Any:
        if header.MessageType == ua.MessageType.SecureOpen:
            return await UaProcessor.process(self, header, body)
        return await super().process(header, body)


class _Hanging(Processor):
    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        data = bytes(body.copy().read(len(body)))
        if b"\xff\xfe\x00" in data:
            await asyncio.Event().wait()
        return await super().process_message(seqhdr, body)


class _Believing(Processor):
    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        data = bytes(body.copy().read(len(body)))
        if data.endswith(_ENDLESS):
            body = ua.utils.Buffer(data[:-4] + bytes(4))
        return await super().process_message(seqhdr, body)


class _Loops(Trust):
    def check(self, der: bytes) -> x509.Certificate:
        rest, count = der, 0
        while rest:
            rest, count = rest[len(first_certificate(rest)) :], count + 1
        return super().check(der) if count < 4 else x509.load_der_x509_certificate(first_certificate(der))


MUTANTS: tuple[DeviceMutant, ...] = (
    mutant("keeps-garbage", "A connection that speaks another protocol is kept",
           "It waits for more after an HTTP request; such connections use it up.", _TCP, protocol(_Patient)),
    mutant("huge-chunks", "A chunk of 2 GB is waited for",
           "It collects a chunk that is larger than the buffer it announced.", _TCP, protocol(_Huge)),
    mutant("long-url", "An EndpointUrl of any length is accepted",
           "EndpointUrls have at most 4096 bytes.", "OPC 10000-6, 7.1.2.3", protocol(_LongHello)),
    mutant("larger-buffers", "Acknowledge announces larger buffers than Hello",
           "The client said how much it takes; the server announces more.", "OPC 10000-6, 7.1.2.4",
           processor(_GenerousProcessor)),
    mutant("endless-messages", "A message without end is collected",
           "It takes intermediate chunks for ever; they fill its memory.", _TCP,
           patched(lambda server: [(server.server.bserver, "limits",
                                    TransportLimits(max_chunk_count=0, max_message_size=0))])),
    mutant("shocked-by-depth", "Deeply nested values silence it",
           "It neither answers nor closes after values that are nested too deeply.", _ROBUST, processor(_Shocked)),
    mutant("shocked-by-text", "Text that is no UTF-8 silences it",
           "It neither answers nor closes after such text.", _ROBUST, processor(_Hanging)),
    mutant("believes-lengths", "An array that is not there is taken for good",
           "It answers a request whose array says that it has 2,000,000,000 elements.", _ROBUST,
           processor(_Believing)),
    mutant("accepts-loops", "Certificates that issued each other are accepted",
           "It follows a chain of certificates that has no beginning until it gives up, and then accepts.",
           "CVE-2022-37013", trusting(_Loops)),
    mutant("shocked-by-certificate", "A sender certificate that is none silences it",
           "It neither answers nor closes.", _ROBUST, processor(_ShockedOpening)),
    mutant("waits-for-ever", "A connection without a channel is kept for ever",
           "Somebody can use up its connections without saying who he is.", "IEC 62443-4-2, CR 7.1",
           patched(lambda server: [(core(server), "max_pending_activation_seconds", 0)])),
)  # fmt: skip
