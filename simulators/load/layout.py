"""Values that carry a counter, and their prepared encodings; pure, no asyncio.

Every value of a signal is made from the number of its change: 0 is what stood there before the first change, then 1, 2
and so on. Types that cannot hold every number wrap around. All values of a signal take the same bytes, so a
MonitoredItemNotification (OPC 10000-4, 7.25.2) is one precompiled struct.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simulators.machine import Localized

TICKS_BASE = 132_539_328_000_000_000
"""Ticks of 2021-01-01: the DateTime of change 0; each further change is a millisecond later."""

GOOD_OVERFLOW = 0x0000_0480
"""Good, InfoType DataValue, Overflow (OPC 10000-4, 7.39.1)."""

HAS_VALUE, HAS_STATUS, HAS_SOURCE_TIME, HAS_SERVER_TIME = 1, 2, 4, 8
_ARRAY = 0x80
_LOCALE = b"en"
_MILLISECOND = 10_000
_WRAP = (1 << 40) - 1  # milliseconds: 34 years


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of signal.

    Attributes:
        name: As in the command line, for example `Double` or `Double[100]`.
        data_type: Name of the built-in type.
        number: Of the built-in type (OPC 10000-6, 5.1.2).
        length: Of the array; None for a scalar.
        format: Of the value, for `struct`.
        mask: Of the counter for a type whose value is the counter itself.
        fields: What `format` takes, from the counter, for all other types.
        value: The value as a machine model has it, from the counter.
    """

    name: str
    data_type: str
    number: int
    length: int | None
    format: str
    mask: int
    fields: Callable[[int], Sequence[Any]] | None
    value: Callable[[int], Any]

    def notification(self, stamps: int, *, overflow: bool = False) -> struct.Struct:
        """The struct of a MonitoredItemNotification.

        It takes handle, head (see `head`), value (or `fields`), the status if `overflow`, and each time in ticks.

        Args:
            stamps: 0: no time; 1: source time; 2: source and server time.
            overflow: With a status.
        """
        return struct.Struct(f"<IH{self.format}{'I' if overflow else ''}{'q' * stamps}")

    def head(self, stamps: int, *, overflow: bool = False) -> int:
        """Mask of the DataValue and encoding byte of the Variant (OPC 10000-6, 5.2.2.16 and 17), as one number."""
        mask = (
            HAS_VALUE
            | (HAS_STATUS if overflow else 0)
            | (0, HAS_SOURCE_TIME, HAS_SOURCE_TIME | HAS_SERVER_TIME)[stamps]
        )
        return mask | (self.number | (0 if self.length is None else _ARRAY)) << 8


def _number(name: str, number: int, letter: str, bits: int) -> Kind:
    mask = (1 << bits) - 1 if bits else -1
    real = letter in "fd"
    return Kind(name, name, number, None, letter, mask, None,
                lambda counter: float(counter & mask) if real else counter & mask)  # fmt: skip


def _text(counter: int) -> str:
    return f"V{counter % 10**11:011d}"


def _ticks(counter: int) -> int:
    return TICKS_BASE + (counter & _WRAP) * _MILLISECOND


def _scalars() -> dict[str, Kind]:
    numbers = (
        _number("SByte", 2, "b", 7), _number("Byte", 3, "B", 8), _number("Int16", 4, "h", 15),
        _number("UInt16", 5, "H", 16), _number("Int32", 6, "i", 31), _number("UInt32", 7, "I", 32),
        _number("Int64", 8, "q", 0), _number("UInt64", 9, "Q", 0), _number("Float", 10, "f", 24),
        _number("Double", 11, "d", 53),
    )  # fmt: skip
    others = (
        Kind("Boolean", "Boolean", 1, None, "?", 1, None, lambda counter: bool(counter & 1)),
        Kind("String", "String", 12, None, "i12s", 0, lambda counter: (12, _text(counter).encode()), _text),
        Kind("DateTime", "DateTime", 13, None, "q", 0, lambda counter: (_ticks(counter),),
             _ticks),
        Kind("Guid", "Guid", 14, None, "16s", 0, lambda counter: (uuid.UUID(int=counter).bytes_le,),
             lambda counter: uuid.UUID(int=counter)),
        Kind("ByteString", "ByteString", 15, None, "i8s", 0, lambda counter: (8, counter.to_bytes(8, "little")),
             lambda counter: counter.to_bytes(8, "little")),
        Kind("LocalizedText", "LocalizedText", 21, None, "Bi2si12s", 0,
             lambda counter: (3, 2, _LOCALE, 12, _text(counter).encode()),
             lambda counter: Localized(_text(counter), _LOCALE.decode())),
    )  # fmt: skip
    return {kind.name: kind for kind in (*numbers, *others)}


SCALARS = _scalars()
"""All types by name; each numeric one also as an array, `Double[100]`."""

_ARRAY_NAME = re.compile(r"(\w+)\[(\d+)\]")
_LONGEST = 10_000


def kind_of(name: str) -> Kind:
    """The type of this name.

    Raises:
        LookupError: There is none; the text says which there are.
    """
    if name in SCALARS:
        return SCALARS[name]
    found = _ARRAY_NAME.fullmatch(name)
    scalar = SCALARS.get(found[1]) if found else None
    if found is None or scalar is None or scalar.fields is not None or not 1 <= int(found[2]) <= _LONGEST:
        numeric = ", ".join(kind.name for kind in SCALARS.values() if kind.fields is None)
        raise LookupError(
            f"there is no type {name!r}; there are {', '.join(SCALARS)}, and arrays of 1 to {_LONGEST} of "
            f"{numeric}, for example Double[100]"
        )
    return _array(name, scalar, int(found[2]))


def _array(name: str, scalar: Kind, length: int) -> Kind:
    """The first element counts, the others are 0."""
    rest = (0,) * (length - 1)
    return Kind(
        name, scalar.data_type, scalar.number, length, f"i{length}{scalar.format}", 0,
        lambda counter: (length, counter & scalar.mask, *rest),
        lambda counter: [scalar.value(counter), *(scalar.value(0) for _ in rest)],
    )  # fmt: skip
