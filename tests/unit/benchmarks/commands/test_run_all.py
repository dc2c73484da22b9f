"""An interrupted run of all measurements continues."""

from pathlib import Path

import pytest

from benchmarks.__main__ import parse_arguments
from benchmarks.commands.run_all import PARTS, finished_parts


@pytest.mark.parametrize("text", ["", "{", "[]", '{"quick": false}', '{"quick": true, "done": []}'])
def test_a_run_begins_again_without_a_usable_state(tmp_path: Path, text: str) -> None:
    """A missing, damaged or other run is not continued."""
    state = tmp_path / "run.json"
    assert finished_parts(state, quick=False) == []
    state.write_text(text, encoding="utf-8")
    assert finished_parts(state, quick=False) == []


def test_a_run_of_the_same_form_continues(tmp_path: Path) -> None:
    """The finished parts of a quick run are those of a quick run only."""
    state = tmp_path / "run.json"
    state.write_text('{"quick": true, "done": ["startup"]}', encoding="utf-8")
    assert finished_parts(state, quick=True) == ["startup"]
    assert finished_parts(state, quick=False) == []


def test_the_standard_form_is_accepted_and_short() -> None:
    """The options of each part are options of its command; all parts fit into 20 minutes."""
    for part in PARTS:
        parse_arguments([part.command.NAME, *part.options.split()])
    assert sum(part.minutes for part in PARTS) <= 20
