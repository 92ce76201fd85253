"""Security rules of the device target: asked from outside, with channels and sessions of their own."""

from __future__ import annotations

from conformance.device.security import channels, endpoints, hostile, own, sessions, trust, users
from conformance.device.security.table import SecurityRule

RULES: dict[str, SecurityRule] = {
    name: rule
    for module in (endpoints, trust, own, channels, sessions, users, hostile)
    for name, rule in module.RULES.items()
}
"""By the name that the catalogue gives."""
