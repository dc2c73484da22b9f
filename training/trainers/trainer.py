"""The trainer of both tasks: steps, evaluations and checkpoints.

The trainer owns all that changes in a run: weights, optimizer, position in the data, carried state,
averaged weights, best weights and random numbers. Its checkpoint holds all of it, so a killed run
resumes bit for bit. Each process of a process group reads its share of a batch. Gradients are
averaged by DistributedDataParallel, so all processes have the same weights; with ``average_every``
they take steps of their own, and the mean of their weights from time to time.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.config.time_budget import ReplayableClock
from training.errors import DivergedError
from training.optimization.clipping import divergence_loss
from training.optimization.outer_step import OuterStep
from training.optimization.schedule import Budget
from training.optimization.weight_averaging import AveragedWeights, copy_weights
from training.runs.checkpoint import (
    Checkpoint,
    optimizer_tensors,
    restore_optimizer,
    under_prefix,
    with_prefix,
)
from training.runtime.distributed import Command, ProcessGroup, noticing_lost_processes
from training.runtime.rng import RandomStates
from training.trainers.local_steps import LocalSteps
from training.trainers.state import TrainerState
from training.trainers.task import Evaluation, StepLoss, Task, TrainingBatch

AVERAGE_EVERY = 4  # steps
SMOOTHING = (0.98, 0.02)  # weights of a running mean and of the new value
BETA2 = 0.99  # of AdamW; the schedule moves the first beta


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """An evaluation during training.

    Args:
        step: after which the weights were evaluated.
        evaluation: of the better weights.
        averaged: whether these are the averaged ones.
        is_best: whether they are kept.
        is_record: whether no earlier evaluation has a higher score.
        is_useful: whether the loss is not far above that of a guess by frequency.
    """

    step: int
    evaluation: Evaluation
    averaged: bool
    is_best: bool
    is_record: bool
    is_useful: bool


class Trainer:
    """Trains a task, from its beginning or from a checkpoint.

    Until :meth:`join` it holds the carried states and the random states of all processes.

    Args:
        task: its network is trained in place.
        started_at: when the command began, on the monotonic clock; a time budget counts from there.
        process_group: the processes that share each batch.
    """

    def __init__(
        self, task: Task[Any, Any], started_at: float, process_group: ProcessGroup | None = None
    ) -> None:
        self.task = task
        self.network = task.network
        self.settings = task.settings
        self.process_group = process_group or ProcessGroup()
        self.state = TrainerState(begin=time.monotonic() - started_at)
        self.pace = ReplayableClock(self.settings.recorded_pace)
        self.gradient_norm = math.nan  # of the last step, before clipping
        self.best_weights: dict[str, Tensor] = {}
        self._started_at = started_at
        self._earlier_seconds = 0.0  # of the run before it was resumed
        self._batches: int | None = None  # of the current epoch
        self._optimizer = _optimizer(task)
        self._averages = AveragedWeights(self.network)
        self._outer = OuterStep(
            self.network,
            learning_rate=self.settings.outer_learning_rate,
            momentum=self.settings.outer_momentum,
        )
        self._local = LocalSteps(
            self.network,
            self._optimizer,
            self.process_group,
            self.settings.average_every,
            self._outer,
        )
        self._random = RandomStates(self.process_group, self.settings.seed)
        self._objective: nn.Module = _Objective(task)

    def join(self) -> None:
        """Begins to train together with the other processes; every process calls it."""
        self._random.join()
        if self.process_group.size == 1:
            return
        self.task.split_carried_state(self.process_group)
        self._local.join()
        if self._local.active:
            return
        with noticing_lost_processes():
            # Not every parameter has a gradient in every step: layers that begin to learn later,
            # the first state in a window in which no document begins.
            self._objective = DistributedDataParallel(self._objective, find_unused_parameters=True)

    def progress(self) -> float:
        """The used-up share of the budget that ends first, from 0 to 1."""
        self.seconds()
        counted = self._used_share(self.settings.budget)
        if self.settings.time_budget is None:
            return counted
        timed = self._used_share(self.settings.time_budget)
        return self.pace.progress(self.state.steps, counted=counted, timed=timed)

    def seconds(self) -> float:
        """The duration of the run until now."""
        self.state.seconds = self._earlier_seconds + time.monotonic() - self._started_at
        return self.state.seconds

    def seconds_left(self) -> float:
        """The rest of the time budget; infinite without one."""
        budget = self.settings.time_budget
        return math.inf if budget is None else (budget.seconds or 0.0) - self.seconds()

    def is_finished(self, progress: float) -> bool:
        """Whether the budget or the patience is used up."""
        patience = self.settings.patience
        return progress >= 1.0 or 0 < patience <= self.state.evaluations_since_best

    def reason_to_stop(self) -> str:
        """The limit that has ended the run, as a phrase."""
        recipe, patience = self.task.recipe, self.settings.patience
        counted = 0.0 if self.settings.budget is None else self._used_share(self.settings.budget)
        if counted >= 1.0:
            return "all epochs were read" if recipe.epochs is not None else "all steps were taken"
        if 0 < patience <= self.state.evaluations_since_best:
            return f"{patience} evaluations in a row were not better (--patience)"
        return f"the {recipe.minutes:g} minutes were used up"

    def step(self, progress: float) -> None:
        """Trains on one batch; ``progress`` sets learning rate and momentum."""
        self.process_group.broadcast(Command.STEP, progress)
        self.network.train()
        batch = self._next_batch()
        self._set_schedule(progress, batch)
        figures = self._update(batch)
        state = self.state
        state.steps += 1
        state.tokens += batch.tokens
        for name, value in figures.items():
            old, new = SMOOTHING
            mean = state.smoothed.get(name)
            state.smoothed[name] = value if mean is None else old * mean + new * value
        if self._local.is_due(state.steps):
            self.average()
        is_due = self._local.is_due if self._local.active else _is_averaged
        if progress >= 1.0 - self.settings.averaging and is_due(state.steps):
            self._averages.update()

    def average(self) -> None:
        """Takes the mean of the weights of all processes, which steps of their own have moved."""
        self._local.average()

    def is_evaluated(self) -> bool:
        """Whether the present weights have been evaluated."""
        return self.state.evaluated_step == self.state.steps

    def evaluation_due(self, progress: float) -> bool:
        """Whether the next regular evaluation is due."""
        due = progress * self.settings.evaluations >= self.state.evaluations + 1
        return due and not self.is_evaluated()

    def evaluate(self, progress: float) -> EvaluationResult:
        """Evaluates the weights and their average, and keeps the better ones if they are best.

        Raises:
            DivergedError: the loss is far above that of a guess by frequency.
        """
        state, settings = self.state, self.settings
        if self._local.active and not self._local.is_due(state.steps):
            self.process_group.broadcast(Command.AVERAGE)
            self.average()
        state.evaluated_step = state.steps
        state.evaluations = max(state.evaluations + 1, math.floor(progress * settings.evaluations))
        evaluation, averaged = self._evaluate_weights()
        loss, guessing_loss = evaluation.loss, settings.guessing_loss
        training_loss = state.smoothed.get("loss", 0.0)
        settings.clipping.check(loss, training_loss, guessing_loss, state.steps)
        is_best = self.task.is_best(evaluation, state.best_score)
        earlier_score = -math.inf if state.best_score is None else state.best_score
        state.best_score = max(evaluation.score, earlier_score)
        state.evaluations_since_best = 0 if is_best else state.evaluations_since_best + 1
        if is_best:
            state.best_step = state.steps
            weights = dict(self.network.named_parameters())
            best = self._averages.tensors() if averaged else weights
            self.best_weights = {name: value.detach().clone() for name, value in best.items()}
        is_useful = loss <= divergence_loss(guessing_loss)
        is_record = evaluation.score > earlier_score
        return EvaluationResult(state.steps, evaluation, averaged, is_best, is_record, is_useful)

    def load_best_weights(self) -> None:
        """Loads the best weights into the network. Training ends with this call."""
        copy_weights(self.network, self.best_weights)

    def checkpoint(self) -> Checkpoint:
        """The state of the run, for the main process; the workers send theirs."""
        self.seconds()
        if self._random.joined:
            self.process_group.broadcast(Command.SAVE)
        tensors = self.gather_state()
        tensors |= with_prefix("network", dict(self.network.named_parameters()))
        tensors |= with_prefix("optimizer", optimizer_tensors(self._optimizer))
        tensors |= with_prefix("average", self._averages.tensors())
        tensors |= with_prefix("best", self.best_weights)
        tensors |= with_prefix("outer", self._outer.tensors())
        values = {"averaged": self._averages.count, "pace": self.pace.state()}
        return Checkpoint(tensors, {"state": asdict(self.state), **values})

    def gather_state(self) -> dict[str, Tensor]:
        """Random and carried states of all processes, for the main process.

        After :meth:`join` every process calls it together.
        """
        random = self._random.by_rank()
        process_group = self.process_group if self._random.joined else ProcessGroup()
        carried = self.task.gather_carried_state(process_group)
        local = self._local.by_rank()
        if not self.process_group.is_main:
            return {}
        own = with_prefix("carried", carried) | with_prefix("local", local)
        return {"random": torch.stack(random), **own}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint."""
        tensors, values = checkpoint.tensors, checkpoint.values
        self.state = TrainerState(**values["state"])
        self._earlier_seconds = self.state.seconds
        self._batches = None
        self.pace.restore(values["pace"])
        copy_weights(self.network, under_prefix("network", tensors))
        restore_optimizer(self._optimizer, under_prefix("optimizer", tensors))
        self._averages.restore(under_prefix("average", tensors), values["averaged"])
        self.best_weights = under_prefix("best", tensors)
        self.task.restore_carried_state(under_prefix("carried", tensors))
        self._local.restore(under_prefix("local", tensors))
        self._outer.restore(under_prefix("outer", tensors))
        self._random.restore(tensors["random"])

    def _used_share(self, budget: Budget | None) -> float:
        if budget is None:
            return 0.0
        state = self.state
        return budget.progress(
            seconds=state.seconds,
            steps=state.steps,
            epochs=state.epochs,
            begin=state.begin,
            reserve=self.settings.reserve,
        )

    def _next_batch(self) -> TrainingBatch[Any]:
        state = self.state
        if self._batches is None:
            self._batches = self.task.start_epoch(state.epoch)
        if state.batch == self._batches:
            state.epoch, state.batch = state.epoch + 1, 0
            self._batches = self.task.start_epoch(state.epoch)
        batch = self.task.batch(state.batch, self.process_group)
        state.batch += 1
        state.epoch_share = batch.epoch_share
        return batch

    def _set_schedule(self, progress: float, batch: TrainingBatch[Any]) -> None:
        """Layers that do not learn yet get no gradient, and so cost none."""
        schedule = self.settings.schedule
        learning_rate = schedule.learning_rate(progress) * batch.length / batch.usual_length
        for group in self._optimizer.param_groups:
            group["lr"] = group["scale"] * learning_rate
            group["betas"] = (schedule.momentum(progress), BETA2)
            for parameter in group["params"]:
                parameter.requires_grad_(progress >= group["begins"])

    def _update(self, batch: TrainingBatch[Any]) -> dict[str, float]:
        """Moves the weights. Returns the figures of the batch over all processes."""
        with noticing_lost_processes():
            step_loss: StepLoss = self._objective(batch.inputs)
            self._optimizer.zero_grad(set_to_none=True)
            (batch.weight * step_loss.total).backward()
        values = [batch.weight * float(value) for value in step_loss.figures.values()]
        if not self._local.active:
            values = self.process_group.means(*values)
        figures = dict(zip(step_loss.figures, values, strict=True))
        state = self.state
        self.gradient_norm = self._clip(figures["loss"])
        state.zero_gradient_steps = state.zero_gradient_steps + 1 if self.gradient_norm == 0 else 0
        self._optimizer.step()
        return figures

    def _clip(self, loss: float) -> float:
        """Clips the gradients; their norm.

        A worker with steps of its own goes on when it diverges: after the next mean the main
        process has diverged, too, and reports it.
        """
        try:
            return self.settings.clipping.clip(self.network, loss, self.state.steps + 1)
        except DivergedError:
            if self.process_group.is_main or not self._local.active:
                raise
            return math.nan

    def _evaluate_weights(self) -> tuple[Evaluation, bool]:
        """The evaluation of the better weights, and whether these are the averaged ones."""
        evaluation = self.task.evaluate()
        if self._averages.count == 0:
            return evaluation, False
        with self._averages.applied():
            of_average = self.task.evaluate()
        averaged = of_average.loss < evaluation.loss
        return (of_average if averaged else evaluation), averaged


class _Objective(nn.Module):
    """The loss as a module, which DistributedDataParallel wraps."""

    def __init__(self, task: Task[Any, Any]) -> None:
        super().__init__()
        self.network = task.network
        self.task = task

    def forward(self, inputs: Any) -> StepLoss:
        return self.task.loss(inputs)


def _is_averaged(steps: int) -> bool:
    return steps % AVERAGE_EVERY == 0


def _optimizer(task: Task[Any, Any]) -> torch.optim.AdamW:
    schedule = task.settings.schedule
    groups = [group for group in task.parameter_groups() if group["params"]]
    betas = (schedule.momentum_high, BETA2)
    return torch.optim.AdamW(groups, lr=schedule.peak, betas=betas, fused=True)
