"""A run always ends with a report, whatever a target or a rule does."""

import asyncio
import re

import pytest

from conformance.suite import attempt as attempts
from conformance.suite.bounds import CONTENT, PIECES, SENTENCE, TREE_DEPTH
from conformance.suite.catalogue import CatalogueError
from conformance.suite.check import Obligation
from conformance.suite.claims import Claim, Waiver
from conformance.suite.outcome import State, Verdict
from conformance.suite.report import Report, TreeNode
from conformance.suite.runner import OPEN, STOPPED, Settings, run
from conformance.suite.target import TargetError
from tests.unit.conformance.fake import PROFILES, FakeTarget, catalogue, check, many


async def report_of(*checks, target=None, settings=None, **more) -> Report:
    return await run(
        target or FakeTarget(), catalogue(*checks, profiles=PROFILES), settings=settings or Settings(), **more
    )


async def state_of(*checks, **more) -> State:
    return (await report_of(*checks, **more)).results[-1].state


@pytest.mark.parametrize(
    ("rule", "more", "state"),
    [
        ("pass", {}, State.PASS),
        ("fail", {}, State.FAIL),
        ("fail", {"obligation": Obligation.SHOULD}, State.NON_STRICT),
        ("non-strict", {}, State.NON_STRICT),
        ("informational", {}, State.INFORMATIONAL),
        ("absent", {}, State.NOT_CLAIMED),
        ("gone", {}, State.FAIL),
        ("raise", {}, State.ERROR),
        ("nonsense", {}, State.ERROR),
        ("leak", {}, State.ERROR),
        ("no such rule", {}, State.ERROR),
        ("pass", {"writes": True}, State.BLOCKED),
        ("pass", {"stress": True}, State.BLOCKED),
        ("pass", {"units": ("Unit A",)}, State.PASS),
        ("fail", {"units": ("Unit A",)}, State.FAIL),
        ("untried", {}, State.BLOCKED),
    ],
)
async def test_each_outcome_has_its_state(rule, more, state) -> None:
    assert await state_of(check("one", rule, **more)) is state


async def test_the_suites_own_mistake_names_its_place() -> None:
    report = await report_of(check("one", "raise"))
    assert re.fullmatch(r"ZeroDivisionError: the rule divides \(_raise, line \d+\)", report.results[0].seen)
    assert not report.conforms


async def test_manual_checks_are_listed_with_their_procedure() -> None:
    result = (await report_of(check("one", "", manual=True, mutants=(), method="Ask the vendor."))).results[0]
    assert (result.state, result.seen, result.breaks) == (State.MANUAL, "Ask the vendor.", False)


async def test_what_is_not_allowed_breaks_nothing_and_runs_when_allowed() -> None:
    checks = [check("plain", "pass"), check("write", "pass", writes=True), check("stress", "pass", stress=True)]
    held = await report_of(*checks)
    assert [one.blocked_by for one in held.results] == [(), ("--allow-writes",), ("--allow-stress",)]
    assert held.conforms
    free = await report_of(*checks, settings=Settings(allow_writes=True, allow_stress=True))
    assert {one.state for one in free.results} == {State.PASS}
    assert (held.options["writes"], free.options["stress"]) == ("not allowed", "allowed")


async def test_what_is_needed_comes_first_and_blocks() -> None:
    later = check("a-later", "pass", needs=("device.fake.first",))
    report = await report_of(later, check("first", "fail"), check("other", "pass"), only=["device.fake.a-later"])
    assert [one.check.id for one in report.results] == ["device.fake.first", "device.fake.a-later"]
    assert report.results[1].state is State.BLOCKED
    assert report.results[1].blocked_by == ("device.fake.first",)
    assert report.options["only"] == "device.fake.a-later"


async def test_only_takes_groups_and_says_what_it_does_not_know() -> None:
    checks = [check("device.a.one", "pass"), check("device.a.two", "pass"), check("device.ab.one", "pass")]
    report = await report_of(*checks, only=["device.a"])
    assert [one.check.id for one in report.results] == ["device.a.one", "device.a.two"]
    with pytest.raises(CatalogueError, match=r"no check of a device is 'device.a.onee'; near is 'device.a.one'"):
        await report_of(*checks, only=["device.a.onee"])


