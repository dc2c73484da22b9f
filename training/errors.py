"""The errors of training, with the exit status of the command line for each kind.

    TrainingError
    ├── InputError             exit status 2: fix the command, its recipe or its files
    │   ├── RecipeError        options that cannot be used
    │   ├── DataError          files of text, tables, vectors or pairs that cannot be used
    │   ├── CheckpointError    a checkpoint that cannot be written, read or resumed
    │   └── OutputError        an output directory that cannot be used
    └── RunError               exit status 1: the run failed
        ├── DivergedError      the loss or a weight is no longer usable
        └── LostProcessError   another process of a distributed run has ended

Every message names the fault, its place and the remedy. `format_list` and `suggest` word the parts
of messages that list names or suggest one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

MAX_LISTED_NAMES = 10  # names in a message


class TrainingError(Exception):
    """Base class of the errors that the command line reports."""


class InputError(TrainingError):
    """An argument, recipe or file that the command cannot use."""


class RecipeError(InputError, ValueError):
    """Options that cannot be used. The message names the option and what is expected."""


class DataError(InputError, ValueError):
    """Data that cannot be used. The message names the file, and the line where there is one."""


class CheckpointError(InputError):
    """A checkpoint that cannot be written or read. The message names the file and the reason."""


class OutputError(InputError):
    """An output directory that cannot be used. The message names it."""


class RunError(TrainingError):
    """A run that began and failed."""


class DivergedError(RunError):
    """The loss or a weight is no longer usable. The message names the step."""


class LostProcessError(RunError):
    """Another process of the distributed run has ended."""


def format_list(names: Sequence[str], limit: int = MAX_LISTED_NAMES) -> str:
    """The first ``limit`` names with commas between them, then the number of the others.

    Example:
        >>> format_list(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit:,} more"


def suggest(name: str, known: Sequence[str]) -> str:
    """A question for the known name that is spelled most like ``name``; empty if none is close.

    Upper and lower case do not count.

    Example:
        >>> suggest("epoch", ["epochs", "steps"])
        " (did you mean 'epochs'?)"
    """
    folded = {other.casefold(): other for other in reversed(known)}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {folded[matches[0]]!r}?)" if matches else ""
