"""One HTML page of sections, each with a sentence, a plot and a table; and the folder it stands in.

The page holds its images and needs nothing else: no script, no other file. Beside it stand the
plots as PNG files and the figures as JSON. Knows nothing of what is shown.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import OutputError
from training.files import write_atomically
from training.runs.directory import MANIFEST, NOTHING_BEGUN, writing

FIGURES = "figures.json"
PAGE = "index.html"
NUMBER = re.compile(r"[-+−]?[\d.,:]+(?:e[-+]\d+)?(?: ?%)?|–")  # the dash: there is none

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
section {{ margin: 2.5rem 0; }}
h2 {{ margin-bottom: 0.25rem; }}
img {{ max-width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.25rem 0.9rem 0.25rem 0;
  border-bottom: 1px solid #ddd; overflow-wrap: break-word; }}
th {{ white-space: nowrap; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
@media (max-width: 40rem) {{
  body {{ margin: 1rem auto; }}
  h1 {{ font-size: 1.5rem; line-height: 1.25; }}
  h2 {{ font-size: 1.25rem; line-height: 1.3; }}
  table {{ font-size: 0.8rem; }}
  th, td {{ padding-right: 0.4rem; }}
  th, th.number {{ white-space: normal; }}
  td:not(.number) {{ min-width: 5rem; }}
  .prose, .prose tbody {{ display: block; }}
  .prose tr {{ display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0.5rem 0;
    border-bottom: 1px solid #ddd; }}
  .prose tr:first-child {{ display: none; }}
  .prose td {{ border: 0; min-width: 0; padding: 0; }}
  .prose td:first-child {{ flex-basis: 100%; font-size: 0.9rem; }}
  .prose td:not(:first-child)::before {{ content: attr(data-column) ": "; color: #666; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{introduction}</p>
{sections}
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Names of columns, and rows of as many cells.

    ``prose``: the first column is running text; on a narrow screen the others stand below it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page. ``name`` is the plot's file without its ending."""

    name: str
    title: str
    text: str = ""
    plot: bytes | None = None
    table: Table | None = None


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The page as HTML; every text is shown as it is, whatever marks are in it."""
    return TEMPLATE.format(
        title=html.escape(title),
        introduction=html.escape(introduction),
        sections="\n".join(map(_section, sections)),
    )


def check_folder(out: Path, *, option: str = "--out") -> None:
    """Makes sure that a page may be written there; an earlier page and its plots are replaced.

    Raises:
        OutputError: something else is there.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; {option} names a directory for page and plots")
    if (out / MANIFEST).exists():
        raise OutputError(f"{out}: holds an artifact; {option} names a directory of its own")
    if any(out.iterdir()) and not (out / FIGURES).exists():
        raise OutputError(
            f"{out}: holds files but no earlier page; choose an empty or new directory for {option}"
        )


def write_folder(
    out: Path,
    *,
    title: str,
    introduction: str,
    sections: Sequence[Section],
    figures: Mapping[str, Any],
) -> None:
    """Writes the page, the plots and the figures.

    Raises:
        OutputError: the disk does not take them.
    """
    plots = {section.name: section.plot for section in sections if section.plot is not None}
    files = {
        FIGURES: json_file(figures),
        PAGE: page(title, introduction, sections).encode(),
    }
    write_files(out, files, plots)


def write_files(out: Path, files: Mapping[str, bytes], plots: Mapping[str, bytes]) -> None:
    """Writes files by name and plots by name without ``.png``; earlier plots are removed.

    The files, by which the folder is known to be replaceable, come first.

    Raises:
        OutputError: the disk does not take them.
    """
    with writing(out, NOTHING_BEGUN):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(out / name, content)
        for earlier in out.glob("*.png"):
            earlier.unlink()
        for name, plot in plots.items():
            write_atomically(out / f"{name}.png", plot)


def json_file(figures: Mapping[str, Any]) -> bytes:
    """The figures as JSON, one to a line."""
    return (json.dumps(figures, indent=2, ensure_ascii=False) + "\n").encode()


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.plot is not None:
        image = base64.b64encode(section.plot).decode()
        alternative = html.escape(section.title)
        parts.append(f'<img src="data:image/png;base64,{image}" alt="{alternative}">')
    if section.table is not None:
        parts.append(_table(section.table))
    return f'<section id="{html.escape(section.name)}">\n' + "\n".join(parts) + "\n</section>"


def _table(table: Table) -> str:
    """Columns that hold numbers alone are set flush right."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.header)
    numeric = [all(NUMBER.fullmatch(cell) or not cell for cell in column) for column in columns]
    kinds = [' class="number"' if flush else "" for flush in numeric]
    lines = [_row("th", table.header, kinds)]
    if table.prose:
        kinds = [
            f'{kind} data-column="{html.escape(name)}"'
            for kind, name in zip(kinds, table.header, strict=True)
        ]
    lines += [_row("td", row, kinds) for row in table.rows]
    kind = ' class="prose"' if table.prose else ""
    return f'<div class="scroll"><table{kind}>\n' + "\n".join(lines) + "\n</table></div>"


def _row(tag: str, cells: Sequence[str], attributes: Sequence[str]) -> str:
    told = (
        f"<{tag}{more}>{html.escape(cell).replace('_', '_<wbr>')}</{tag}>"  # names_may_be_long
        for cell, more in zip(cells, attributes, strict=True)
    )
    return f"<tr>{''.join(told)}</tr>"
