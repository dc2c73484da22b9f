"""The errors whose message is meant for the person at the command line, and how it is worded."""

from __future__ import annotations

from model.architecture import ArchitectureError
from model.errors import ArtifactError
from model.manifest import ManifestError
from model.tokenizer_training import VocabularyError
from training.checkpoint import CheckpointError
from training.clipping import DivergedError
from training.files import DataError
from training.recipe import RecipeError
from training.run_directory import OutputError
from training.team import LostProcessError

BAD_INPUT_ERRORS = (
    ArchitectureError,
    ArtifactError,
    CheckpointError,
    DataError,
    ManifestError,
    OSError,
    OutputError,
    RecipeError,
    VocabularyError,
)
FAILURES = (DivergedError, LostProcessError)


def describe(error: Exception) -> str:
    """One line: what is wrong and where."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return " ".join(str(error).split())
