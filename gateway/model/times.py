"""OPC UA times (100 ns ticks since 1601-01-01 UTC, OPC 10000-6, 5.2.2.5) and their text: ISO 8601, UTC, 7 decimals."""

from __future__ import annotations

from datetime import UTC, datetime

TICKS_PER_SECOND = 10_000_000
UNIX_EPOCH_TICKS = 116_444_736_000_000_000
"""1970-01-01 in ticks."""

LAST_TICKS = 2_650_467_743_999_999_999
"""9999-12-31T23:59:59.9999999Z, the latest moment that the text can show; later ones are shown as this one."""

_second: tuple[int, str] = (-1, "")


def iso_from_ticks(ticks: int) -> str:
    """The moment as ``2026-11-22T15:30:00.1234567Z``; moments outside of years 1601 to 9999 show the nearest end.

    The text of the last second is kept, because samples of one batch share it mostly.
    """
    global _second  # noqa: PLW0603 - one cached second, replaced as a whole
    ticks = min(max(ticks, 0), LAST_TICKS)
    second, fraction = divmod(ticks, TICKS_PER_SECOND)
    cached, text = _second
    if second != cached:
        unix = second - UNIX_EPOCH_TICKS // TICKS_PER_SECOND
        text = _second_text(unix)
        _second = (second, text)
    return f"{text}.{fraction:07d}Z"


def _second_text(unix: int) -> str:
    days, rest = divmod(unix, 86_400)
    date = datetime.fromordinal(days + 719_163)
    return f"{date.year:04d}-{date.month:02d}-{date.day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def ticks_from_iso(text: str) -> int:
    """The moment that `iso_from_ticks` wrote.

    Raises:
        ValueError: The text is not of that form.
    """
    if len(text) != 28 or text[19] != "." or text[27] != "Z":
        raise ValueError(f"{text!r} is not a time of the form 2026-11-22T15:30:00.1234567Z")
    moment = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400 + moment.hour * 3600 + moment.minute * 60
    return (seconds + moment.second) * TICKS_PER_SECOND + UNIX_EPOCH_TICKS + int(text[20:27])


def ticks_from_unix_ns(nanoseconds: int) -> int:
    """Ticks of a `time.time_ns()`."""
    return nanoseconds // 100 + UNIX_EPOCH_TICKS
