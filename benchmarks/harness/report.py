"""Writes what was measured: tables that people read, a file that programs read, a figure.

Knows tables and files, and nothing of what the numbers mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = "report.md"


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first ``texts`` columns are words, the others numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


@dataclass(frozen=True)
class Report:
    """One part of a run. ``name`` is that of its files; ``found`` is what programs read."""

    name: str
    title: str
    tables: Sequence[Table]
    notes: Sequence[str]
    found: dict[str, Any]
    figure: Figure | None = None

    def markdown(self) -> str:
        """The part as it is read."""
        parts = [f"## {self.title}"]
        for table in self.tables:
            parts += [f"### {table.title}", markdown_table(table)]
        parts += [*self.notes, environment.sentence()]
        if self.figure is not None:
            parts.append(f"![{self.title}]({self.name}.png)")
        return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Its rows as markdown, numbers to the right."""
    numbers = len(table.headings) - table.texts
    rule = (*["---"] * table.texts, *["---:"] * numbers)
    return "\n".join(
        "| " + " | ".join(cells) + " |" for cells in (table.headings, rule, *table.rows)
    )


def write(directory: Path, report: Report) -> str:
    """Writes NAME.md, NAME.json and NAME.png into the directory; returns the text."""
    directory.mkdir(parents=True, exist_ok=True)
    text = report.markdown()
    content = {"title": report.title, "machine": environment.machine(), **report.found}
    numbers = json.dumps(without_nan(content), indent=1, allow_nan=False)
    (directory / f"{report.name}.md").write_text(text, encoding="utf-8")
    (directory / f"{report.name}.json").write_text(numbers, encoding="utf-8")
    if report.figure is not None:
        report.figure.savefig(directory / f"{report.name}.png", dpi=120)
    return text


def without_nan(value: Any) -> Any:
    """The same with null for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bind(directory: Path, names: Sequence[str]) -> Path:
    """Joins the parts that are there into one file, in this order."""
    files = [directory / f"{name}.md" for name in names]
    texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    whole = directory / WHOLE
    whole.write_text("# What was measured\n\n" + "\n".join(texts), encoding="utf-8")
    return whole
