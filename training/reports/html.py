"""Report pages: sections with a text, a plot and a table, rendered from ``templates/page.html``.

A page contains its images and styles; it has no script and loads no other file. All text is
escaped, because reports show documents and labels of users.

    section = Section(name="loss", title="Loss", text="...", plot=draw_plot("Loss", paint))
    html = render_page("Report", "Measured on data.txt.", [section])
"""

from __future__ import annotations

import base64
import functools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.reports.plotting import DOTS_PER_INCH, Plot

# A number, perhaps with a footnote mark, or a dash for a missing one.
NUMBER = re.compile(r"[-+−]?[\d.,:]+(?:e[-+]\d+)?(?: ?%)?\*?|–")
CSS_PIXELS_PER_INCH = 96


@dataclass(frozen=True, slots=True)
class Column:
    """The heading of a table's column; numbers are aligned on the right."""

    name: str
    numeric: bool


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of text cells; every row has as many cells as the header.

    ``prose``: the first column holds running text. On a narrow screen the other cells are shown
    below it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    prose: bool = False

    @property
    def columns(self) -> list[Column]:
        """The headings; a column is numeric if all its cells are numbers or empty."""
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.header)
        return [
            Column(name, all(NUMBER.fullmatch(cell) or not cell for cell in column))
            for name, column in zip(self.header, cells, strict=True)
        ]

    def lines(self) -> list[str]:
        """The table for a terminal: numbers are aligned on the right, the first column on the left.

        >>> ReportTable(("name", "n"), [("a", "1"), ("bc", "10")]).lines()
        ['  name   n', '  a      1', '  bc    10']
        """
        rows = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        marks = ["<", *(">" if column.numeric else "<" for column in self.columns[1:])]
        layout = list(zip(marks, widths, strict=True))
        return [
            "  "
            + "  ".join(
                f"{cell:{mark}{width}}" for cell, (mark, width) in zip(row, layout, strict=True)
            ).rstrip()
            for row in rows
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a page; ``name`` is its anchor and the name of the plot's files."""

    name: str
    title: str
    text: str = ""
    plot: Plot | None = None
    table: ReportTable | None = None

    @property
    def plot_urls(self) -> tuple[str, str]:
        """The plot as data URIs, for light and for dark pages."""
        assert self.plot is not None
        return _svg_url(self.plot.svg), _svg_url(self.plot.dark_svg)

    @property
    def plot_size(self) -> tuple[int, int]:
        """Width and height in CSS pixels, so that all plots of a page have the same scale."""
        assert self.plot is not None
        width, height = struct.unpack(">II", self.plot.png[16:24])  # of the PNG header
        scale = CSS_PIXELS_PER_INCH / DOTS_PER_INCH
        return round(width * scale), round(height * scale)


def _svg_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def render_page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The page as HTML; ``title``, ``introduction`` and the sections are plain text."""
    template = _environment().get_template("page.html")
    return template.render(title=title, introduction=introduction, sections=sections)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("training.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
