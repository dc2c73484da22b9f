"""Reports of measurements: Markdown tables, the results as JSON, and a figure."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JOINED_REPORT = "report.md"


@dataclass(frozen=True)
class ResultTable:
    """A table; the first ``text_columns`` are aligned to the left, the others to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@dataclass(frozen=True)
class Report:
    """The report of one command.

    Args:
        name: of its files.
        title: heading of the report and caption of the figure.
        tables: of the report.
        notes: paragraphs below the tables.
        results: content of the JSON file.
        figure: of matplotlib.
    """

    name: str
    title: str
    tables: Sequence[ResultTable]
    notes: Sequence[str]
    results: dict[str, Any]
    figure: Figure | None = None

    def markdown(self) -> str:
        """The report as Markdown."""
        parts = [f"## {self.title}"]
        for table in self.tables:
            parts += [f"### {table.title}", markdown_table(table)]
        parts += [*self.notes, environment.machine_sentence()]
        if self.figure is not None:
            parts.append(f"![{self.title}]({self.name}.png)")
        return "\n\n".join(parts) + "\n"


def markdown_table(table: ResultTable) -> str:
    """The table as Markdown, without its title."""
    numbers = len(table.columns) - table.text_columns
    rule = (*["---"] * table.text_columns, *["---:"] * numbers)
    return "\n".join(
        "| " + " | ".join(cells) + " |" for cells in (table.columns, rule, *table.rows)
    )


def write_report(directory: Path, report: Report) -> str:
    """Writes NAME.md, NAME.json and NAME.png into the directory; returns the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    text = report.markdown()
    content = {
        "title": report.title,
        "date": time.strftime("%Y-%m-%d"),
        "machine": environment.describe_machine(),
        "tables": [asdict(table) for table in report.tables],
        "notes": report.notes,
        **report.results,
    }
    serialized = json.dumps(nan_to_none(content), indent=1, allow_nan=False)
    (directory / f"{report.name}.md").write_text(text, encoding="utf-8")
    (directory / f"{report.name}.json").write_text(serialized, encoding="utf-8")
    if report.figure is not None:
        report.figure.savefig(directory / f"{report.name}.png", dpi=120)
    return text


def nan_to_none(value: Any) -> Any:
    """The value with None in place of nan and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def join_reports(directory: Path, names: Sequence[str]) -> Path:
    """Joins the existing reports of these names into one file, in this order."""
    files = [directory / f"{name}.md" for name in names]
    texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    joined = directory / JOINED_REPORT
    joined.write_text("# Benchmark results\n\n" + "\n".join(texts), encoding="utf-8")
    return joined
