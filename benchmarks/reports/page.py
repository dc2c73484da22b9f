"""docs/performance.md: its tables are rendered from docs/performance.json.

The page has a block for each measurement, between the comments `<!-- begin NAME -->` and
`<!-- end NAME -->`. Everything outside of the blocks is written by hand.
"""

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.report import ResultTable, markdown_table

FIGURE = "images/performance-{name}.png"
_BLOCK = re.compile(r"<!-- begin ([\w-]+) -->\n.*?<!-- end \1 -->", re.DOTALL)


def render(page: str, results: Mapping[str, Any]) -> str:
    """The page with its blocks written again; ``results``: the content of each report, by name."""
    return _BLOCK.sub(lambda match: _block(match[1], results.get(match[1])), page)


def blocks_of(page: str) -> list[str]:
    """The names of the blocks of a page."""
    return _BLOCK.findall(page)


def content_of(result: Mapping[str, Any], *, has_figure: bool) -> dict[str, Any]:
    """What the page needs of the JSON file of a report."""
    names = ("title", "date", "machine", "tables", "notes")
    return {**{name: result[name] for name in names}, "figure": has_figure}


def _block(name: str, result: Mapping[str, Any] | None) -> str:
    return f"<!-- begin {name} -->\n{_body(name, result)}\n<!-- end {name} -->"


def _body(name: str, result: Mapping[str, Any] | None) -> str:
    if result is None:
        return f"Not measured yet: `python -m benchmarks {name}`."
    parts = []
    for table in result["tables"]:
        parts += [f"**{table['title']}**", markdown_table(ResultTable(**table))]
    parts += result["notes"]
    machine = result["machine"]
    parts.append(
        f"{result['date']}, {machine['processor']}, {machine['cores']} cores, load average "
        f"{machine['load']}. Repeat with `python -m benchmarks {name}`."
    )
    if result["figure"]:
        parts.append(f"![{result['title']}]({FIGURE.format(name=name)})")
    return "\n\n".join(parts)
