"""``python -m training classifier``: trains a classifier on labeled documents."""

from __future__ import annotations

from training.runs.directory import Invocation
from training.trainers.classifier import ClassifierTask
from training.trainers.run import run_training


def run(invocation: Invocation) -> int:
    """Trains a classifier; the exit status. See :func:`training.trainers.run.run_training`."""
    return run_training(ClassifierTask, invocation)
