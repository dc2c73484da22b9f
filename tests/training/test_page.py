"""Pages and plots: self-contained, safe with any text, and never over what is not theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from training.page import Section, Table, check_folder, page, write_folder
from training.plots import draw, require_matplotlib
from training.run_directory import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG = b"\x89PNG\r\n\x1a\n"


def label(text: str) -> Callable[["Figure"], None]:
    """Paints a plot with that text in it."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.bar([text], [1.0])
        axes.set_xlabel(text)

    return paint


@pytest.mark.parametrize("text", ["plain", "$5 and $6_", "語言 \N{GRINNING FACE}", "a\\b{c}"])
def test_a_plot_is_drawn_whatever_its_labels(text: str) -> None:
    """Dollars are no formulas, and letters that the font lacks are no warnings."""
    assert draw(text, label(text)).startswith(PNG)


def test_a_page_shows_texts_as_they_are() -> None:
    """Marks of HTML in a document are text; images are inside; there is no script."""
    table = Table(("text", "loss"), [("<script>alert(1)</script>", "1.25"), ("b", "10 %")])
    section = Section(name="x", title="T & U", text="<b>", plot=draw("t", label("l")), table=table)
    told = page("A < B", "why", [section])
    assert "<script" not in told
    assert "&lt;script&gt;" in told
    assert 'src="data:image/png;base64,' in told
    assert "http://" not in told
    assert '<td class="number">1.25</td>' in told
    assert "<td>b</td>" in told


def test_a_folder_is_written_and_replaced(tmp_path: Path) -> None:
    """Plots of an earlier page that the new one has not are gone."""
    out = tmp_path / "deep" / "out"
    plot = draw("t", label("l"))
    for name in ("one", "two"):
        check_folder(out)
        sections = [Section(name=name, title=name, plot=plot)]
        write_folder(out, title="t", introduction="", sections=sections, figures={"a": name})
    found = {path.name for path in out.iterdir()}
    assert found == {"figures.json", "index.html", "two.png"}
    assert json.loads((out / "figures.json").read_text()) == {"a": "two"}


@pytest.mark.parametrize(
    ("file", "told"), [("manifest.json", "holds an artifact"), ("thesis.txt", "no earlier page")]
)
def test_a_folder_of_someone_else_is_refused(tmp_path: Path, file: str, told: str) -> None:
    """By name and reason, an artifact above all."""
    (tmp_path / file).touch()
    with pytest.raises(OutputError, match=told):
        check_folder(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / file)


def test_plots_without_matplotlib_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install, and the option that can be left out."""
    monkeypatch.setattr("training.plots.find_spec", {}.get)
    with pytest.raises(OutputError, match=r"--out: .*pip install matplotlib.*leave --out out"):
        require_matplotlib("--out")
