"""Exceptions of this package, and the escaping of untrusted text in error messages.

ModelError
├── ArtifactError        a file of an artifact is missing, damaged or of another format
├── ArchitectureError    a field of an architecture is out of range
├── ManifestError        a field of a manifest has the wrong type or is out of range
├── UnknownWordError     a word is not a token of the model
└── VocabularyError      the data does not contain a vocabulary of the requested size

LibraryPanicError        a library written in Rust panicked
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_REASON_LENGTH = 500  # characters; a reason may quote the file
# Line breaks, control characters of terminals, bidirectional overrides and surrogates.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ModelError(Exception):
    """Base class: an artifact or the data of a tokenizer cannot be used."""


class ArtifactError(ModelError):
    """A file of an artifact is missing, damaged or of another format.

    Attributes:
        path: the file.
        reason: what is wrong with it, in one line of at most 500 characters.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = one_line(reason, MAX_REASON_LENGTH)
        super().__init__(f"{one_line(str(path))}: {self.reason}")


class ArchitectureError(ModelError, ValueError):
    """A field of an architecture is out of range. The message names the field and the range."""


class ManifestError(ModelError, ValueError):
    """A manifest cannot be used. The message names the field and the expected value."""


class VocabularyError(ModelError, ValueError):
    """The data does not contain the requested vocabulary. The message names the remedy."""


class UnknownWordError(ModelError):
    """A word is not a token of the model.

    Attributes:
        word: the word.
    """

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(f"{word!r} is not a token of the model")


class LibraryPanicError(RuntimeError):
    """A library written in Rust panicked."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raises LibraryPanicError for a Rust panic, which `except Exception` does not catch.

    pyo3 derives its PanicException from BaseException and exports no name for it.
    """
    try:
        yield
    except BaseException as error:
        if is_panic(error):
            raise LibraryPanicError(one_line(str(error), MAX_REASON_LENGTH)) from error
        raise


def is_panic(error: BaseException) -> bool:
    """Whether the exception is the panic of a library written in Rust."""
    return type(error).__module__ == "pyo3_runtime"


def one_line(text: str, max_length: int | None = None) -> str:
    """Escapes control characters and truncates the text after ``max_length`` characters."""
    if max_length is not None and len(text) > max_length:
        text = text[:max_length] + "..."
    return CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
