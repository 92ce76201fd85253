"""What the operating system knows of a path: addresses of a name, and what TCP has counted on a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from dataclasses import dataclass

_SEND_MSS_AT, _SEGMENTS_OUT_AT = 16, 136  # struct tcp_info of linux/tcp.h: tcpi_snd_mss, tcpi_segs_out
_TOTAL_RETRANS_AT = 100  # tcpi_total_retrans


@dataclass(frozen=True, slots=True)
class TcpCounters:
    """Of one connection.

    Attributes:
        segment: Largest payload of a packet that is sent, bytes.
        retransmitted: Segments that were sent again.
        sent: Segments that were sent at all; 0 where the kernel does not tell.
    """

    segment: int
    retransmitted: int
    sent: int


class Path:
    """The way as this computer's operating system tells it."""

    async def resolve(self, host: str, port: int) -> list[tuple[int, str]]:
        """Address families and addresses of a name, in the order in which they are to be tried.

        Raises:
            OSError: The name has none.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))

    def counters(self, sock: socket.socket) -> TcpCounters | None:
        """What TCP has counted; None where the operating system does not tell (not Linux)."""
        if sys.platform != "linux":
            return None
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        if len(info) < _TOTAL_RETRANS_AT + 4:
            return None
        (segment,) = struct.unpack_from("I", info, _SEND_MSS_AT)
        (retransmitted,) = struct.unpack_from("I", info, _TOTAL_RETRANS_AT)
        sent = struct.unpack_from("I", info, _SEGMENTS_OUT_AT)[0] if len(info) >= _SEGMENTS_OUT_AT + 4 else 0
        return TcpCounters(segment, retransmitted, sent)
