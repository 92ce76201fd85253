"""The rules that judge a broker, one module for each of its sides."""

from __future__ import annotations

from conformance.broker.rules import (
    clients,
    delivery,
    limits,
    malformed,
    modern,
    restarts,
    retained,
    rights,
    sessions,
    tls,
    wills,
)
from conformance.broker.rules.common import BrokerRule

RULES: dict[str, BrokerRule] = {
    **tls.RULES,
    **clients.RULES,
    **rights.RULES,
    **delivery.RULES,
    **sessions.RULES,
    **retained.RULES,
    **wills.RULES,
    **modern.RULES,
    **malformed.RULES,
    **limits.RULES,
    **restarts.RULES,
}
"""By the name that checks give."""
