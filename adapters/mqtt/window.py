"""The send window: what was sent and is not acknowledged yet. Pure: no clock, no network.

Two kinds share what the broker allows (its Receive Maximum, MQTT 5.0, 4.9): messages, which are limited by the
configured window and by bytes, and announcements (retained states), which take what is left. One place of the
Receive Maximum is kept for announcements where there is more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

ANNOUNCEMENTS_IN_FLIGHT = 20
"""At most so many announcements wait for their acknowledgement at a time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One publication that waits for its acknowledgement.

    Attributes:
        topic: Where it went.
        size: Its bytes on the wire.
        ticket: Number of the message in the outbox; None for an announcement.
    """

    topic: str
    size: int
    ticket: int | None


class Window:
    """Counts what is in flight and says whether one more may go."""

    def __init__(self, messages: int, size: int, receive_maximum: int) -> None:
        """Limit to `messages` and `size` bytes of messages, and `receive_maximum` publications of any kind."""
        self.receive_maximum = receive_maximum
        self.limit = max(1, min(messages, receive_maximum - 1))
        self._size_limit = size
        self._sent: dict[int, Sent] = {}
        self._size = 0
        self._messages = 0

    def __len__(self) -> int:
        """Publications in flight, of both kinds."""
        return len(self._sent)

    @property
    def messages(self) -> int:
        """Messages in flight."""
        return self._messages

    @property
    def size(self) -> int:
        """Bytes of the messages in flight."""
        return self._size

    def room(self, size: int) -> bool:
        """Whether a message of `size` bytes may be sent now; one larger than the limit goes alone."""
        if self._messages >= self.limit or len(self._sent) >= self.receive_maximum:
            return False
        return self._messages == 0 or self._size + size <= self._size_limit

    def room_for_announcement(self) -> bool:
        """Whether an announcement may be sent now."""
        announcements = len(self._sent) - self._messages
        return len(self._sent) < self.receive_maximum and announcements < ANNOUNCEMENTS_IN_FLIGHT

    def take(self, mid: int, sent: Sent) -> None:
        """Count what was sent with packet identifier `mid`."""
        if mid in self._sent:
            raise ValueError(f"packet identifier {mid} is in flight already")
        self._sent[mid] = sent
        if sent.ticket is not None:
            self._messages += 1
            self._size += sent.size

    def settle(self, mid: int) -> Sent | None:
        """What `mid` acknowledges, no longer counted; None when nothing of that identifier is in flight."""
        sent = self._sent.pop(mid, None)
        if sent is not None and sent.ticket is not None:
            self._messages -= 1
            self._size -= sent.size
        return sent
