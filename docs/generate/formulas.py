"""Formulas of a page as drawings inside the page: ``$$...$$`` on a line of its own.

matplotlib typesets them, since the documentation needs it anyway, and since a page with drawings
needs no script. They have the color of the text around them.
"""

from __future__ import annotations

import functools
import html
import io
import re
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

FORMULA = re.compile(r"^\$\$(.+)\$\$$", re.MULTILINE)
POINTS = 16
MARGIN = 2  # points; strokes reach beyond the box of the text
STYLE: dict[Any, Any] = {  # matplotlib's rc parameters
    "svg.fonttype": "path",
    "svg.hashsalt": "unroll",
    "mathtext.fontset": "cm",
}


def with_formulas(markdown: str) -> str:
    """The page with each formula as a paragraph of HTML."""
    return FORMULA.sub(lambda match: formula(match[1].strip()), markdown)


@functools.cache
def formula(tex: str) -> str:
    """One formula as HTML on one line; its source is the text that a screen reader reads.

    Raises:
        ValueError: matplotlib does not know a command.
    """
    with rc_context(STYLE):
        parsed = MathTextParser("path").parse(f"${tex}$", dpi=72)
        scale = POINTS / 10  # the parser's default size is 10 points, or that of the style
        figure = Figure()
        FigureCanvasSVG(figure)
        width, height, depth = (value * scale for value in parsed[:3])
        size = width * 1.05 + 2 * MARGIN, height + depth + 2 * MARGIN
        figure.set_size_inches(size[0] / 72, size[1] / 72)
        figure.text(
            MARGIN / size[0], (depth + MARGIN) / size[1], f"${tex}$", fontsize=POINTS, va="baseline"
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue().decode()
    drawing = drawing[drawing.index("<svg ") :]
    drawing = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    label = html.escape(tex, quote=True)
    drawing = drawing.replace(
        "<svg ", f'<svg role="img" aria-label="{label}" fill="currentColor" ', 1
    )
    return f'<div class="formula">{" ".join(drawing.split())}</div>'
