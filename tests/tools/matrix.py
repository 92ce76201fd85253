"""The kill matrix: which check fails on which mutant, computed over the wire, kept in docs/conformance/.

Each part of the suite has a section of its own in `matrix.json`; `matrix.md` shows them all, short. A section holds for
each check the mutants that it names and failed on (and those that it did not notice), for each mutant how many checks
failed on it, and what the reference did not simply pass.

    python tests/tools/matrix.py            the sections that this file computes: compared with the committed ones
    python tests/tools/matrix.py --write    and written
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.device.access import Access, Limits
from conformance.device.crawl import crawl, refresh
from conformance.device.model import JUDGES
from conformance.device.session import Session
from conformance.device.snapshot import Snapshot
from conformance.suite.catalogue import load
from conformance.suite.check import Check, TargetKind
from conformance.suite.outcome import Outcome, Verdict
from security.pki.lab import create_lab
from simulators.mutants.reference import KIND
from simulators.process import Options, SimulatorProcess

ROOT = Path(__file__).parents[2]
JSON = ROOT / "docs" / "conformance" / "matrix.json"
PAGE = ROOT / "docs" / "conformance" / "matrix.md"
Compute = Callable[[Path], Awaitable[Mapping[str, "Section"]]]
"""Computes sections, with a folder of its own to work in."""


@dataclass
class Section:
    """One part's matrix.

    Attributes:
        reference: What the reference does not simply pass, by check: verdict.
        checks: By check, the mutants it names that it failed on.
        survived: By check, the mutants it names that it did not notice.
        mutants: By mutant, how many checks failed on it.
        reasons: By check and mutant, what the check said; not kept in the file.
    """

    reference: dict[str, str] = field(default_factory=dict)
    checks: dict[str, list[str]] = field(default_factory=dict)
    survived: dict[str, list[str]] = field(default_factory=dict)
    mutants: dict[str, int] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)

    def start(self, check: Check, outcome: Outcome) -> None:
        """What a check says of the reference."""
        self.checks[check.id] = []
        if outcome.verdict is not Verdict.PASS:
            self.reference[check.id] = str(outcome.verdict)

    def add(self, mutant: str, checks: Sequence[Check], outcomes: Mapping[str, Outcome]) -> None:
        """What all checks say of a mutant."""
        failed = [one for one in checks if fails(outcomes[one.id])]
        named = [one.id for one in failed if mutant in one.mutants]
        self.mutants[mutant] = len(failed)
        for one in checks:
            if mutant in one.mutants:
                (self.checks if one.id in named else self.survived).setdefault(one.id, []).append(mutant)
                self.reasons[one.id, mutant] = outcomes[one.id].seen

    def content(self) -> dict[str, Any]:
        """For the file."""
        return {
            "checks": self.checks,
            "mutants": self.mutants,
            "reference": self.reference,
            "survived": self.survived,
        }


def fails(outcome: Outcome) -> bool:
    """The check does not let the target pass."""
    return outcome.verdict in {Verdict.FAIL, Verdict.NON_STRICT, Verdict.ABSENT}


def model_checks() -> list[Check]:
    """The device's checks whose rules are pure functions of a snapshot."""
    catalogue = load(ROOT / "conformance" / "catalogue")
    return [one for one in catalogue.of(TargetKind.DEVICE) if one.rule in JUDGES]


async def device_model(folder: Path, only: Sequence[str] = ()) -> Section:
    """The section of the device's information model: one process, a mutant after the other."""
    checks = model_checks()
    mutants = list(dict.fromkeys(mutant for check in checks for mutant in check.mutants))
    lab = create_lab(folder / "pki", machines=["reference"])
    server = lab.machines["reference"]
    options = Options((KIND,), server.certificate, server.key, (server.root,), anonymous=True)
    own = lab.gateway_opcua
    async with SimulatorProcess(options) as process:
        limits = Limits(requests_per_second=10_000, request_seconds=60, connect_seconds=60)
        session = Session(Access(process.url, own.certificate, own.key, limits=limits))
        await session.open()
        try:
            return await _mutate(process, session, checks, [one for one in mutants if not only or one in only])
        finally:
            await session.close()


