import pytest

from conformance.suite.claims import Claim
from conformance.suite.report import Report
from conformance.suite.runner import Settings, run
from tests.unit.conformance.fake import HOSTILE, FakeTarget, machine, many


@pytest.fixture
async def report() -> Report:
    """One result of each state, with hostile names."""
    target = FakeTarget(roots=machine(), facts={"product": HOSTILE})
    claim = Claim(target="device", profiles=("urn:basic",), product="MC-500", vendor="Example Works", version="4.2")
    return await run(target, many(), settings=Settings(version="0.1.0"), claim=claim)
