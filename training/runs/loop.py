"""The training loop: step, evaluate, save, until the budget is used up.

It asks the run how far it is and what is due. Knows no networks and no files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Evaluation = TypeVar("Evaluation")
Evaluation_co = TypeVar("Evaluation_co", covariant=True)


class TrainingRun(Protocol[Evaluation_co]):
    """A run that is under way. ``progress`` is the share of the budget that is used up."""

    def progress(self) -> float:
        """As of now."""

    def finished(self, progress: float) -> bool:
        """Whether nothing more is to be trained."""

    def step(self, progress: float) -> object:
        """Moves the weights once."""

    def evaluation_due(self, progress: float) -> bool:
        """Whether the next of the regular evaluations is reached."""

    def evaluation_missing(self, progress: float) -> bool:
        """Whether a run that ends here has weights that should still be measured."""

    def evaluate(self, progress: float) -> Evaluation_co:
        """Measures the weights."""


def train(
    run: TrainingRun[Evaluation],
    *,
    on_evaluation: Callable[[Evaluation, float], None],
    on_step: Callable[[float], bool],
) -> bool:
    """Trains until the run is finished.

    Args:
        run: changed in place.
        on_evaluation: told what was found, and the progress.
        on_step: told the progress before each step; True breaks off.

    Returns:
        Whether the run finished; False if it was broken off.
    """
    moved = True  # an evaluation may take so long that the next is due before a step was made
    while not run.finished(progress := run.progress()):
        if moved and run.evaluation_due(progress):
            on_evaluation(run.evaluate(progress), progress)
            moved = False
            continue
        if on_step(progress):
            return False
        run.step(progress)
        moved = True
    if moved and run.evaluation_missing(progress):
        on_evaluation(run.evaluate(1.0), 1.0)
    return True
