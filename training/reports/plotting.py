"""How plots look and become PNG files: what the plots of all commands share.

Needs matplotlib, an optional extra, which is loaded when the first plot is drawn. It draws in
memory (Agg), so no screen is asked for. Knows nothing of what is plotted.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from training.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, RED, GREEN, AMBER, GRAY = "#1d6fa5", "#d1495b", "#2a9d5c", "#e08e0b", "#8a8a8a"
PALE = "#a9c6da"  # dark lines can be seen on it
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SIZE = (10.0, 5.6)  # inches
DOTS = 125  # per inch
MARGIN = 0.1  # inches around all that is drawn
STYLE: dict[Any, Any] = {  # matplotlib's own settings
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e2e2",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "text.parse_math": False,  # a "$" in a label is a dollar
}


def require_matplotlib(option: str) -> None:
    """So that nobody waits for plots that cannot be drawn; ``option`` is what asks for them.

    Raises:
        OutputError: it is not installed.
    """
    if find_spec("matplotlib") is None:
        raise OutputError(
            f"{option}: plots need the optional package matplotlib; install it with "
            f"`pip install matplotlib`, or leave {option} out"
        )


def draw(title: str, paint: Callable[[Figure], None], *, size: tuple[float, float] = SIZE) -> bytes:
    """A PNG file: ``paint`` is handed an empty figure in the shared style."""
    from matplotlib import rc_context  # noqa: PLC0415 - only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    content = io.BytesIO()
    with rc_context(STYLE), warnings.catch_warnings():
        # Labels are words of any language; what the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure = Figure(figsize=size, dpi=DOTS, layout=roomy_layout())
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=16)
        paint(figure)
        figure.savefig(content, format="png")
    return content.getvalue()


def roomy_layout() -> ConstrainedLayoutEngine:
    """Nothing overlaps, and around all of it there is a margin."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    return ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN)


def lay_grid(axes: Axes, along: str) -> None:
    """Grid lines across one direction alone: "x" for lying bars, "y" for standing ones."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x" if along == "x" else "y")


def power_of_ten(value: float) -> str:
    """As people write it: 0.03, 10⁻⁵, 3·10⁻⁵."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:g}"
    digits, exponent = f"{value:.1e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if digits == "1.0" else f"{digits.removesuffix('.0')}·{power}"


def thousands(axis: Axis) -> None:
    """Whole numbers along an axis, with commas."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only plots need it

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
