"""Engineering units by their UNECE Recommendation 20 codes."""

from __future__ import annotations

from simulators.machine import Unit

MILLIMETRE = Unit("MMT", "mm", "millimetre")
MM_PER_MINUTE = Unit("H81", "mm/min", "millimetre per minute")
RPM = Unit("RPM", "r/min", "revolutions per minute")
PERCENT = Unit("P1", "%", "percent")
KILOWATT = Unit("KWT", "kW", "kilowatt")
KILOWATT_HOUR = Unit("KWH", "kW·h", "kilowatt hour")
WATT = Unit("WTT", "W", "watt")
AMPERE = Unit("AMP", "A", "ampere")
CELSIUS = Unit("CEL", "°C", "degree Celsius")
NEWTON_METRE = Unit("NU", "N·m", "newton metre")
BAR = Unit("BAR", "bar", "bar")
HOUR = Unit("HUR", "h", "hour")
SECOND = Unit("SEC", "s", "second [unit of time]")
MM_PER_SECOND = Unit("C16", "mm/s", "millimetre per second")
ONE = Unit("C62", "1", "one")
LITRE_PER_MINUTE = Unit("L2", "l/min", "litre per minute")
