"""The errors whose message is meant for the person at the command line, and how it is worded."""

from __future__ import annotations

from model.errors import ModelError
from training.errors import InputError, RunError

BAD_INPUT_ERRORS = (InputError, ModelError, OSError)
FAILURES = (RunError,)

NO_MEMORY = (
    "the memory is not enough for what was asked; give smaller sizes (--hidden, --batch, "
    "--vocabulary, --linear-buckets, ...)"
)


def is_lack_of_memory(error: Exception) -> bool:
    """Torch raises a plain RuntimeError for it."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def describe(error: Exception) -> str:
    """One line: what is wrong and where."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return " ".join(str(error).split())
