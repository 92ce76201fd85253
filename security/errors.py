"""Errors of the security room: each says what it is about, what was found, what is allowed, what to do."""

from __future__ import annotations


class SecurityError(Exception):
    """Something about keys, certificates or trust is not as it must be.

    Attributes:
        subject: What it is about: a file, a folder, a peer.
        found: What was found.
        allowed: What would be right.
        action: What a person can do now.
    """

    def __init__(self, subject: object, *, found: str, allowed: str, action: str) -> None:
        super().__init__(f"{subject}: {found}; allowed: {allowed}; what to do: {action}")
        self.subject = str(subject)
        self.found = found
        self.allowed = allowed
        self.action = action


class KeyFileError(SecurityError):
    """A private key is missing, unreadable, of the wrong kind, or readable for others."""


class CertificateFileError(SecurityError):
    """A file with a certificate, a revocation list or a request is missing or not usable."""


class AlreadyExistsError(SecurityError):
    """A key or certificate is there already and the caller did not say that it may be replaced."""


class ParameterError(SecurityError):
    """A name, host or lifetime that a certificate cannot carry."""
