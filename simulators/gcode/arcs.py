"""Circles of G2 and G3: centre and angle from IJK or R."""

from __future__ import annotations

import math

TOLERANCE = 0.01
"""Start and end of an arc may differ in radius by this many mm (rounded program values)."""


class ArcError(ValueError):
    """Start, end and centre are on no circle; the message says what was found."""


def sweep_angle(
    start: tuple[float, float], end: tuple[float, float], centre: tuple[float, float], *, clockwise: bool
) -> float:
    """Angle from start to end around `centre`; equal points are a full circle.

    Raises:
        ArcError: Start and end have different distances from the centre, or none.
    """
    first = math.dist(start, centre)
    second = math.dist(end, centre)
    if first < TOLERANCE or abs(first - second) > TOLERANCE:
        raise ArcError(f"an arc of radius {first:.3f} at its start and {second:.3f} at its end")
    angle = math.atan2(end[1] - centre[1], end[0] - centre[0]) - math.atan2(start[1] - centre[1], start[0] - centre[0])
    if clockwise:
        return angle - math.tau if angle >= -1e-9 else angle
    return angle + math.tau if angle <= 1e-9 else angle


def centre_from_radius(
    start: tuple[float, float], end: tuple[float, float], radius: float, *, clockwise: bool
) -> tuple[float, float]:
    """Centre of the arc of this radius; a negative one asks for the longer way (over 180 degrees).

    Raises:
        ArcError: The radius is too small for the distance, or start and end are equal.
    """
    chord = math.dist(start, end)
    if chord < 1e-9:
        raise ArcError("a full circle with R")
    half = chord / 2
    if abs(radius) < half - TOLERANCE:
        raise ArcError(f"R{abs(radius):.3f} for points {chord:.3f} apart")
    height = math.sqrt(max(radius * radius - half * half, 0.0))
    side = -1.0 if clockwise else 1.0
    if radius < 0:
        side = -side
    ux, uy = (end[0] - start[0]) / chord, (end[1] - start[1]) / chord
    return ((start[0] + end[0]) / 2 - uy * height * side, (start[1] + end[1]) / 2 + ux * height * side)
