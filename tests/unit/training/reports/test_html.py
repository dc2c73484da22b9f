"""Pages and plots: self-contained, safe with any text, and never over what is not theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from training.errors import OutputError
from training.reports.html import Section, Table, check_folder, page, write_folder
from training.reports.plotting import draw, power_of_ten, require_matplotlib, thousands

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


def test_documents_stand_above_what_is_told_of_them_on_a_narrow_screen() -> None:
    """Each cell names its column for that; names may break after an underscore, and only there."""
    table = Table(("text", 'a "b"'), [("<i>long</i>", "bill_due")], prose=True)
    told = page("t", "", [Section(name="x", title="x", table=table)])
    assert '<table class="prose">' in told
    assert '<td data-column="text">&lt;i&gt;long&lt;/i&gt;</td>' in told
    assert '<td data-column="a &quot;b&quot;">bill_<wbr>due</td>' in told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (0.25, "0.25"),
        (1e-5, "10⁻⁵"),
        (3e-5, "3·10⁻⁵"),
        (-2.5e-10, "-2.5·10⁻¹⁰"),
        (9.99e-5, "10⁻⁴"),
        (2e7, "2·10⁷"),
    ],
)
def test_small_numbers_are_written_as_people_write_them(value: float, told: str) -> None:
    """With a raised exponent, and without a factor of one."""
    assert power_of_ten(value) == told


def test_few_steps_are_whole_numbers() -> None:
    """An axis of counts has no tick at one half, and commas in what is long."""
    from matplotlib.figure import Figure

    for last, expected in ((3, ["0", "1", "2", "3"]), (2000, ["0", "500", "1,000", "1,500"])):
        axes = Figure().subplots()
        axes.plot([0, last], [0, 1])
        thousands(axes.xaxis)
        ticks = axes.xaxis.get_major_formatter().format_ticks(list(axes.get_xticks()))
        assert set(expected) <= set(ticks)
        assert len(set(ticks)) == len(ticks)


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
    monkeypatch.setattr("training.reports.plotting.find_spec", {}.get)
    with pytest.raises(OutputError, match=r"--out: .*pip install matplotlib.*leave --out out"):
        require_matplotlib("--out")
