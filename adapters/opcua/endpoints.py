"""Which endpoint of a server is used, and whether the session's list of endpoints is the one that was discovered."""

from __future__ import annotations

from collections.abc import Sequence

from asyncua import ua
from asyncua.crypto import security_policies

from adapters.opcua.config import ModeName, OpcUaConfig
from gateway.errors import RefusedError

POLICY_PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
POLICY_CLASSES: dict[str, type[security_policies.SecurityPolicy]] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}
"""Policies that we speak; the older ones are broken and never used."""

MODES: dict[ModeName, ua.MessageSecurityMode] = {
    "sign-and-encrypt": ua.MessageSecurityMode.SignAndEncrypt,
    "sign": ua.MessageSecurityMode.Sign,
    "none": ua.MessageSecurityMode.None_,
}
_MODE_NAMES = {mode: name for name, mode in MODES.items()}
_STRENGTH = {
    ua.MessageSecurityMode.SignAndEncrypt: 2,
    ua.MessageSecurityMode.Sign: 1,
    ua.MessageSecurityMode.None_: 0,
}
_BINARY_TRANSPORT = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"


def policy_name(uri: str | None) -> str:
    """The short name of a security policy."""
    return (uri or "").removeprefix(POLICY_PREFIX) or "None"


def mode_name(mode: ua.MessageSecurityMode) -> str:
    """The mode as the configuration writes it."""
    return _MODE_NAMES.get(mode, "invalid")


def describe(endpoint: ua.EndpointDescription) -> str:
    """Policy and mode, for people."""
    return f"{policy_name(endpoint.SecurityPolicyUri)} {mode_name(endpoint.SecurityMode)}"


def choose_endpoint(config: OpcUaConfig, offered: Sequence[ua.EndpointDescription]) -> ua.EndpointDescription:
    """The strongest allowed endpoint: by mode, then by the order of our policies, then by the server's SecurityLevel.

    Raises:
        RefusedError: Nothing that is offered is allowed.
    """
    modes = {MODES[name] for name in config.security.modes}
    fitting = [one for one in offered if _binary(one) and one.SecurityMode in modes and _rank(config, one) is not None]
    if not fitting:
        found = ", ".join(sorted({describe(one) for one in offered})) or "no endpoint at all"
        wanted = f"{', '.join(config.security.policies)} with {', '.join(config.security.modes)}"
        raise RefusedError(
            f"{config.url} offers no endpoint with the security that is configured: it offers {found}; "
            f"allowed are {wanted}.",
            advice="Switch one of these on at the server; weaker security needs a waiver in the configuration.",
        )
    return max(fitting, key=lambda one: (_STRENGTH[one.SecurityMode], -(_rank(config, one) or 0), one.SecurityLevel))


def _binary(endpoint: ua.EndpointDescription) -> bool:
    return (endpoint.TransportProfileUri or _BINARY_TRANSPORT) == _BINARY_TRANSPORT


def _rank(config: OpcUaConfig, endpoint: ua.EndpointDescription) -> int | None:
    """Place of the endpoint's policy in our order; None if it is not allowed."""
    if endpoint.SecurityMode == ua.MessageSecurityMode.None_:
        return len(config.security.policies) if policy_name(endpoint.SecurityPolicyUri) == "None" else None
    name = policy_name(endpoint.SecurityPolicyUri)
    return config.security.policies.index(name) if name in config.security.policies else None


def check_not_downgraded(
    url: str, discovered: Sequence[ua.EndpointDescription], session: Sequence[ua.EndpointDescription]
) -> None:
    """Compare the unprotected list with the one that the session brought, protected (OPC 10000-4, 5.7.2.2).

    Raises:
        RefusedError: They differ, so somebody may have hidden better endpoints on the way.
    """
    before, after = _facts(discovered), _facts(session)
    if before == after:
        return
    hidden = sorted(f"{policy} {mode}" for policy, mode, *_ in after - before)
    invented = sorted(f"{policy} {mode}" for policy, mode, *_ in before - after)
    raise RefusedError(
        f"{url} told other endpoints within the secure session than before it (only before: "
        f"{', '.join(invented) or 'none'}; only within: {', '.join(hidden) or 'none'}): somebody may have changed the "
        "list on the way to force weaker security.",
        advice="Compare the server's own list of endpoints; if server and network are sound, restart the server.",
    )


def _facts(endpoints: Sequence[ua.EndpointDescription]) -> set[tuple[str, str, int, tuple[tuple[str, int, str], ...]]]:
    """What must be equal; URLs may be rewritten by NAT, certificates and texts may be left out."""
    return {
        (
            policy_name(one.SecurityPolicyUri),
            mode_name(one.SecurityMode),
            int(one.SecurityLevel),
            tuple(
                sorted(
                    (token.PolicyId or "", int(token.TokenType), token.SecurityPolicyUri or "")
                    for token in one.UserIdentityTokens or []
                )
            ),
        )
        for one in endpoints
        if _binary(one)
    }


def choose_user_token(config: OpcUaConfig, endpoint: ua.EndpointDescription) -> ua.UserTokenPolicy:
    """The endpoint's best policy for the configured kind of user, with its effective security policy filled in.

    Raises:
        RefusedError: The server takes no such user, or would take a password only in the clear.
    """
    kind, name = _kind(config)
    tokens = [one for one in endpoint.UserIdentityTokens or [] if one.TokenType == kind]
    if not tokens:
        offered = ", ".join(sorted({one.TokenType.name for one in endpoint.UserIdentityTokens or []})) or "none"
        raise RefusedError(
            f"{config.url} takes no {name} on its endpoint {describe(endpoint)}; it takes: {offered}.",
            advice="Configure a user of a kind that the server takes, or switch this kind on at the server.",
        )
    fitting = [one for one in tokens if _protected(config, kind, endpoint, one)]
    if not fitting:
        raise RefusedError(
            f"{config.url} would take the {name} only without encryption or with a broken security policy; "
            "nothing was sent.",
            advice="Correct the user token policies at the server, or use an endpoint with sign-and-encrypt.",
        )
    best = min(fitting, key=lambda one: _token_rank(endpoint, one))
    effective = best.SecurityPolicyUri or endpoint.SecurityPolicyUri
    return ua.UserTokenPolicy(best.PolicyId, best.TokenType, best.IssuedTokenType, best.IssuerEndpointUrl, effective)


def _kind(config: OpcUaConfig) -> tuple[ua.UserTokenType, str]:
    if config.user.anonymous:
        return ua.UserTokenType.Anonymous, "anonymous user"
    if config.user.certificate is not None:
        return ua.UserTokenType.Certificate, "user certificate"
    return ua.UserTokenType.UserName, "user name with password"


def _effective(endpoint: ua.EndpointDescription, token: ua.UserTokenPolicy) -> str:
    return policy_name(token.SecurityPolicyUri or endpoint.SecurityPolicyUri)


def _protected(
    config: OpcUaConfig, kind: ua.UserTokenType, endpoint: ua.EndpointDescription, token: ua.UserTokenPolicy
) -> bool:
    if kind == ua.UserTokenType.Anonymous:
        return True
    effective = _effective(endpoint, token)
    if effective == "None":
        return bool(
            kind == ua.UserTokenType.UserName and endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
        )
    return effective in config.security.policies


def _token_rank(endpoint: ua.EndpointDescription, token: ua.UserTokenPolicy) -> int:
    effective = _effective(endpoint, token)
    return list(POLICY_CLASSES).index(effective) if effective in POLICY_CLASSES else len(POLICY_CLASSES)
