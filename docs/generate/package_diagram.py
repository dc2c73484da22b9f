"""The picture of the packages and the order of imports, as an SVG.

Made from the tables of tests/architecture/test_imports.py, which hold for every import statement.
Each package is a panel; a line of it imports only from the lines above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from docs.generate.openapi import ROOT
from tests.architecture.test_imports import GRANTED, ORDER

DIAGRAM = ROOT / "docs" / "images" / "packages.svg"

COLUMNS = 3  # panels side by side
HEADING = 46  # height of the heading and of the imports below it
LINE = 26  # from one line of boxes to the next
BOX = 20
WIDTH = 250
GAP = 26
MARGIN = 16
CHARACTER = 6.7  # width of a letter of 11 px in a box
STYLE = (
    "text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#1a1f36}"
    ".heading{font:bold 13px system-ui,sans-serif;fill:#3f51b5}"
    ".note{font:12px system-ui,sans-serif;fill:#5c6273}"
    ".panel{fill:#f6f7fb;stroke:#c9cede}.box{fill:#e3e7f7;stroke:#7986cb}"
    ".rule{stroke:#d9ddec}"
)
NOTE = "Within a package, a line imports only from the lines above it."


def diagram() -> str:
    """The picture as the text of an SVG file."""
    names = list(ORDER)
    rows = [names[start : start + COLUMNS] for start in range(0, len(names), COLUMNS)]
    heights = [max(_height(name) for name in row) for row in rows]
    width = MARGIN * 2 + WIDTH * COLUMNS + GAP * (COLUMNS - 1)
    height = MARGIN * 2 + sum(heights) + GAP * (len(rows) - 1) + 24
    shapes: list[str] = []
    top = MARGIN
    for row, tallest in zip(rows, heights, strict=True):
        for column, name in enumerate(row):
            shapes += _panel(name, MARGIN + column * (WIDTH + GAP), top, tallest)
        top += tallest + GAP
    title = "Packages of Unroll and the order of their imports"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{title}">\n<title>{title}</title>\n<style>{STYLE}</style>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n'
        + "\n".join(shapes)
        + f'\n<text class="note" x="{MARGIN}" y="{height - MARGIN}">{escape(NOTE)}</text>\n</svg>\n'
    )


def _height(name: str) -> int:
    return HEADING + LINE * sum(len(line) for line in map(_wrapped, ORDER[name])) + 8


def _wrapped(line: str) -> list[list[str]]:
    """The parts beside each other, wrapped to the width of a panel."""
    lines: list[list[str]] = [[]]
    used = 0.0
    for part in line.split():
        needed = _box_width(part) + 6
        if lines[-1] and used + needed > WIDTH - 16:
            lines.append([])
            used = 0.0
        lines[-1].append(part)
        used += needed
    return lines


def _box_width(part: str) -> float:
    return len(part) * CHARACTER + 12


def _panel(name: str, left: float, top: float, height: float) -> Iterator[str]:
    yield (
        f'<rect class="panel" x="{left}" y="{top}" width="{WIDTH}" height="{height}" rx="6"/>'
        f'<text class="heading" x="{left + 10}" y="{top + 20}">{escape(_heading(name))}</text>'
        f'<text class="note" x="{left + 10}" y="{top + 37}">{escape(_imports(name))}</text>'
    )
    y = top + HEADING
    for number, line in enumerate(ORDER[name]):
        if number:
            yield f'<path class="rule" d="M{left + 8} {y - 3}h{WIDTH - 16}"/>'
        for parts in _wrapped(line):
            x = left + 8.0
            for part in parts:
                width = _box_width(part)
                yield (
                    f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                    f'height="{BOX}" rx="3"/>'
                    f'<text x="{x + 6:.1f}" y="{y + 14:.1f}">{escape(part)}</text>'
                )
                x += width + 6
            y += LINE


def _imports(name: str) -> str:
    """The other packages that this one imports, in words."""
    granted = {
        other
        for package, others in GRANTED.items()
        if package == name or package.startswith(name + ".")
        for other in others
        if other.partition(".")[0] != name
    }
    tops = sorted({other if other in ORDER else other.partition(".")[0] for other in granted})
    return "imports " + (", ".join(map(_path, tops)) if tops else "no other package")


def _path(name: str) -> str:
    return name.replace(".", "/")


def _heading(name: str) -> str:
    return _path(name) + "/"