async def _mutate(
    process: SimulatorProcess, session: Session, checks: Sequence[Check], mutants: Sequence[str]
) -> Section:
    section = Section()
    reference = await crawl(session)
    for check in checks:
        section.start(check, judge(reference, check))
    for mutant in mutants:
        answer = await process.command(60, do="mutant", id=mutant)
        broken = await look(session, reference, answer["touched"])
        section.add(mutant, checks, {check.id: judge(broken, check) for check in checks})
    await process.command(60, do="mutant", id=None)
    mended = await crawl(session)
    for one, other in ((still(reference), still(mended)), (still(mended), still(reference))):
        changed = [key for key in one if one[key] != other.get(key)]
        assert not changed, f"the mutants left traces: {changed}"
    return section


def judge(snapshot: Snapshot, check: Check) -> Outcome:
    """What a check says of a snapshot."""
    return JUDGES[check.rule](snapshot, check.parameters)


async def look(session: Session, reference: Snapshot, touched: Sequence[str] | None) -> Snapshot:
    """A mutant's snapshot: what it touched alone, where that is known and no part of the server itself."""
    if touched is None or any(one.startswith("i=22") for one in touched):
        return await crawl(session)
    return await refresh(session, reference, touched)


def still(snapshot: Snapshot) -> dict[str, Any]:
    """What does not move on the reference machine, by id."""
    found: dict[str, Any] = {**snapshot.nodes, **snapshot.types, **snapshot.states}
    moving = {"ServerStatus", "ServerStatus/CurrentTime"}
    found |= {f"server/{key}": one.value for key, one in snapshot.server.items() if key not in moving}
    return found | {f"enumeration/{key}": one for key, one in snapshot.enumerations.items()}


def merged(sections: Mapping[str, Section]) -> dict[str, Any]:
    """The committed file with these sections in place of theirs."""
    known = json.loads(JSON.read_text(encoding="utf-8")) if JSON.is_file() else {}
    return dict(sorted({**known, **{name: one.content() for name, one in sections.items()}}.items()))


def page(content: Mapping[str, Any]) -> str:
    """The matrix for people."""
    lines = [
        "# Kill matrix", "",
        "Generated by `python tests/tools/matrix.py --write`: every check against the mutants that it names, over the",
        "wire. `matrix.json` beside it has each pair.", "",
        "| part | checks | mutants | checks that notice all their mutants | mutants killed | reference passes |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, section in content.items():
        checks, mutants = section["checks"], section["mutants"]
        bite = sum(1 for key, killed in checks.items() if killed and key not in section["survived"])
        killed = sum(1 for count in mutants.values() if count)
        passes = len(checks) - len(section["reference"])
        lines.append(f"| {name} | {len(checks)} | {len(mutants)} | {bite} | {killed} | {passes} |")
    for name, section in content.items():
        rest = {**section["reference"], **section["survived"]}
        if rest:
            lines += ["", f"## Not as it should be: {name}", ""]
            lines += [f"- `{key}`: {value}" for key, value in sorted(rest.items())]
    return "\n".join(lines) + "\n"


def serialised(content: Mapping[str, Any]) -> str:
    """As it is committed."""
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


async def _computed(compute: Compute, folder: Path) -> Mapping[str, Section]:
    return await compute(folder)


def command(prog: str, compute: Compute, arguments: Sequence[str] | None) -> int:
    """Compute these sections, compare them with the kept files, or write them; 1 if a file differs."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--write", action="store_true", help="write docs/conformance/matrix.json and matrix.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        content = merged(asyncio.run(_computed(compute, Path(folder))))
    texts = {JSON: serialised(content), PAGE: page(content)}
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if options.write:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    sys.stdout.write(page(content))
    return 1 if stale and not options.write else 0


async def sections(folder: Path) -> dict[str, Section]:
    """The one of the device's information model."""
    return {"device model": await device_model(folder)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Of the device's information model; see `command`."""
    return command("matrix.py", sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