async def test_what_was_not_given_breaks_nothing_and_reaches_nothing() -> None:
    report = await report_of(
        check("key", "untried"), check("uses-key", "pass", needs=("device.fake.key",)), check("other", "pass")
    )
    assert [(one.state, one.blocked_by) for one in report.results[:2]] == [(State.BLOCKED, ("--ca-key",))] * 2
    assert report.results[1].seen == "no key was given"
    assert report.conforms
    assert set(report.levels[-1].open) == {"device.fake.key", "device.fake.uses-key"}
    assert not report.levels[-1].reached


async def test_what_needs_something_optional_that_is_not_there_is_not_claimed() -> None:
    report = await report_of(check("alarms", "absent"), check("uses", "fail", needs=("device.fake.alarms",)))
    assert (report.results[1].state, report.results[1].seen) == (State.NOT_CLAIMED, "not there: it has no such thing")
    both = await report_of(
        check("alarms", "absent"),
        check("broken", "fail"),
        check("uses", "pass", needs=("device.fake.alarms", "device.fake.broken")),
    )
    assert both.results[2].blocked_by == ("device.fake.alarms", "device.fake.broken")


@pytest.mark.parametrize("rule", ["hang", "deaf"])
async def test_a_hanging_check_fails_and_the_next_one_runs(rule, monkeypatch) -> None:
    monkeypatch.setattr(attempts, "GRACE_SECONDS", 0.05)
    target = FakeTarget()
    report = await report_of(
        check("hangs", rule), check("next", "pass"), target=target, settings=Settings(check_seconds=0.05)
    )
    assert [one.state for one in report.results] == [State.FAIL, State.PASS]
    assert report.results[0].seen == "not finished within 0.05 s"
    assert target.closed == 1
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:  # what does not heed its cancellation is told again, so that the test leaves nothing behind
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def test_the_total_time_ends_a_run() -> None:
    report = await report_of(check("hangs", "hang"), check("next", "pass"), settings=Settings(total_seconds=0.1))
    assert [(one.state, one.blocked_by) for one in report.results] == [(State.BLOCKED, (STOPPED,))] * 2
    assert "longer than 0.1 s" in report.results[0].seen
    assert not report.complete
    assert not report.conforms


async def test_a_stopped_run_still_reports() -> None:
    stop = asyncio.Event()
    report = await report_of(
        check("first", "pass"),
        check("next", "hang"),
        check("last", "pass"),
        stop=stop,
        progress=lambda _result, number, of: stop.set() if (number, of) == (1, 3) else None,
    )
    assert [one.state for one in report.results] == [State.PASS, State.BLOCKED, State.BLOCKED]
    assert report.results[1].seen == "somebody stopped it"
    assert not report.complete


async def test_a_stop_while_a_check_runs_ends_it() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    report = await report_of(check("hangs", "hang"), check("last", "pass"), stop=stop)
    assert [one.blocked_by for one in report.results] == [(STOPPED,)] * 2


async def test_a_cancelled_run_closes_the_target_and_stays_cancelled() -> None:
    target = FakeTarget()
    begun = asyncio.Event()

    async def hang(_target, _check):
        begun.set()
        await asyncio.Event().wait()

    target.rules["hang"] = hang
    task = asyncio.ensure_future(report_of(check("hangs", "hang"), target=target))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert target.closed == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_unreachable_target_blocks_everything() -> None:
    target = FakeTarget(opens=TargetError("connection refused"))
    report = await report_of(check("one", "pass"), check("two", "fail"), target=target)
    assert [(one.state, one.blocked_by, one.seen) for one in report.results] == [
        (State.BLOCKED, (OPEN,), "connection refused")
    ] * 2
    assert not report.conforms
    assert target.closed == 1


async def test_a_target_that_never_opens_blocks_everything() -> None:
    target = FakeTarget()
    target.open = asyncio.Event().wait
    report = await report_of(check("one", "pass"), target=target, settings=Settings(open_seconds=0.05))
    assert report.results[0].seen == "not open after 0.05 s"


async def test_a_suite_that_fails_at_opening_says_so() -> None:
    report = await report_of(check("one", "pass"), target=FakeTarget(opens=KeyError("snapshot")))
    assert report.results[0].state is State.ERROR
    assert report.results[0].seen.startswith("opening the target: KeyError: 'snapshot'")


