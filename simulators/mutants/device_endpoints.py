"""Mutants of the list of endpoints, and of the server's own certificate."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.crypto import security_policies as policies
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import SessionState
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.mutants.device import Apply, DeviceMutant, Revert
from simulators.mutants.patching import Patch, core, mutant, patched, processor, session
from simulators.opcua.mended import Processor, Session
from simulators.opcua.trust import application_uris, der_of

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_SIGN, _BOTH = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt
_LIST = "OPC 10000-4, 5.5.4"
_POLICIES = "OPC 10000-7, security policies"
_DAY = dt.timedelta(days=1)

Endpoints = list[ua.EndpointDescription]


def listed(change: Callable[[Endpoints], Endpoints]) -> Apply:
    """Shows another list of endpoints; what it does stays."""
    return patched(lambda server: [(core(server), "endpoints", change(copy.deepcopy(core(server).endpoints)))])


def _also(policy: Any, mode: ua.MessageSecurityMode, level: int) -> Callable[[Endpoints], Endpoints]:  # noqa: ANN401
    def change(offered: Endpoints) -> Endpoints:
        made = copy.deepcopy(offered[0])
        made.SecurityPolicyUri, made.SecurityMode, made.SecurityLevel = policy.URI, mode, level
        return [*offered, made]

    return change


def _without(*names: str) -> Callable[[Endpoints], Endpoints]:
    return lambda offered: [one for one in offered if one.SecurityPolicyUri.rpartition("#")[2] not in names]


def _level_zero(offered: Endpoints) -> Endpoints:
    offered[-1].SecurityLevel = 0
    return offered


def _bare(offered: Endpoints) -> Endpoints:
    offered[-1].ServerCertificate = None
    return offered


def _password_in_clear(offered: Endpoints) -> Endpoints:
    found = _also(policies.SecurityPolicyBasic256Sha256, _SIGN, 1)(offered)
    token = ua.UserTokenPolicy(PolicyId="clear", TokenType=ua.UserTokenType.UserName)
    token.SecurityPolicyUri = policies.SecurityPolicyNone.URI
    found[-1].UserIdentityTokens = [token]
    return found


def _hidden(policy: Any, mode: ua.MessageSecurityMode) -> Callable[[SimulatorServer], Sequence[Patch]]:  # noqa: ANN401
    """Takes a policy that it does not list."""

    def patches(server: SimulatorServer) -> Sequence[Patch]:
        iserver = core(server)
        more = policies.SecurityPolicyFactory(policy, mode, iserver.certificate, iserver.private_key)
        return [(server.server.bserver, "_policies", [*server.server.bserver._policies, more])]

    return patches


class _AnyMode(Processor):
    def check_mode(self) -> None:
        return


class _AnyModeSession(Session):
    def check_peer(self, peer: bytes | None, sent: bytes) -> None:
        if peer is not None:
            super().check_peer(peer, sent)


class _ReadsForAll(Processor):
    def _admit(self, typeid: ua.NodeId, requesthdr: Any) -> None:  # noqa: ANN401
        if typeid != ua.NodeId(ua.ObjectIds.ReadRequest_Encoding_DefaultBinary) or self.session is not None:
            super()._admit(typeid, requesthdr)
            return
        self.session = self.iserver.create_session("nobody", User(UserRole.User))
        self.session.state = SessionState.Activated


class _OtherEndpoints(Session):
    async def create_session(self, params: Any, sockname: Any = None) -> Any:  # noqa: ANN401
        result = await super().create_session(params, sockname)
        result.ServerEndpoints = result.ServerEndpoints[:-1]
        return result


async def _all(server: SimulatorServer, *parts: Apply) -> Revert:
    reverts = [await part(server) for part in parts]

    async def revert() -> None:
        for one in reversed(reverts):
            await one()

    return revert


def together(*parts: Apply) -> Apply:
    """One mutant out of several changes."""
    return lambda server: _all(server, *parts)


@dataclass(frozen=True)
class Shown:
    """What is wrong with the server's certificate."""

    begins: float = -1.0
    ends: float = 30.0
    bits: int = 2048
    usage: bool = True
    host: str = ""
    uri: str = ""


