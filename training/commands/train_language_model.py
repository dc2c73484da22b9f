"""``python -m training lm``: trains a language model on files of text."""

from __future__ import annotations

from training.runs.directory import Invocation
from training.trainers.language_model import LanguageModelTask
from training.trainers.run import run_training


def run(invocation: Invocation) -> int:
    """Trains a language model; the exit status. See :func:`training.trainers.run.run_training`."""
    return run_training(LanguageModelTask, invocation)
