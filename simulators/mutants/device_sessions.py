"""Mutants of sessions and users."""

# ruff: noqa: ANN401, ARG002 - asyncua's objects come without usable annotations; methods here look away
from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import SessionState

from simulators.mutants.device import Apply, DeviceMutant, Revert
from simulators.mutants.device_endpoints import together
from simulators.mutants.patching import core, mutant, patched, processor, session
from simulators.mutants.surgery import Surgery
from simulators.opcua.mended import Processor, Session
from simulators.opcua.services import fault
from simulators.opcua.space import Id, Space
from simulators.opcua.users import Users

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_SESSION = "OPC 10000-4, 5.7"
_ACTIVATE = ua.NodeId(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_LOGIN = {
    _ACTIVATE,
    ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.CloseSessionRequest_Encoding_DefaultBinary),
}
_USER = "OPC 10000-4, 7.41"


class _AnyOwner(Processor):
    def check_owner(self, session: Session) -> None:
        if self.peer_certificate() is None:
            super().check_owner(session)


class _UnsecuredOwner(Processor):
    def check_mode(self) -> None:
        return

    def check_owner(self, session: Session) -> None:
        if self.peer_certificate() is not None:
            super().check_owner(session)


class _SharedTokens(Processor):
    def _admit(self, typeid: Id, requesthdr: Any) -> None:
        known = self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        if self.session is None and known is not None and typeid != _ACTIVATE:
            self.session = known
        super()._admit(typeid, requesthdr)


class _Sedentary(Processor):
    def check_owner(self, session: Session) -> None:
        raise fault("BadSessionIdInvalid")


class _BeforeLogin(Processor):
    def check_state(self, typeid: Id) -> None:
        if self.session.state is SessionState.Created and typeid not in _LOGIN:
            self.session.state, self.session.user = SessionState.Activated, User(UserRole.User)
        super().check_state(typeid)


class _AfterClose(Processor):
    def check_state(self, typeid: Id) -> None:
        if self.session.state is SessionState.Closed:
            self.session.state = SessionState.Activated
        super().check_state(typeid)


_COUNTER = itertools.count(1_000)


class _Counting(Session):
    def __init__(self, *args: Any, **named: Any) -> None:
        external = named.pop("external", False)
        super().__init__(*args, **named, external=False)
        self.auth_token = ua.NodeId(next(_COUNTER))
        _as_external(self, external=external)


class _TokenIsId(Session):
    def __init__(self, *args: Any, **named: Any) -> None:
        external = named.pop("external", False)
        super().__init__(*args, **named, external=False)
        self.session_id = self.auth_token
        _as_external(self, external=external)


def _as_external(made: Session, *, external: bool) -> None:
    """What the constructor does for the session of a client, after its token was changed."""
    made.external = external
    made.limits = made.iserver.limits if external else {}
    if external:
        made.iserver.register_external_session(made)


class _Hoarding(Session):
    """A session that keeps its place after its end."""

    async def close_session(self, delete_subs: bool = True) -> None:
        await super().close_session(delete_subs)
        self.iserver._external_sessions[self.auth_token] = self


class _AnyName(Users):
    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None,
                 certificate: bytes | None = None) -> User | None:  # fmt: skip
        if username is not None and username not in self.passwords:
            return User(UserRole.User, username)
        return super().get_user(iserver, username, password, certificate)


class _AnyUserCertificate(Users):
    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None,
                 certificate: bytes | None = None) -> User | None:  # fmt: skip
        if certificate is not None:
            return User(UserRole.User, "somebody")
        return super().get_user(iserver, username, password, certificate)


