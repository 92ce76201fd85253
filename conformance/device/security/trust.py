"""Rules about client certificates: whom the device lets in."""

from __future__ import annotations

from conformance.device.authority import URI, Issuer, Leaf, TestAuthority, new_key, sent_with
from conformance.device.prober import Prober
from conformance.device.security.table import Rules, accepted, refused
from conformance.device.wire.channel import Identity
from conformance.device.wire.errors import Refused
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed

RULES = Rules()
_SHORT = 1024
_NAMED = {"BadSecurityChecksFailed", ""}


@RULES.secured("security.session.opens")
async def opens(prober: Prober, _check: Check) -> Outcome:
    """The suite itself is let in: without that, refusals say nothing."""
    assert prober.identity is not None
    return await accepted(prober.admits(prober.identity), "the suite's own session")


def _itself(prober: Prober) -> Identity:
    """A stranger: nobody has ever heard of its issuer."""
    issuer = Issuer.root("area4 conform")
    uri = prober.identity.uri if prober.identity is not None else URI
    return issuer.identity(prober.key, Leaf(uri=uri))


@RULES.secured("security.trust.stranger")
async def stranger(prober: Prober, _check: Check) -> Outcome:
    """A certificate that nobody trusts."""
    return await refused(prober.admits(_itself(prober)), "a client with an unknown certificate")


@RULES.secured("security.trust.rogue")
async def rogue(prober: Prober, _check: Check) -> Outcome:
    """A certificate of an unknown authority that is sent along."""
    who = sent_with(Issuer.root("rogue authority"), prober.key)
    return await refused(prober.admits(who), "a client of an unknown authority, which it sends along,")


@RULES.secured("security.trust.again")
async def never_learned(prober: Prober, _check: Check) -> Outcome:
    """A stranger who comes again is still one."""
    who = _itself(prober)
    outcome = passed("")
    for attempt in ("the first time", "the second time", "the third time"):
        outcome = await refused(prober.admits(who), f"an unknown client {attempt}")
        if outcome.verdict != "pass":
            break
    return outcome


@RULES.secured("security.trust.discreet")
async def discreet(prober: Prober, _check: Check) -> Outcome:
    """A stranger is not told why."""
    try:
        await prober.admits(_itself(prober))
    except Refused as refusal:
        if refusal.status in _NAMED:
            return passed(f"an unknown client learns nothing: {refusal}")
        return failed(f"an unknown client learns why it is refused: {refusal}")
    return failed("an unknown client is accepted")


@RULES.trusting("security.trust.authority")
async def authority(prober: Prober, trusted: TestAuthority) -> Outcome:
    """The test authority's clients are let in."""
    return await accepted(prober.admits(trusted.root.identity(prober.key)), "a client of the test authority")


def _wrong(name: str, how: Leaf, what: str) -> None:
    async def judge(prober: Prober, trusted: TestAuthority) -> Outcome:
        return await refused(prober.admits(trusted.root.identity(prober.key, how)), f"a client with {what}")

    RULES.trusting(name)(judge)


_wrong("security.trust.expired", Leaf(begins=-10, ends=-1), "an expired certificate")
_wrong("security.trust.early", Leaf(begins=1, ends=10), "a certificate that is not valid yet")
_wrong("security.trust.usage", Leaf(signing=False), "a certificate whose KeyUsage has no digitalSignature")
_wrong("security.trust.purpose", Leaf(client=False), "a certificate for servers alone")
_wrong("security.trust.leaf-authority", Leaf(authority=True), "the certificate of an authority as its own")
_wrong("security.trust.sha1", Leaf(sha1=True), "a certificate signed with SHA-1")


@RULES.trusting("security.trust.short")
async def short_key(prober: Prober, trusted: TestAuthority) -> Outcome:
    """A key of 1024 bits."""
    who = trusted.root.identity(new_key(_SHORT))
    return await refused(prober.admits(who), f"a client with a key of {_SHORT} bits")


@RULES.trusting("security.trust.revoked")
async def revoked(prober: Prober, trusted: TestAuthority) -> Outcome:
    """A certificate in the list of its authority."""
    return await refused(prober.admits(trusted.revoked), "a client with a revoked certificate")


@RULES.trusting("security.trust.unlisted")
async def unlisted(prober: Prober, trusted: TestAuthority) -> Outcome:
    """An authority whose list is missing."""
    who = sent_with(trusted.unlisted, prober.key)
    return await refused(prober.admits(who), "a client of an authority without revocation list")


@RULES.trusting("security.trust.withdrawn")
async def withdrawn(prober: Prober, trusted: TestAuthority) -> Outcome:
    """A revoked authority."""
    who = sent_with(trusted.withdrawn, prober.key)
    return await refused(prober.admits(who), "a client of a revoked authority")


@RULES.trusting("security.trust.chain")
async def chain(prober: Prober, trusted: TestAuthority) -> Outcome:
    """An authority below the trusted one, sent along."""
    who = sent_with(trusted.issuing, prober.key)
    return await accepted(prober.admits(who), "a client that sends its issuing authority along")


@RULES.trusting("security.trust.incomplete")
async def incomplete(prober: Prober, trusted: TestAuthority) -> Outcome:
    """The same without sending it."""
    who = trusted.issuing.identity(prober.key)
    return await refused(prober.admits(who), "a client whose issuing authority nobody knows")


@RULES.secured("security.trust.uri")
async def uri(prober: Prober, _check: Check) -> Outcome:
    """Another ApplicationUri than the certificate's."""
    own = prober.identity
    assert own is not None
    who = Identity(own.certificate, own.key, f"{own.uri}:another", own.chain)
    return await refused(prober.admits(who), "an ApplicationUri that is not in the certificate")


@RULES.secured("security.trust.thumbprint")
async def thumbprint(prober: Prober, _check: Check) -> Outcome:
    """A message for another receiver: the thumbprint of another certificate."""
    channel = await prober.unopened()
    channel.policy.peer_certificate = b"another certificate"
    try:
        return await refused(channel.open(), "a channel request for another receiver's certificate")
    finally:
        await channel.close()
