"""Style of all plots, and rendering to PNG and SVG.

Matplotlib is an optional dependency. It is imported when the first plot is drawn, and renders in
memory (Agg), so no display is needed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from training.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# On white, all but the pale one have the contrast of 4.5 that WCAG requires of text.
BLUE, RED, GREEN, AMBER, PURPLE = "#1d6fa5", "#c93a4d", "#1e8449", "#a86400", "#7b4ea3"
BLACK, DARK_GRAY, GRAY = "#222222", "#5a5a5a", "#767676"
PALE_BLUE = "#a9c6da"
COLOR_CYCLE = (BLUE, RED, GREEN, AMBER, PURPLE, DARK_GRAY)
# The same hues for a dark background, by the color that they replace in an SVG file.
DARK_BACKGROUND = "#16181d"
DARK_COLORS = {
    BLUE: "#6db3e3",
    RED: "#f07f8d",
    GREEN: "#5cc98a",
    AMBER: "#e0a048",
    PURPLE: "#b791dd",
    BLACK: "#e6e6e6",
    DARK_GRAY: "#b4b4b4",
    GRAY: "#999999",
    PALE_BLUE: "#3d5c73",
    "#e2e2e2": "#363a42",  # grid
    "#cccccc": "#565b66",  # frames of legends
    "#000000": "#e6e6e6",
    "#ffffff": DARK_BACKGROUND,
}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PLOT_SIZE = (10.0, 5.625)  # inches; 16:9, as slides are
DOTS_PER_INCH = 160
PLOT_MARGIN = 0.1  # inches
PLOT_STYLE: dict[Any, Any] = {  # matplotlib's rc parameters
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e2e2",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "text.parse_math": False,  # "$" in a label is a dollar sign
    "svg.fonttype": "path",  # the file looks the same where the font is missing
    "svg.hashsalt": "unroll",  # the same plot gives the same bytes
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot: as PNG, as SVG, and as SVG with the colors of a dark page."""

    png: bytes
    svg: bytes
    dark_svg: bytes


def require_matplotlib(optional: str | None = None) -> None:
    """Checks that plots can be drawn, before any work is done.

    Args:
        optional: the option that requests plots, if the command works without them.

    Raises:
        OutputError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        option, alternative = (
            (f"{optional}: ", f", or leave {optional} out") if optional else ("", "")
        )
        raise OutputError(
            f"{option}plots need the optional package matplotlib; install it with "
            f"`pip install matplotlib`{alternative}"
        )


def draw_plot(
    title: str,
    paint: Callable[[Figure], None],
    *,
    size: tuple[float, float] = PLOT_SIZE,
    dark: bool = True,
) -> Plot:
    """Draws a plot.

    Args:
        title: above the plot.
        paint: adds the content to an empty figure in the shared style.
        size: width and height in inches.
        dark: whether the plot has a dark variant. Plots with shaded cells keep their white ground.
    """
    from matplotlib import rc_context  # noqa: PLC0415 - only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    png, svg = io.BytesIO(), io.BytesIO()
    with rc_context(PLOT_STYLE), warnings.catch_warnings():
        # Labels are words of any language; a letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        layout = ConstrainedLayoutEngine(w_pad=PLOT_MARGIN, h_pad=PLOT_MARGIN)
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout=layout)
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=16)
        paint(figure)
        figure.savefig(png, format="png")
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    drawing = svg.getvalue()
    return Plot(png.getvalue(), drawing, on_dark_ground(drawing) if dark else drawing)


def on_dark_ground(svg: bytes) -> bytes:
    """The SVG with each color of the light style replaced by that of the dark one."""

    def dark_color(match: re.Match[bytes]) -> bytes:
        color = match.group().decode().lower()
        return DARK_COLORS.get(color, color).encode()

    # Text without a color is black by default.
    svg = svg.replace(b"<svg ", b'<svg fill="#000000" ', 1)
    return re.sub(rb"#[0-9a-fA-F]{6}\b", dark_color, svg)


def grid_along(axes: Axes, direction: str) -> None:
    """Keeps one set of grid lines: at the ticks of "x" for horizontal bars, of "y" for others."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x" if direction == "x" else "y")


def power_of_ten(value: float) -> str:
    """A number with a Unicode exponent where it is very small or large.

    >>> power_of_ten(0.03), power_of_ten(1e-5), power_of_ten(3e-5)
    ('0.03', '10⁻⁵', '3·10⁻⁵')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:g}"
    digits, exponent = f"{value:.1e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if digits == "1.0" else f"{digits.removesuffix('.0')}·{power}"


def format_powers(axis: Axis) -> None:
    """Writes the ticks of a logarithmic axis as powers of ten, and no minor ones."""
    from matplotlib.ticker import NullFormatter  # noqa: PLC0415 - only plots need it

    axis.set_major_formatter(lambda value, _: power_of_ten(value))
    axis.set_minor_formatter(NullFormatter())


def format_integers(axis: Axis) -> None:
    """Puts ticks at integers alone and writes them with commas."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only plots need it

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
