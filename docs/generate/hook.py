"""Hook of MkDocs: adds the generated pages, fills in the table of metrics, draws formulas.

MkDocs loads this file by its path, so the repository is put on the import path first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mkdocs.structure.files import File  # type: ignore[import-not-found,unused-ignore]

from docs.generate.formulas import with_formulas
from docs.generate.metrics_table import metrics_table
from docs.generate.pages import COPIED, GENERATED, copied_text

METRICS = "<!-- generated: metrics -->"


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not files in docs/."""
    for path, page in GENERATED.items():
        files.append(File.generated(config, path, content=page()))
    for path, source in COPIED.items():
        files.append(File.generated(config, path, content=copied_text(source)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the table of metrics in place of its marker, and drawings in place of formulas."""
    if METRICS in markdown:
        markdown = markdown.replace(METRICS, metrics_table())
    return with_formulas(markdown)
