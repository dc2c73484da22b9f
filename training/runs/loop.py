"""The training loop: steps and evaluations until the budget is used up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class TrainingRun(Protocol[Result_co]):
    """A run that the loop trains. ``progress`` is the used-up share of the budget, from 0 to 1."""

    def progress(self) -> float:
        """The progress of the run now."""

    def is_finished(self, progress: float) -> bool:
        """Whether no step is left."""

    def step(self, progress: float) -> object:
        """Moves the weights once."""

    def is_evaluated(self) -> bool:
        """Whether the present weights have been evaluated."""

    def evaluation_due(self, progress: float) -> bool:
        """Whether the present weights are to be evaluated before the next step."""

    def evaluate(self, progress: float) -> Result_co:
        """Evaluates the weights."""


def training_loop(
    run: TrainingRun[Result],
    *,
    on_evaluation: Callable[[Result, float], None],
    before_step: Callable[[float], bool],
) -> bool:
    """Trains until the run is finished; the last weights are evaluated.

    Args:
        run: is trained in place.
        on_evaluation: receives the result of each evaluation and the progress.
        before_step: receives the progress; returns False to stop the run.

    Returns:
        Whether the run finished.
    """
    while not run.is_finished(progress := run.progress()):
        if run.evaluation_due(progress):
            on_evaluation(run.evaluate(progress), progress)
        elif before_step(progress):
            run.step(progress)
        else:
            return False
    if not run.is_evaluated():
        on_evaluation(run.evaluate(1.0), 1.0)
    return True
