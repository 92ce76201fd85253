"""Who may log in to a simulated server: names with passwords, holders of trusted certificates, nobody else."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole

from simulators.opcua.trust import DistrustError, Trust

_LOG = logging.getLogger(__name__)


class Users:
    """Decides on the user token of a session; every user may read, write what is writable, and call."""

    def __init__(self, passwords: Mapping[str, str], trust: Trust, *, certificates: bool, anonymous: bool) -> None:
        self.passwords = dict(passwords)
        self.trust = trust
        self.certificates = certificates
        self.anonymous = anonymous

    def token_types(self) -> list[type]:
        """The user tokens that the endpoints offer."""
        offered = [(self.anonymous, ua.AnonymousIdentityToken), (self.certificates, ua.X509IdentityToken),
                   (bool(self.passwords), ua.UserNameIdentityToken)]  # fmt: skip
        return [token for wanted, token in offered if wanted]

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002 - asyncua's signature
        username: str | None = None,
        password: str | None = None,
        certificate: bytes | None = None,
    ) -> User | None:
        """The user of a token, anonymous without name and certificate; None refuses it."""
        if username is not None:
            known = self.passwords.get(username)
            if known is None or not hmac.compare_digest(known.encode(), (password or "").encode()):
                return None
            return User(UserRole.User, username)
        if certificate is None:
            return User(UserRole.User) if self.anonymous else None
        try:
            found = self.trust.check(certificate)
        except DistrustError as fault:
            _LOG.warning("a user is refused: %s", fault)
            return None
        return User(UserRole.User, found.subject.rfc4514_string())