async def test_a_suite_that_fails_beside_the_checks_still_reports() -> None:
    target = FakeTarget()
    target.fingerprint = target.tree = target.options = target.repeat = lambda *_: 1 / 0
    target.close = report_of
    report = await report_of(check("one", "pass"), target=target)
    assert report.conforms
    assert (report.fingerprint, report.tree, report.results[0].repeat) == ({}, (), "")


async def test_a_target_cannot_fill_the_report() -> None:
    deep = TreeNode(path="end")
    for level in range(200):
        deep = TreeNode(path=f"level {level}", children=(deep,))
    wide = TreeNode(path="m" * 100_000, children=tuple(TreeNode(path=str(number)) for number in range(30_000)))
    target = FakeTarget(roots=(deep, wide), facts={"product": "p" * 1_000_000})
    report = await report_of(check("one", "huge"), target=target)
    result = report.results[0]
    assert len(result.seen) < SENTENCE + 50
    assert "50000000 characters" in result.seen
    assert len(result.evidence) == PIECES + 1
    assert all(len(one.content) < CONTENT + 50 for one in result.evidence)
    assert result.evidence[-1].content == "80 further pieces are not shown"
    assert len(report.model_dump_json()) < 3_000_000
    depth, node = 0, report.tree[0]
    while node.children:
        depth, node = depth + 1, node.children[0]
    assert depth == TREE_DEPTH
    assert node.path == "1 nodes are not shown"
    assert report.tree[1].children[-1].path.endswith("nodes are not shown")


async def test_surrogates_do_not_keep_a_report_from_being_written() -> None:
    target = FakeTarget(facts={"product": "MC\udcff"})
    assert "MC?" in (await report_of(check("one", "pass"), target=target)).model_dump_json()


async def test_the_claim_decides_what_can_fail() -> None:
    checks = [check("a", "fail", units=("Unit A",)), check("b", "absent", units=("Unit B",))]
    claim = Claim(target="device", profiles=("urn:basic",))
    report = await report_of(*checks, claim=claim)
    assert [one.state for one in report.results] == [State.FAIL, State.NOT_CLAIMED]
    everything = Claim(target="device", profiles=("Basic Profile", "More Profile"))
    assert (await report_of(*checks, claim=everything)).results[1].state is State.FAIL
    nothing = await report_of(*checks, claim=Claim(target="device"))
    assert [(one.state, one.verdict) for one in nothing.results] == [
        (State.NOT_CLAIMED, Verdict.FAIL),
        (State.NOT_CLAIMED, None),
    ]
    assert not nothing.conforms  # nothing was judged


async def test_profiles_that_a_server_names_and_nobody_knows_say_nothing() -> None:
    target = FakeTarget(claimed=Claim(target="device", profiles=("urn:basic", "urn:other"), written=False))
    report = await report_of(check("a", "fail", units=("Unit A",)), target=target)
    assert report.results[0].state is State.FAIL
    assert report.claim.profiles == ("urn:basic", "urn:other")


async def test_a_waiver_keeps_the_failure_and_its_reason() -> None:
    waiver = Waiver(check="device.fake.a", reason="comes with 5.0", until="2999-01-01")
    old = Waiver(check="device.fake.a", reason="came with 4.0", until="2001-01-01")
    waived = await report_of(
        check("a", "fail"), check("b", "pass"), claim=Claim(target="device", waivers=(old, waiver))
    )
    assert (waived.results[0].state, waived.results[0].waiver, waived.conforms) == (State.FAIL, waiver, True)
    outdated = await report_of(check("a", "fail"), claim=Claim(target="device", waivers=(old,)))
    assert not outdated.conforms


async def test_levels_say_what_is_reached_and_what_is_open() -> None:
    report = await run(FakeTarget(), many(), settings=Settings(), claim=Claim(target="device", profiles=("urn:basic",)))
    levels = {one.name: one for one in report.levels}
    basic, more = levels["Basic Profile"], levels["More Profile"]
    assert (basic.claimed, basic.reached, basic.passed, basic.asked, basic.open) == (
        True, False, 1, 2, ("device.fake.named",),
    )  # fmt: skip
    assert (more.claimed, more.reached, more.passed) == (False, True, 1)
    assert levels["Area 4 connected"].reached
    assert set(levels["Area 4 secure"].open) == {"device.fake.hostile", "device.fake.writing", "device.fake.mistaken"}
    assert not levels["Area 4 interoperable"].reached
