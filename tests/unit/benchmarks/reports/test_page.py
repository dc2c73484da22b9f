"""docs/performance.md is rendered from docs/performance.json."""

import json
from typing import Any

from benchmarks.commands.run_all import MEASUREMENTS
from benchmarks.harness.command import ROOT
from benchmarks.reports.page import blocks_of, render

PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
RESULT: dict[str, Any] = {
    "title": "Some speed",
    "date": "2026-01-02",
    "machine": {"processor": "P", "cores": 2, "load": 0.1},
    "tables": [{"title": "T", "columns": ["a", "b"], "rows": [["x", "1"]], "text_columns": 1}],
    "notes": ["A note."],
    "figure": True,
}


def test_the_page_is_up_to_date() -> None:
    """The committed page is what the committed results give."""
    kept = json.loads((ROOT / "docs" / "performance.json").read_text(encoding="utf-8"))
    assert render(PAGE, kept) == PAGE, "python -m benchmarks report"


def test_every_measurement_has_a_block() -> None:
    """Each part of `make bench` is on the page, once."""
    blocks = blocks_of(PAGE)
    assert len(set(blocks)) == len(blocks)
    assert {part.NAME for part in MEASUREMENTS} == set(blocks)


def test_a_result_replaces_its_block_alone() -> None:
    """A block gets tables, notes, day, load and figure; a second rendering changes nothing."""
    page = "a\n<!-- begin one -->\nold\n<!-- end one -->\nb\n"
    rendered = render(page, {"one": RESULT})
    assert rendered.startswith("a\n<!-- begin one -->\n**T**\n\n| a | b |")
    assert rendered.endswith("<!-- end one -->\nb\n")
    assert "old" not in rendered
    assert "2026-01-02, P, 2 cores, load average 0.1." in rendered
    assert "![Some speed](images/performance-one.png)" in rendered
    assert render(rendered, {"one": RESULT}) == rendered
    assert "Not measured yet" in render(rendered, {})
