"""The settings of a training run, which do not change, and its state, which does."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.classifier import ClassifierRecipe
from training.config.language_model import LanguageModelRecipe
from training.optimization.clipping import Clipping
from training.optimization.schedule import Budget, OneCycle


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The settings of a run of either task. The run ends with the first of its budgets.

    Args:
        budget: of steps or epochs.
        time_budget: of seconds, counted from the start of the command.
        reserve: seconds of the time budget that are kept for the work after the last step.
        recorded_pace: the pace of an earlier run, which is repeated without a clock.
        schedule: learning rate and momentum.
        clipping: of the gradients.
        guessing_loss: the validation loss of a guess by frequency, in nats.
        averaging: the last share of the run in which weights are averaged; 0 for none.
        patience: evaluations without a better one after which the run ends; 0 for no limit.
        evaluations: how many there are, evenly spread over the budget.
        average_every: steps between two means of the weights of all processes; 0 if they average
            the gradients of every step.
        outer_learning_rate: of the step from one mean to the next; 1 for the mean itself.
        outer_momentum: of these steps (Nesterov).
        seed: of the order of the data and of all random numbers.
    """

    budget: Budget | None
    time_budget: Budget | None
    reserve: float
    recorded_pace: tuple[int, ...] | None
    schedule: OneCycle
    clipping: Clipping
    guessing_loss: float
    averaging: float
    patience: int
    evaluations: int
    average_every: int
    outer_learning_rate: float
    outer_momentum: float
    seed: int


def training_settings(
    recipe: LanguageModelRecipe | ClassifierRecipe,
    schedule: OneCycle,
    *,
    guessing_loss: float,
    reserve: float,
) -> TrainingSettings:
    """The settings of a completed recipe."""
    steps = recipe.steps if isinstance(recipe, LanguageModelRecipe) else None
    averaging = recipe.averaging if isinstance(recipe, LanguageModelRecipe) else 0.0
    counted = steps is not None or recipe.epochs is not None
    return TrainingSettings(
        budget=Budget(steps=steps, epochs=recipe.epochs) if counted else None,
        time_budget=Budget(seconds=60.0 * recipe.minutes) if recipe.minutes else None,
        reserve=reserve,
        recorded_pace=recipe.pace,
        schedule=schedule,
        clipping=Clipping(by_value=recipe.clip_value, by_norm=recipe.clip_norm),
        guessing_loss=guessing_loss,
        averaging=averaging,
        patience=recipe.patience,
        evaluations=recipe.evaluations,
        average_every=recipe.average_every,
        outer_learning_rate=recipe.outer_learning_rate,
        outer_momentum=recipe.outer_momentum,
        seed=recipe.seed,
    )


@dataclass(slots=True)
class TrainerState:
    """The progress of a run, in plain numbers that a checkpoint holds as JSON.

    Attributes:
        batch: the next batch of the epoch.
        epoch_share: the share of the epoch that has been read.
        begin: seconds from the start of the command to the first step.
        seconds: from the start of the command, over all resumed parts of the run.
        evaluations: regular evaluations that are over.
        evaluated_step: the step of the last evaluation; -1 before the first.
        smoothed: running means of the training loss and of other figures of the steps.
        best_score: the highest score of all evaluations.
        best_step: the step whose weights are kept.
        evaluations_since_best: evaluations since that step.
        zero_gradient_steps: steps in a row without any gradient.
    """

    steps: int = 0
    epoch: int = 0
    batch: int = 0
    epoch_share: float = 0.0
    tokens: int = 0
    begin: float = 0.0
    seconds: float = 0.0
    evaluations: int = 0
    evaluated_step: int = -1
    smoothed: dict[str, float] = field(default_factory=dict)
    best_score: float | None = None
    best_step: int = 0
    evaluations_since_best: int = 0
    zero_gradient_steps: int = 0

    @property
    def epochs(self) -> float:
        """Passes over the data, with the share of the current one."""
        return self.epoch + self.epoch_share
