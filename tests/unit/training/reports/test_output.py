"""Report directories: written, replaced, and refused where they hold other files."""

import json
from pathlib import Path

import pytest

from training.errors import OutputError
from training.reports.html import Section
from training.reports.output import check_directory, reserved_output, to_json, write_report
from training.reports.plotting import draw_plot


def test_a_report_is_written_and_replaced(tmp_path: Path) -> None:
    """Plots of the earlier report are removed."""
    out = tmp_path / "deep" / "out"
    plot = draw_plot("t", lambda _: None)
    for name in ("one", "two"):
        check_directory(out)
        write_report(
            out,
            title="t",
            introduction="",
            sections=[Section(name=name, title=name, plot=plot)],
            files={"figures.json": to_json({"a": name})},
        )
    assert {path.name for path in out.iterdir()} == {
        "figures.json",
        "index.html",
        "two.png",
        "two.svg",
    }
    assert json.loads((out / "figures.json").read_text()) == {"a": "two"}
    assert '<section id="two">' in (out / "index.html").read_text()


@pytest.mark.parametrize(
    ("file", "message"), [("manifest.json", "holds an artifact"), ("thesis.txt", "no earlier page")]
)
def test_a_directory_with_other_files_is_refused(tmp_path: Path, file: str, message: str) -> None:
    """The message gives the reason; an artifact is recognized."""
    (tmp_path / file).touch()
    with pytest.raises(OutputError, match=message):
        check_directory(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        check_directory(tmp_path / file)


def test_a_directory_in_the_place_of_the_json_file_is_refused(tmp_path: Path) -> None:
    """The message names the option."""
    with (
        pytest.raises(OutputError, match="is a directory; --json names a file"),
        reserved_output(None, tmp_path),
    ):
        pass
