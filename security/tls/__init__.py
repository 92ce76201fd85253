"""TLS contexts for MQTT, and what failures of TLS mean."""

from security.tls.contexts import MinimumVersion, TlsWaiver, client_context, server_context
from security.tls.explain import FailureKind, TlsFailure, classify, explain
from security.tls.material import RevocationListError, TlsFiles

__all__ = [
    "FailureKind",
    "MinimumVersion",
    "RevocationListError",
    "TlsFailure",
    "TlsFiles",
    "TlsWaiver",
    "classify",
    "client_context",
    "explain",
    "server_context",
]