def _certificate(own: x509.Certificate, key: rsa.RSAPrivateKey, how: Shown) -> x509.Certificate:
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = [x509.UniformResourceIdentifier(how.uri or application_uris(own)[0])]
    hosts = [one for one in names if not isinstance(one, x509.UniformResourceIdentifier)]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "area4 mutant")])
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=how.usage, content_commitment=how.usage, key_encipherment=how.usage,
        data_encipherment=how.usage, key_agreement=not how.usage, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + how.begins * _DAY)
        .not_valid_after(now + how.ends * _DAY)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([*uris, *([x509.DNSName(how.host)] if how.host else hosts)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def shows(how: Shown) -> Apply:
    """Uses another certificate."""

    def patches(server: SimulatorServer) -> Sequence[Patch]:
        iserver = core(server)
        key = rsa.generate_private_key(65_537, how.bits)
        made = _certificate(iserver.certificate, key, how)
        offered = copy.deepcopy(iserver.endpoints)
        for one in offered:
            one.ServerCertificate = der_of(made)
        known = server.server.bserver._policies
        used = [policies.SecurityPolicyFactory(one.cls, one.mode, made, key) for one in known]
        return [
            (iserver, "certificate", made),
            (iserver, "private_key", key),
            (iserver, "endpoints", offered),
            (server.server.bserver, "_policies", used),
        ]

    return patched(patches)


MUTANTS: tuple[DeviceMutant, ...] = (
    mutant("none-endpoint", "An endpoint without security is offered",
           "It lists an endpoint of mode None, on which everything could be read on the network; a secure device "
           "lists only endpoints that sign and encrypt.", _LIST,
           listed(_also(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_, 0))),
    mutant("sign-endpoint", "An endpoint that signs only is offered",
           "It lists an endpoint of mode Sign, on which values can be read on the network.", _LIST,
           listed(_also(policies.SecurityPolicyBasic256Sha256, _SIGN, 1))),
    mutant("deprecated-endpoint", "A deprecated policy is offered",
           "It lists Basic256, which OPC 10000-7 has given up for SHA-1.", _POLICIES,
           listed(_also(policies.SecurityPolicyBasic256, _BOTH, 1))),
    mutant("without-basic256sha256", "Basic256Sha256 is not offered",
           "Clients of the profile's only mandatory policy cannot connect.", "OPC 40501-1 1.02, 14.2",
           listed(_without("Basic256Sha256"))),
    mutant("without-aes", "No Aes policy is offered",
           "It offers Basic256Sha256 alone, with the padding that the newer policies have replaced.", _POLICIES,
           listed(_without("Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"))),
    mutant("level-zero", "A secured endpoint has SecurityLevel 0",
           "Clients choose by SecurityLevel; 0 says that an endpoint is not recommended.", "OPC 10000-4, 7.14",
           listed(_level_zero)),
    mutant("bare-endpoint", "A secured endpoint shows no certificate",
           "Without the server's certificate nobody can open a channel there.", "OPC 10000-4, 7.14", listed(_bare)),
    mutant("password-in-clear", "A password may be sent unencrypted",
           "An endpoint that signs only takes user names with the policy None: the password goes in the clear.",
           "OPC 10000-4, 7.41", listed(_password_in_clear)),
    mutant("other-endpoints", "CreateSession tells other endpoints than discovery",
           "A client compares both lists to find out whether somebody changed the first one on the way.",
           "OPC 10000-4, 5.7.2", session(_OtherEndpoints)),
    mutant("none-session", "A session without security is accepted",
           "It lists no endpoint of mode None but lets a client have a session on such a channel.", _LIST,
           together(processor(_AnyMode), session(_AnyModeSession))),
    mutant("read-without-session", "Anybody may read",
           "It answers Read on a channel on which no session was opened.", "OPC 10000-4, 5.7.2",
           processor(_ReadsForAll)),
    mutant("hidden-basic256", "Basic256 is accepted, though not listed",
           "A client that asks for the deprecated policy gets it.", _POLICIES,
           patched(_hidden(policies.SecurityPolicyBasic256, _BOTH))),
    mutant("hidden-basic128rsa15", "Basic128Rsa15 is accepted, though not listed",
           "A client that asks for the broken policy gets it.", _POLICIES,
           patched(_hidden(policies.SecurityPolicyBasic128Rsa15, _BOTH))),
    mutant("hidden-sign", "A mode that is not listed is accepted",
           "It lists SignAndEncrypt alone, but a client that asks for Sign gets it.", _LIST,
           together(patched(_hidden(policies.SecurityPolicyAes256Sha256RsaPss, _SIGN)), processor(_AnyMode))),
    mutant("own-expired", "The server's certificate is expired",
           "It goes on with a certificate whose time is over; clients have to refuse it.", "OPC 10000-4, 6.1.3",
           shows(Shown(begins=-30, ends=-1))),
    mutant("own-short-key", "The server's key is too short",
           "Its key has 1024 bits; the current policies ask for 2048 and more.", _POLICIES, shows(Shown(bits=1024))),
    mutant("own-usage", "The server's certificate is not made for its use",
           "Its KeyUsage allows neither signatures nor the encryption of keys.", "OPC 10000-6, 6.2.2",
           shows(Shown(usage=False))),
    mutant("own-host", "The server's certificate names another host",
           "The host that clients dial is not in SubjectAltName.", "OPC 10000-4, 6.1.3",
           shows(Shown(host="elsewhere.example"))),
    mutant("own-uri", "The server's certificate names another application",
           "Its URI is not the ApplicationUri that the server states.", "OPC 10000-4, 6.1.3",
           shows(Shown(uri="urn:area4:somebody-else"))),
)  # fmt: skip
