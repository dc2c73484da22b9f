"""The errors of this package, and untrusted text put into a message.

ModelError
├── ArtifactError        a file of an artifact: missing, damaged or of another format
├── ArchitectureError    an architecture that cannot be built
├── ManifestError        a manifest with a field of another type or out of bounds
└── VocabularyError      a vocabulary that cannot be made from the data

LibraryPanicError        a library written in Rust panicked
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_REASON = 500  # characters; a reason may quote what stands in the file
# What ends a line, moves a terminal's cursor, reverses text or is no character at all.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ModelError(Exception):
    """Anything in an artifact or in the data of a tokenizer that cannot be used."""


class ArtifactError(ModelError):
    """A file of an artifact that is missing, damaged or of another format.

    ``path`` names the file, ``reason`` says what is wrong with it, on one line.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = one_line(reason, LONGEST_REASON)
        super().__init__(f"{one_line(str(path))}: {self.reason}")


class ArchitectureError(ModelError, ValueError):
    """An architecture that cannot be built; the message names the field and what was expected."""


class ManifestError(ModelError, ValueError):
    """A manifest that cannot be used; the message names the field and what was expected."""


class VocabularyError(ModelError, ValueError):
    """A vocabulary that cannot be made from the data; the message says what to do."""


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
