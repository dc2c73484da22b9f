"""Where a command that measures writes its report: checked and locked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from training.errors import OutputError
from training.files import write_atomically
from training.reports.html import check_folder, json_file
from training.runs.directory import writing
from training.runs.lock import only_user


@contextmanager
def reserved(out: Path | None, json: Path | None) -> Iterator[None]:
    """A block in which this process alone writes into ``--out`` and ``--json``.

    Raises:
        OutputError: something else is there, nothing can be written, or another process writes.
    """
    with ExitStack() as held:
        if json is not None and not _is_device(json):
            if json.is_dir():
                raise OutputError(f"{json}: is a directory; --json names a file")
            held.enter_context(only_user(json, option="--json"))
        if out is not None:
            held.enter_context(reserved_folder(out))
        yield


@contextmanager
def reserved_folder(out: Path) -> Iterator[None]:
    """The same for the folder of a page."""
    check_folder(out)
    require_writable(out)
    with only_user(out):
        yield


def require_writable(out: Path) -> None:
    """Refuses a directory that is there and cannot be written.

    Raises:
        OutputError: the message names it.
    """
    if out.exists() and not os.access(out, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be written; choose another --out")


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Writes the figures, into a device as into a file.

    Raises:
        OutputError: the system does not take them.
    """
    with writing(path, "free space or choose another --json, then start the command again"):
        if _is_device(path):
            path.write_bytes(json_file(figures))
        else:
            write_atomically(path, json_file(figures))


def _is_device(path: Path) -> bool:
    """Such as /dev/stdout, which is written and not replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