def users(kind: type[Users]) -> Apply:
    """Decides in another way who may log in."""

    def patches(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
        own = server.users
        made = kind(own.passwords, own.trust, certificates=own.certificates, anonymous=own.anonymous)
        return [(core(server), "user_manager", made)]

    return patched(patches)


def _anonymous(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
    tokens = (*core(server).supported_tokens, ua.AnonymousIdentityToken)
    return [(server.users, "anonymous", True), (core(server), "supported_tokens", tokens)]


def _default_user(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
    return [(server.users, "passwords", {**server.users.passwords, "admin": "admin"})]


def _unproven_user(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
    def believe(_session: Any, token: Any, _signature: Any) -> bytes:
        data: bytes = token.CertificateData
        return data

    return [(core(server), "verify_x509_token", believe)]


def surgery_of(change: Any) -> Apply:
    """A change of the server's own nodes."""

    async def apply(server: SimulatorServer) -> Revert:
        surgery = Surgery(Space(server.server))
        change(surgery)

        async def revert() -> None:
            surgery.undo()

        return revert

    return apply


def _no_version(surgery: Surgery) -> None:
    surgery.value(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion), "")


def _no_roles(surgery: Surgery) -> None:
    node = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_RoleSet)
    surgery.touch(node)
    del surgery.space.nodes[node].attributes[ua.AttributeIds.BrowseName]


MUTANTS: tuple[DeviceMutant, ...] = (
    mutant("takeover", "Another client may take a session over",
           "It does not compare the certificate of the new channel with that of the session.", _SESSION,
           processor(_AnyOwner)),
    mutant("unsecured-takeover", "A session may be taken over without security",
           "It activates a session on a channel of mode None.", _SESSION, processor(_UnsecuredOwner)),
    mutant("shared-tokens", "A session's token works on every channel",
           "It answers requests with a token of a session that was never activated on this channel.", _SESSION,
           processor(_SharedTokens)),
    mutant("sedentary-session", "A session cannot move to a new channel",
           "A client that comes back after a break of the network cannot go on with its session.",
           "OPC 10000-4, 6.7", processor(_Sedentary)),
    mutant("reads-before-login", "Reading works before the login",
           "It answers Read between CreateSession and ActivateSession.", _SESSION, processor(_BeforeLogin)),
    mutant("reads-after-close", "Reading works after CloseSession", "It answers with the token of a closed session.",
           _SESSION, processor(_AfterClose)),
    mutant("counting-tokens", "Authentication tokens are counted",
           "The next client's token is one more than this one's; it must be random.", "OPC 10000-4, 7.35",
           session(_Counting)),
    mutant("token-is-id", "The authentication token is the SessionId",
           "SessionIds are shown in diagnostics; the token is a secret.", "OPC 10000-4, 7.35", session(_TokenIsId)),
    mutant("endless-session", "A session may live for ever",
           "It takes any timeout; sessions of dead clients stay.", "OPC 10000-4, 5.7.2",
           patched(lambda server: [(core(server), "max_session_timeout_ms", 1e15)])),
    mutant("endless-sessions", "Any number of sessions can be opened",
           "One client can use the server up.", "OPC 10000-4, 5.7.2",
           patched(lambda server: [(core(server), "max_sessions", 1_000_000)])),
    mutant("hoards-sessions", "A closed session keeps its place",
           "After some logins nobody can log in any more.", "OPC 10000-4, 5.7.4",
           together(session(_Hoarding), patched(lambda server: [(core(server), "max_sessions", 20)]))),
    mutant("anonymous", "Nobody has to log in", "It takes sessions without a user.", _USER, patched(_anonymous)),
    mutant("unknown-users", "Unknown users may log in", "It takes any name that it does not know.", _USER,
           users(_AnyName)),
    mutant("user-certificates-unchecked", "Every user certificate is accepted",
           "It does not hold user certificates against a trust list.", _USER, users(_AnyUserCertificate)),
    mutant("user-certificates-unproven", "A user certificate needs no key",
           "It does not verify the user token's signature.", _USER, patched(_unproven_user)),
    mutant("default-user", "There is a user with a password that everybody knows",
           "The user admin has the password admin.", "ETSI EN 303 645, 5.1-1", patched(_default_user)),
    mutant("unthrottled", "Passwords can be tried without end",
           "Wrong logins are answered at once, however many.", "IEC 62443-4-2, CR 1.11",
           patched(lambda server: [(core(server).throttle, "free", 1_000_000)])),
    mutant("no-version", "The software version cannot be read",
           "BuildInfo has no SoftwareVersion: nobody can tell whether a known weakness is there.",
           "OPC 10000-5, 12.4", surgery_of(_no_version)),
    mutant("no-roles", "There are no roles", "The server has no RoleSet.", "OPC 10000-18, 4.3", surgery_of(_no_roles)),
)  # fmt: skip
