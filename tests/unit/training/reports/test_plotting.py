"""Plots: any text as a label, and number formats of axes."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from training.errors import OutputError
from training.reports.plotting import (
    BLACK,
    COLOR_CYCLE,
    DARK_BACKGROUND,
    DARK_COLORS,
    GRAY,
    draw_plot,
    format_integers,
    power_of_ten,
    require_matplotlib,
)

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
def test_any_text_can_be_a_label(text: str) -> None:
    """Dollar signs start no formula, and letters that the font lacks cause no warning."""
    assert draw_plot(text, label(text)).png.startswith(PNG)


def luminance(color: str) -> float:
    """The relative luminance of WCAG 2."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*COLOR_CYCLE, GRAY, BLACK])
def test_colors_are_legible_on_both_grounds(color: str) -> None:
    """The contrast ratio of WCAG 2 is at least 4.5, on white and on the dark ground."""
    assert 1.05 / (luminance(color) + 0.05) >= 4.5
    ground = luminance(DARK_BACKGROUND)
    assert (luminance(DARK_COLORS[color]) + 0.05) / (ground + 0.05) >= 4.5


def test_a_plot_is_the_same_bytes_each_time_and_has_a_dark_variant() -> None:
    """SVG files have no date or random name; the dark variant has no color of the light one."""
    first, second = (draw_plot("title", label("x")) for _ in range(2))
    assert first == second
    ET.fromstring(first.svg)
    assert b"#ffffff" in first.svg
    for color in DARK_COLORS:
        assert color.encode() not in first.dark_svg
    assert DARK_BACKGROUND.encode() in first.dark_svg
    plain = draw_plot("title", label("x"), dark=False)
    assert plain.dark_svg == plain.svg == first.svg


@pytest.mark.parametrize(
    ("value", "text"),
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
def test_small_and_large_numbers_have_an_exponent(value: float, text: str) -> None:
    """The exponent is raised, and a factor of one is left out."""
    assert power_of_ten(value) == text


def test_axes_of_counts_have_integer_ticks() -> None:
    """A short axis has no tick at one half, and large numbers have commas."""
    from matplotlib.figure import Figure

    for last, expected in ((3, ["0", "1", "2", "3"]), (2000, ["0", "500", "1,000", "1,500"])):
        axes = Figure().subplots()
        axes.plot([0, last], [0, 1])
        format_integers(axes.xaxis)
        ticks = axes.xaxis.get_major_formatter().format_ticks(list(axes.get_xticks()))
        assert set(expected) <= set(ticks)
        assert len(set(ticks)) == len(ticks)


def test_missing_matplotlib_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the package to install and the option to omit."""
    monkeypatch.setattr("training.reports.plotting.find_spec", {}.get)
    with pytest.raises(OutputError, match=r"^--out: .*pip install matplotlib.*leave --out out"):
        require_matplotlib("--out")
    with pytest.raises(OutputError, match=r"^plots need .*pip install matplotlib`$"):
        require_matplotlib()
