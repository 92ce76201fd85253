"""The README's ratios are those of docs/performance.md."""

from tests.benchmarks.report import PAGE, RATIOS, README, ratios


def test_the_readme_quotes_what_was_measured() -> None:
    begin, end = RATIOS
    quoted = README.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0].strip()
    assert quoted == ratios(PAGE.read_text(encoding="utf-8"))
    assert "asyncua + paho" in quoted
    assert "Node-RED" in quoted


def test_the_scale_plan_starts_from_what_was_measured() -> None:
    rows = [row.split(" | ") for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| area4 | ")]
    one, twenty = (
        next(row[4] for row in rows if row[1].startswith(shape) and row[2] == "10000")
        for shape in ("1 x 20 x 50,", "20 x 1 x 50,")
    )
    plan = (PAGE.parent / "scale.md").read_text(encoding="utf-8")
    assert f"With {one} and {twenty} ms per 1000 values" in plan
