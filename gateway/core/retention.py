"""What must leave a bounded store, or whether something more may come, decided from its figures alone.

Oldest leave first. When a bound is met, a little more than necessary leaves (`SLACK` of the bound), so that the next
eviction, and the gap message that tells of it, is some time away instead of coming with each transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

SLACK = 0.02
"""Part of a bound that an eviction makes free beyond need."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: payload bytes, and age in ticks."""

    bytes: int
    age: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What leaves: the oldest messages until `free` bytes are free, and all taken before `before` (ticks)."""

    free: int = 0
    before: int = 0

    def __bool__(self) -> bool:
        return self.free > 0 or self.before > 0


def judge(bounds: Bounds, stored: int, adding: int, oldest: int | None, now: int) -> Verdict:
    """What must leave before `adding` bytes come to the `stored` ones.

    Args:
        bounds: The limits.
        stored: Payload bytes in the store.
        adding: Payload bytes about to come.
        oldest: When the oldest stored message was taken (ticks); None when the store is empty.
        now: The present (ticks).
    """
    if oldest is None:
        return Verdict()
    excess = stored + adding - bounds.bytes
    free = excess + int(bounds.bytes * SLACK) if excess > 0 else 0
    before = now - int(bounds.age * (1.0 - SLACK)) if now - oldest > bounds.age else 0
    return Verdict(free, before)


def fits(bounds: Bounds, stored: int, adding: int, *, waited: bool) -> bool:
    """Whether `adding` bytes may come to the `stored` ones although nothing may leave for them.

    Once something had to wait, `SLACK` of the bound must be free, so that waiting and taking do not alternate with
    each message. An empty store takes whatever comes, else what is larger than the bound would wait for ever.
    """
    bound = bounds.bytes - int(bounds.bytes * SLACK) if waited else bounds.bytes
    return not stored or stored + adding <= bound
