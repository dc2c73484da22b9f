"""Output of the measuring commands: a report directory (``--out``) and a JSON file (``--json``).

Both are checked and locked before the work begins. A report directory holds the page, the results
as JSON and the plots as PNG and SVG files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from model.manifest import MANIFEST_FILE
from training.errors import OutputError
from training.files import write_atomically
from training.reports.html import Section, render_page
from training.runs.directory import RESTART_ADVICE, reporting_write_errors
from training.runs.lock import exclusive_lock

RESULTS_FILE = "figures.json"
PAGE_FILE = "index.html"


@contextmanager
def reserved_output(out: Path | None, json_file: Path | None) -> Iterator[None]:
    """A block in which no other process writes ``--out`` or ``--json``.

    Raises:
        OutputError: a path holds something else, cannot be written, or is in use by another
            process.
    """
    with ExitStack() as locks:
        if json_file is not None and not _is_device(json_file):
            if json_file.is_dir():
                raise OutputError(f"{json_file}: is a directory; --json names a file")
            locks.enter_context(exclusive_lock(json_file, option="--json"))
        if out is not None:
            check_directory(out)
            require_writable(out)
            locks.enter_context(exclusive_lock(out))
        yield


def check_directory(out: Path) -> None:
    """Accepts a missing or empty directory, or one with an earlier report, which is replaced.

    Raises:
        OutputError: the path is a file, or the directory holds an artifact or other files.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; --out names a directory for page and plots")
    if (out / MANIFEST_FILE).exists():
        raise OutputError(f"{out}: holds an artifact; --out names a directory of its own")
    if any(out.iterdir()) and not (out / RESULTS_FILE).exists():
        raise OutputError(
            f"{out}: holds files but no earlier page; choose an empty or new directory for --out"
        )


def require_writable(out: Path) -> None:
    """Refuses an existing directory without write permission.

    Raises:
        OutputError: the message names the directory.
    """
    if out.exists() and not os.access(out, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be written; choose another --out")


def write_report(
    out: Path,
    *,
    title: str,
    introduction: str,
    sections: Sequence[Section],
    files: Mapping[str, bytes],
) -> None:
    """Writes a page, its plots and further files.

    Args:
        out: the directory; it is created if needed. Plots of an earlier report are removed.
        title: of the page.
        introduction: the first paragraph of the page.
        sections: of the page; plots are also written as ``NAME.png`` and
            ``NAME.svg``.
        files: content by name, such as the results as JSON. They are written first: by them the
            directory is recognized as a report, so an interrupted command can be repeated.

    Raises:
        OutputError: the system cannot write a file.
    """
    page = render_page(title, introduction, sections).encode()
    with reporting_write_errors(out, RESTART_ADVICE):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in {**files, PAGE_FILE: page}.items():
            write_atomically(out / name, content)
        for earlier_plot in (*out.glob("*.png"), *out.glob("*.svg")):
            earlier_plot.unlink()
        for section in sections:
            if section.plot is not None:
                write_atomically(out / f"{section.name}.png", section.plot.png)
                write_atomically(out / f"{section.name}.svg", section.plot.svg)


def write_json(path: Path, results: Mapping[str, Any]) -> None:
    """Writes results to a file, or to a device such as ``/dev/stdout``.

    Raises:
        OutputError: the system cannot write the file.
    """
    with reporting_write_errors(
        path, "free space or choose another --json, then start the command again"
    ):
        if _is_device(path):
            path.write_bytes(to_json(results))
        else:
            write_atomically(path, to_json(results))


def to_json(results: Mapping[str, Any]) -> bytes:
    """The results as indented JSON in UTF-8."""
    return (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode()


def _is_device(path: Path) -> bool:
    """Whether the path is written in place and cannot be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
