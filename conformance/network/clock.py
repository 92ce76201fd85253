"""One exchange of SNTP (RFC 4330): how far this computer's clock is from another's."""

from __future__ import annotations

import asyncio
import struct
import time

from conformance.suite.target import TargetError

_EPOCH = 2_208_988_800
"""Seconds from 1900, where NTP counts from, to 1970."""

_PACKET = struct.Struct(">BBbb11I")
_CLIENT = 0x23
"""Version 4, mode client."""


class _Asking(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[bytes, float]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - of the protocol
        if not self.answer.done():
            self.answer.set_result((data, time.time()))

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def offset(host: str, port: int, within: float) -> tuple[float, float]:
    """Seconds that the other clock is ahead, and the seconds of the exchange, half of which may be in error.

    Raises:
        TargetError: No answer, or one that is no time.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, asking = await loop.create_datagram_endpoint(_Asking, remote_addr=(host, port))
    except OSError as error:
        raise TargetError(f"no way to the time server {host}:{port}: {error.strerror or error}") from error
    try:
        sent = time.time()
        transport.sendto(_PACKET.pack(_CLIENT, 0, 0, 0, *([0] * 9), *_stamp(sent)))
        async with asyncio.timeout(within):
            data, received = await asking.answer
    except TimeoutError as error:
        raise TargetError(f"the time server {host}:{port} did not answer within {within:g} s") from error
    except OSError as error:
        raise TargetError(f"the time server {host}:{port} did not answer: {error.strerror or error}") from error
    finally:
        transport.close()
    there = _times(data)
    return ((there[0] - sent) + (there[1] - received)) / 2, received - sent


def _times(data: bytes) -> tuple[float, float]:
    """When the server received and answered."""
    if len(data) < _PACKET.size or data[0] & 7 != 4:
        raise TargetError(f"the time server answered what is no SNTP: {data[:48].hex()}")
    fields = _PACKET.unpack_from(data)
    return fields[11] - _EPOCH + fields[12] / 2**32, fields[13] - _EPOCH + fields[14] / 2**32


def _stamp(moment: float) -> tuple[int, int]:
    return int(moment) + _EPOCH, int(moment % 1 * 2**32)
