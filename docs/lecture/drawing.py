"""One SVG for light and dark pages, small enough for the repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from training.reports.plotting import BLACK, DARK_COLORS, Plot, draw_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (8.0, 4.5)  # inches; 12 points of text are 1/27 of the height of a slide
NUMBER = re.compile(rb"-?\d+\.\d{2,}")
FORMATTING = re.compile(rb"<!--.*?-->|(?<=\n) +|<metadata>.*?</metadata>", re.DOTALL)


def drawn(
    title: str, paint: Callable[[Figure, dict[str, Any]], None], numbers: dict[str, Any]
) -> Plot:
    """The plot of a measurement."""
    return draw_plot(title, lambda figure: paint(figure, numbers), size=SIZE)


def adaptive_svg(plot: Plot) -> bytes:
    """The light drawing, with the colors of the dark one where the page around it is dark.

    A browser applies the color scheme of the page to an image in it. Programs that do not know
    the rule show the light drawing.
    """
    svg = NUMBER.sub(_shortened, FORMATTING.sub(b"", plot.svg))
    rules = []
    for light, dark in DARK_COLORS.items():
        rules += [
            f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
            for kind in ("fill", "stroke")
            if f"{kind}: {light}".encode() in svg
        ]
    dark_rules = f"svg{{fill:{DARK_COLORS[BLACK]}}}{''.join(rules)}"
    style = f"<style>@media (prefers-color-scheme:dark){{{dark_rules}}}</style>"
    end = svg.index(b">", svg.index(b"<svg ")) + 1
    return svg[:end] + style.encode() + svg[end:]


def _shortened(match: re.Match[bytes]) -> bytes:
    """A coordinate with a hundredth of a point; a factor, which is below 1, with four digits."""
    value = float(match[0])
    return (
        f"{value:.4g}".encode()
        if abs(value) < 1
        else f"{value:.2f}".rstrip("0").rstrip(".").encode()
    )
