"""Pictures of report pages for the docs, of real runs.

    python -m tests.tools.screenshots     # starts mutant devices, judges them, writes docs/conformance/img/

Needs the browser that tests/tools/ensure.sh installs.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.reports import compare
from conformance.reports.document import read_file
from conformance.reports.html import goals, results, tree
from conformance.reports.html.frame import frame
from conformance.reports.html.page import page
from conformance.suite.report import Report
from tests.tools import browser

IMAGES = Path(__file__).parents[2] / "docs" / "conformance" / "img"
MUTANTS = ("device.basics.range-upside-down", "device.basics.messages-silent", "device.basics.untyped")
"""Judged for the comparison; the first one is the one whose report is shown."""

WIDTH = 1180


@contextmanager
def mutant(identifier: str, folder: Path) -> Iterator[dict[str, str]]:
    """A mutant device, and what its client needs, by paths below the folder."""
    line = [sys.executable, "-m", "gateway.cli", "sim", "mutant", identifier, "--dir", ".", "--json"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)


def judged(identifier: str, folder: Path) -> Report:
    """The report of a mutant device."""
    folder.mkdir()
    with mutant(identifier, folder) as access:
        (folder / "claim.toml").write_text(
            f'[claim]\nvendor = "Example Works"\nproduct = "MC-500"\nversion = "{identifier.rpartition(".")[2]}"\n'
            'target = "device"\nprofiles = ["MachineTool Basic Server Profile", "MachineTool Tools Server Facet"]\n',
            encoding="utf-8",
        )
        line = [sys.executable, "-m", "gateway.cli", "conform", "device", access["urls"][0], "--json", "report.json"]
        line += ["--certificate", access["certificate"], "--key", access["key"], "--claim", "claim.toml"]
        line += ["--user-certificate", access["user_certificate"], "--user-key", access["user_key"]]
        line += ["--trust", access["server_certificate"], "--window", "10", "--quiet"]
        subprocess.run(line, check=False, timeout=600, cwd=folder)
    return read_file(folder / "report.json")


def picture(html: str, name: str, folder: Path, height: int, fragment: str = "") -> None:
    """A page as a picture of the docs."""
    file = folder / f"{name}.html"
    file.write_text(html, encoding="utf-8")
    browser.screenshot(file, IMAGES / f"{name}.png", WIDTH, height, fragment)


def part(html: str) -> str:
    """A part of a page as a page, with what failed unfolded."""
    return frame("part", f"<main>{html}</main>").replace(
        '<details class="check fail"', '<details open class="check fail"'
    )


def main() -> None:
    """Judge the mutants and make all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reports = [judged(one, folder / one) for one in MUTANTS]
        picture(page(reports[0]), "overview", folder, 900)
        picture(part(results.section(reports[0])), "result", folder, 700, "#state=fail,non-strict")
        picture(part(tree.section(reports[0])), "machine", folder, 560)
        picture(part(goals.goals(reports[0])), "goals", folder, 900)
        picture(compare.page(compare.compare(reports)), "comparison", folder, 760)
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(IMAGES.parents[2])}  {image.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
