"""The errors of training, with the exit status that the command line gives to each kind.

    TrainingError
    ├── InputError             exit status 2: fix the command, its recipe or its files
    │   ├── RecipeError        options that cannot be used
    │   ├── DataError          files of text, tables, vectors or pairs that cannot be used
    │   ├── CheckpointError    a checkpoint that cannot be written, read or resumed
    │   └── OutputError        an output directory that cannot be used
    └── RunError               exit status 1: the run failed
        ├── DivergedError      the loss or the weights are of no more use
        └── LostProcessError   another process of a distributed run has ended

Every message says what is wrong, where, and what to do.
"""

from __future__ import annotations


class TrainingError(Exception):
    """Anything that training reports to the person who started it."""


class InputError(TrainingError):
    """What the command was given cannot be used."""


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
    """The loss is of no more use. The message names the step."""


class LostProcessError(RunError):
    """Another process of the distributed run has ended."""
