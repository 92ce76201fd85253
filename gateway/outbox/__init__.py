"""The durable store between sources and sinks."""

from gateway.outbox.facts import Committed, Depth, Limits
from gateway.outbox.store import Outbox

__all__ = ["Committed", "Depth", "Limits", "Outbox"]
