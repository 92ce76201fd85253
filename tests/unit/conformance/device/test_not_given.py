"""Without a certificate or a test authority a check says so and blocks its goal; it never counts as absent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conformance.device.behaviour import RULES as BEHAVIOUR
from conformance.device.prober import Prober
from conformance.device.security import RULES as SECURITY
from conformance.device.wire.channel import Identity
from conformance.device.wire.session import Login
from conformance.suite.catalogue import shipped
from conformance.suite.check import Check, TargetKind
from conformance.suite.outcome import Outcome, Verdict
from conformance.suite.target import TargetError

RULES = {**SECURITY, **BEHAVIOUR}
CHECKS = [one for one in shipped().of(TargetKind.DEVICE) if one.rule in RULES]
OF_AUTHORITY = [one for one in CHECKS if "test authority" in one.method]
SOMEBODY = Identity(b"", None, "urn:somebody")  # type: ignore[arg-type]  # nothing is signed here


async def asked(check: Check, identity: Identity | None, monkeypatch: pytest.MonkeyPatch) -> Outcome | None:
    """What a check says when nobody can be connected to; None where it tried."""

    async def nobody(_prober: Prober) -> None:
        raise TargetError("nobody is there")

    monkeypatch.setattr(Prober, "wire", nobody)
    try:
        return await RULES[check.rule](SimpleNamespace(prober=Prober("opc.tcp://nobody:1", identity, Login())), check)
    except TargetError:
        return None


@pytest.mark.parametrize("check", OF_AUTHORITY, ids=lambda one: one.id)
async def test_what_needs_the_test_authority_names_its_option(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for identity in (None, SOMEBODY):
        outcome = await asked(check, identity, monkeypatch)
        assert outcome is not None
        assert (outcome.verdict, outcome.option) == (Verdict.UNTRIED, "--test-ca")


async def test_without_a_certificate_nothing_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks either ask the device without one, or name the option."""
    outcomes = {one.id: await asked(one, None, monkeypatch) for one in CHECKS}
    told = [one for one in outcomes.values() if one is not None]
    assert {one.verdict for one in told} == {Verdict.UNTRIED}
    assert {one.option for one in told} == {"--certificate", "--test-ca"}
    assert sum(one.option == "--test-ca" for one in told) >= len(OF_AUTHORITY) >= 13
    assert sum(one.option == "--certificate" for one in told) >= 60
    assert None in outcomes.values(), "some checks need no certificate"


async def test_with_a_certificate_only_the_test_authority_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [await asked(one, SOMEBODY, monkeypatch) for one in CHECKS]
    assert {one.option for one in outcomes if one is not None} == {"--test-ca"}
