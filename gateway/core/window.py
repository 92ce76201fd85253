"""What is on its way to a sink: sent, acknowledged in any order, and how far everything is acknowledged.

A broker may acknowledge message 7 before message 5. Only the cursor, the highest id up to which every sent message is
acknowledged, may be stored: after a restart everything behind it is sent again, so a hole before it would be a loss,
and a repeat after it is harmless.

Ids rise, but need not be consecutive: evicted messages leave holes, and a hole that was never sent holds nothing up.
"""

from __future__ import annotations

from collections import deque


class Window:
    """The sent and not yet settled messages of one connection.

    Attributes:
        cursor: Every message up to this id is acknowledged.
    """

    __slots__ = ("_acknowledged", "_last", "_order", "_untold", "cursor")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self._last = cursor
        self._order: deque[int] = deque()
        self._untold: set[int] = set()
        self._acknowledged: set[int] = set()

    @property
    def last(self) -> int:
        """The highest id that was sent; the cursor when nothing is on its way."""
        return self._last

    @property
    def untold(self) -> int:
        """How many sent messages the broker has said nothing about."""
        return len(self._untold)

    def sent(self, message: int) -> None:
        """The message is about to be sent.

        Raises:
            ValueError: Its id is not higher than all before.
        """
        if message <= self._last:
            raise ValueError(f"message {message} is sent after {self._last}: ids must rise")
        self._last = message
        self._order.append(message)
        self._untold.add(message)

    def acknowledged(self, message: int) -> bool:
        """The broker has it; True if the cursor moved. Unknown ids and repeats change nothing."""
        if message not in self._untold:
            return False
        self._untold.remove(message)
        self._acknowledged.add(message)
        if self._order[0] != message:
            return False
        while self._order and self._order[0] in self._acknowledged:
            self.cursor = self._order.popleft()
            self._acknowledged.remove(self.cursor)
        return True

    def refused(self, message: int) -> bool:
        """The broker does not want it: it is told, but holds the cursor where it is. False for an unknown id."""
        if message not in self._untold:
            return False
        self._untold.remove(message)
        return True

    def rewind(self) -> None:
        """Forget everything after the cursor: it will be sent again."""
        self._last = self.cursor
        self._order.clear()
        self._untold.clear()
        self._acknowledged.clear()
