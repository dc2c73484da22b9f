"""The training loop of a language model: step, evaluate, save, until the budget is used up.

In a team of processes the leader's loop decides, and the others follow. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable

from training.language_model_run import Evaluation, LanguageModelRun
from training.team import Order


def train(
    run: LanguageModelRun,
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
    while not run.finished(progress := run.progress()):
        if run.evaluation_due(progress):
            on_evaluation(run.evaluate(progress), progress)
            continue
        if on_step(progress):
            return False
        run.step(progress)
    if run.position.best_step != run.position.steps:
        on_evaluation(run.evaluate(1.0), 1.0)
    return True


def follow(run: LanguageModelRun) -> None:
    """Does what the leader of the team announces, until it ends."""
    while True:
        order, progress = run.team.await_order()
        if order is Order.END:
            return
        if order is Order.SAVE:
            run.share_state()
        else:
            run.step(progress)
