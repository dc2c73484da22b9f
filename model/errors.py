"""Errors about files that cannot be used, and how a stranger's text is put into a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_REASON = 500  # characters; a reason may quote what stands in the file
# What ends a line, moves a terminal's cursor, reverses text or is no character at all.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ArtifactError(Exception):
    """A file of an artifact that is missing, damaged or of another format.

    ``path`` names the file, ``reason`` says what is wrong with it, on one line.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = one_line(reason, LONGEST_REASON)
        super().__init__(f"{one_line(str(path))}: {self.reason}")


class LibraryPanicError(RuntimeError):
    """A library written in Rust gave up in the middle of a call."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raises LibraryPanicError for a Rust panic, which `except Exception` does not catch.

    pyo3 derives its PanicException from BaseException and exports no name for it.
    """
    try:
        yield
    except BaseException as error:
        if is_panic(error):
            raise LibraryPanicError(one_line(str(error), LONGEST_REASON)) from error
        raise


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust panicked."""
    return type(error).__module__ == "pyo3_runtime"


def one_line(text: str, longest: int | None = None) -> str:
    """The text with control characters escaped, cut after ``longest`` characters."""
    if longest is not None and len(text) > longest:
        text = text[:longest] + "..."
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
