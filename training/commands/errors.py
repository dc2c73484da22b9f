"""The errors that the command line reports in one line, and their wording."""

from __future__ import annotations

from model.errors import ModelError
from training.errors import InputError, RunError

INVALID_INPUT_ERRORS = (InputError, ModelError, OSError)
FAILURES = (RunError,)

OUT_OF_MEMORY = (
    "out of memory; give smaller sizes (--hidden, --batch, --vocabulary, --linear-buckets, ...)"
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error is for lack of memory, for which torch raises a plain RuntimeError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def describe_error(error: Exception) -> str:
    """The message of an error in one line, with the name of the file."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return " ".join(str(error).split())
