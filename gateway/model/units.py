"""Engineering units: UNECE Recommendation 20 codes, their UnitId in OPC UA, and UCUM for those of machine tools.

A UnitId is the code's characters as one number, 8 bits each, the first one highest (OPC 10000-8, 5.6.3.3).
"""

from __future__ import annotations

import re

from gateway.model.messages import Unit

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
"""Namespace of UnitIds that are UNECE codes."""

_CODE = re.compile(r"[0-9A-Z]{1,4}")
_UNECE_ALIASES = frozenset({UNECE, f"{UNECE}/", "http://www.opcfoundation.org/UA/units/un/cefact#"})

UCUM: dict[str, str] = {
    # length
    "MTR": "m", "MMT": "mm", "CMT": "cm", "DMT": "dm", "KMT": "km", "4H": "um", "C45": "nm", "INH": "[in_i]",
    "FOT": "[ft_i]",
    # area, volume
    "MTK": "m2", "MMK": "mm2", "CMK": "cm2", "MTQ": "m3", "MMQ": "mm3", "CMQ": "cm3", "LTR": "L", "MLT": "mL",
    # angle
    "C81": "rad", "DD": "deg", "D61": "'", "D62": "''", "M44": "{rev}",
    # time
    "SEC": "s", "C26": "ms", "B98": "us", "MIN": "min", "HUR": "h", "DAY": "d",
    # frequency, rotation
    "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "RPM": "{rev}/min", "M46": "{rev}/min", "RPS": "{rev}/s",
    "2A": "rad/s", "E96": "deg/s", "C94": "/min", "C97": "/s",
    # speed, feed, acceleration
    "MTS": "m/s", "C16": "mm/s", "2X": "m/min", "H81": "mm/min", "KMH": "km/h", "MSK": "m/s2",
    # flow
    "L2": "L/min", "G51": "L/s", "MQH": "m3/h",
    # mass, density
    "KGM": "kg", "GRM": "g", "MGM": "mg", "TNE": "t", "KMQ": "kg/m3",
    # force, torque, pressure
    "NEW": "N", "B47": "kN", "NU": "N.m", "B48": "kN.m", "PAL": "Pa", "A97": "hPa", "KPA": "kPa",
    "MPA": "MPa", "BAR": "bar", "MBR": "mbar",
    # energy, power
    "JOU": "J", "KJO": "kJ", "WHR": "W.h", "KWH": "kW.h", "WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "V.A",
    "KVA": "kV.A", "D44": "var",
    # electricity
    "AMP": "A", "4K": "mA", "VLT": "V", "2Z": "mV", "KVT": "kV", "OHM": "Ohm", "AMH": "A.h",
    # temperature
    "CEL": "Cel", "KEL": "K", "FAH": "[degF]",
    # sound, vibration
    "2N": "dB",
    # counts and ratios
    "C62": "1", "P1": "%", "59": "[ppm]",
}  # fmt: skip
"""UCUM by UNECE code, where both mean the same unit."""


def unit_id(code: str) -> int:
    """The UnitId of a UNECE code.

    Raises:
        ValueError: It is none: one to four digits and capital letters of ASCII.
    """
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code!r} is no UNECE code: allowed are one to four characters of 0-9 and A-Z")
    return int.from_bytes(code.encode("ascii"), "big")


def unece_code(number: int) -> str | None:
    """The UNECE code of a UnitId; None if it is none (0, -1, or bytes that no code has)."""
    if not 0 < number < 1 << 32:
        return None
    code = number.to_bytes(4, "big").lstrip(b"\0").decode("latin-1")
    return code if _CODE.fullmatch(code) else None


def unit(
    number: int | None, symbol: str | None, description: str | None = None, namespace: str | None = None
) -> Unit | None:
    """The unit of an EUInformation; None where it says nothing at all.

    Machines exist that leave the namespace or the UnitId empty: an empty namespace counts as UNECE's where the UnitId
    is a code, and without a code the symbol stays.
    """
    namespace = (namespace or "").strip()
    code = unece_code(number) if number is not None and (not namespace or namespace in _UNECE_ALIASES) else None
    symbol, description = symbol or None, description or None
    if code is None and symbol is None and description is None:
        return None
    return Unit(code=code, symbol=symbol, description=description, ucum=UCUM.get(code) if code else None)
