"""A training run of a classifier: its steps and evaluations, and the weights that it keeps.

Of several evaluations the latest counts that is within one standard error of the best (Breiman et
al., "Classification and Regression Trees", 1984): a validation split of some hundred documents
cannot tell them apart, and the later weights have been learned at lower rates.

A run owns all that changes while it trains: weights, optimizer, position in the data, random
numbers, the kept weights. Its checkpoint holds all of it, so that a run that was killed goes on as
if nothing had happened. In a team of processes each reads its share of the documents of a batch;
gradients are averaged, so that all have the same weights. Knows neither files of text nor the
command line.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.networks import Classifier
from training.config.time_budget import ReplayableClock
from training.data.batching import (
    EncodedDocuments,
    PaddedBatch,
    collate,
    crop_documents,
    epoch_batches,
)
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.classifier import Predictions, predict
from training.evaluation.confidence import standard_error
from training.optimization.clipping import Clipping, far_above
from training.optimization.losses import label_loss
from training.optimization.parameter_groups import LayerwiseSchedule, layer_groups
from training.optimization.schedule import Budget, OneCycle
from training.runs.checkpoint import (
    Checkpoint,
    optimizer_tensors,
    restore_optimizer,
    under_prefix,
    with_prefix,
)
from training.runtime.distributed import Command, ProcessGroup, noticing_lost_processes
from training.runtime.precision import Precision, autocast
from training.runtime.rng import RandomStates

SMOOTHING = 0.98  # of the training loss and accuracy that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What does not change during a run. A run ends with the first of its budgets."""

    train: EncodedDocuments
    valid: EncodedDocuments
    budget: Budget  # of epochs
    time_budget: Budget | None
    reserve: float  # seconds
    recorded_pace: tuple[int, ...] | None  # of a run to be repeated
    cycle: OneCycle
    pace: LayerwiseSchedule
    batch_tokens: int
    crop: int | None  # tokens
    label_smoothing: float
    weight_decay: float
    clipping: Clipping
    guessing: float  # the validation loss of guessing by frequency
    precision: Precision
    patience: int
    evaluations: int
    seed: int


@dataclass(slots=True)
class Position:
    """How far a run is. All plain numbers, so that a checkpoint can hold it."""

    steps: int = 0
    epoch: int = 0
    batch: int = 0
    epoch_share: float = 0.0
    tokens: int = 0
    begin: float = 0.0  # seconds, before the first step
    seconds: float = 0.0
    evaluated: int = 0
    loss: float | None = None  # of training, smoothed
    accuracy: float = 0.0  # of training, smoothed
    best_accuracy: float = 0.0  # of all evaluations
    kept_step: int = 0
    worse: int = 0  # evaluations since the kept one
    still: int = 0  # steps in a row without any gradient

    @property
    def epochs(self) -> float:
        """Passes over the data, with the share of the one that is under way."""
        return self.epoch + self.epoch_share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation on the validation split found.

    ``useful``: its loss is not far above that of guessing.
    """

    step: int
    accuracy: float
    loss: float
    kept: bool
    useful: bool
    predictions: Predictions


@dataclass(slots=True)
class ClassifierRun:
    """One run, from its beginning or from a checkpoint.

    ``began`` is when the command began on the monotonic clock: a time budget counts from there.
    """

    network: Classifier
    settings: Settings
    began: float
    team: ProcessGroup = field(default_factory=ProcessGroup)
    position: Position = field(default_factory=Position)
    pace: ReplayableClock = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    kept: dict[str, Tensor] = field(init=False, default_factory=dict)
    gradient_norm: float = field(init=False, default=math.nan)  # of the last step, before clipping
    _seconds_before: float = field(init=False, default=0.0)
    _documents: EncodedDocuments = field(init=False)
    _batches: list[list[int]] = field(init=False)
    _random: RandomStates = field(init=False)
    _objective: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.position.begin = time.monotonic() - self.began
        self.pace = ReplayableClock(self.settings.recorded_pace)
        self.optimizer = _optimizer(self.network, self.settings)
        self._lay_out_epoch()
        self._random = RandomStates(self.team, self.settings.seed)
        self._objective = _Objective(self.network, self.settings)

    def join(self) -> None:
        """Goes on together with the other processes of the team, all of which call it here."""
        self._random.join()
        if self.team.size > 1:
            with noticing_lost_processes():
                # Layers whose time has not come get no gradient.
                self._objective = DistributedDataParallel(
                    self._objective, find_unused_parameters=True
                )

    def progress(self) -> float:
        """The share that is used up of the budget that ends first, before the next step."""
        self.seconds()
        counted = self._used_up(self.settings.budget)
        if self.settings.time_budget is None:
            return counted
        timed = self._used_up(self.settings.time_budget)
        return self.pace.progress(self.position.steps, counted=counted, timed=timed)

    def seconds(self) -> float:
        """How long the run has taken by now."""
        self.position.seconds = self._seconds_before + time.monotonic() - self.began
        return self.position.seconds

    def finished(self, progress: float) -> bool:
        """Whether the budget or the patience is used up."""
        patience = self.settings.patience
        return progress >= 1.0 or 0 < patience <= self.position.worse

    def step(self, progress: float) -> None:
        """Reads one batch, and moves the weights."""
        self.team.announce(Command.STEP, progress)
        self.network.train()
        indices = self._next_indices()
        own, weight = self.team.rows(indices)
        loss, accuracy = self._descend(collate(self._documents, own), weight, progress)
        at = self.position
        at.steps += 1
        at.tokens += sum(len(self._documents.tokens[index]) for index in indices)
        if at.loss is None:
            at.loss, at.accuracy = loss, accuracy
        at.loss = SMOOTHING * at.loss + (1.0 - SMOOTHING) * loss
        at.accuracy = SMOOTHING * at.accuracy + (1.0 - SMOOTHING) * accuracy

    def evaluation_due(self, progress: float) -> bool:
        """Whether the next of the regular evaluations is reached."""
        return progress * self.settings.evaluations >= self.position.evaluated + 1

    def evaluation_missing(self, progress: float) -> bool:
        """Whether nothing was measured yet, or the budget is used up."""
        return not self.kept or progress >= 1.0

    def evaluate(self, progress: float) -> Evaluation:
        """Measures the weights on the validation split; keeps them unless others were better."""
        at, settings = self.position, self.settings
        at.evaluated = max(at.evaluated + 1, math.floor(progress * settings.evaluations))
        found = predict(self.network, settings.valid, settings.precision)
        inside = found.in_scope
        accuracy, loss = inside.accuracy, inside.loss
        settings.clipping.check(loss, at.loss or 0.0, settings.guessing, at.steps)
        at.best_accuracy = max(at.best_accuracy, accuracy)
        error = standard_error(at.best_accuracy, len(inside.labels_B))
        keep = accuracy >= at.best_accuracy - error
        at.worse = 0 if keep else at.worse + 1
        if keep:
            at.kept_step = at.steps
            parameters = self.network.named_parameters()
            self.kept = {name: value.detach().clone() for name, value in parameters}
        useful = loss <= far_above(settings.guessing)
        return Evaluation(at.steps, accuracy, loss, keep, useful, found)

    def put_kept(self) -> None:
        """Gives the network the kept weights; training does not go on after that."""
        self._put(self.kept)

    def checkpoint(self) -> Checkpoint:
        """All that changes, as tensors and plain values: for the leader, with the others' help."""
        self.seconds()
        if self._random.joined:
            self.team.announce(Command.SAVE)
        tensors = {"random": torch.stack(self.share_state())}
        tensors |= with_prefix("network", dict(self.network.named_parameters()))
        tensors |= with_prefix("optimiser", optimizer_tensors(self.optimizer))
        tensors |= with_prefix("kept", self.kept)
        values = {"position": asdict(self.position), "pace": self.pace.state()}
        return Checkpoint(tensors, values)

    def share_state(self) -> list[Tensor]:
        """Random numbers of all processes, for the leader to save."""
        return self._random.by_rank()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from there."""
        tensors = checkpoint.tensors
        self.position = Position(**checkpoint.values["position"])
        self._seconds_before = self.position.seconds
        self.pace.restore(checkpoint.values["pace"])
        self._put(under_prefix("network", tensors))
        restore_optimizer(self.optimizer, under_prefix("optimiser", tensors))
        self.kept = under_prefix("kept", tensors)
        self._lay_out_epoch()
        self._random.restore(tensors["random"])

    def _used_up(self, budget: Budget) -> float:
        at = self.position
        return budget.progress(
            seconds=at.seconds,
            steps=at.steps,
            epochs=at.epochs,
            begin=at.begin,
            reserve=self.settings.reserve,
        )

    @torch.no_grad()
    def _put(self, tensors: dict[str, Tensor]) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.copy_(tensors[name])

    def _lay_out_epoch(self) -> None:
        """The documents of the epoch and their batches: functions of the seed and its number."""
        settings, epoch = self.settings, self.position.epoch
        self._documents = settings.train
        if settings.crop is not None:
            self._documents = crop_documents(
                settings.train, settings.crop, seed=settings.seed, epoch=epoch
            )
        self._batches = epoch_batches(
            self._documents.lengths, budget=settings.batch_tokens, seed=settings.seed, epoch=epoch
        )

    def _next_indices(self) -> list[int]:
        at = self.position
        if at.batch == len(self._batches):
            at.epoch, at.batch = at.epoch + 1, 0
            self._lay_out_epoch()
        indices = self._batches[at.batch]
        at.batch += 1
        at.epoch_share = at.batch / len(self._batches)
        return indices

    def _descend(self, batch: PaddedBatch, weight: float, progress: float) -> tuple[float, float]:
        """Loss and accuracy of the whole batch."""
        settings = self.settings
        self._set_rates(progress)
        with noticing_lost_processes():
            loss, logits_BC = self._objective(batch)
            self.optimizer.zero_grad(set_to_none=True)
            (weight * loss).backward()
        right_B, inside_B = (
            logits_BC.argmax(dim=1) == batch.labels_B,
            batch.labels_B != OUT_OF_SCOPE_INDEX,
        )
        accuracy = float(right_B.sum() / inside_B.sum().clamp(min=1))
        value, accuracy = self.team.means(weight * loss.item(), weight * accuracy)
        at = self.position
        self.gradient_norm = settings.clipping.clip(self.network, value, at.steps + 1)
        at.still = at.still + 1 if self.gradient_norm == 0.0 else 0
        self.optimizer.step()
        return value, accuracy

    def _set_rates(self, progress: float) -> None:
        """Layers whose time has not come get no gradient, and so cost none."""
        cycle = self.settings.cycle
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * cycle.learning_rate(progress)
            group["betas"] = (cycle.momentum(progress), group["betas"][1])
            for parameter in group["params"]:
                parameter.requires_grad_(progress >= group["begins"])


class _Objective(nn.Module):
    """What is minimized for a batch; a module, so that torch can run it in several processes."""

    def __init__(self, network: Classifier, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings

    def forward(self, batch: PaddedBatch) -> tuple[Tensor, Tensor]:
        """The mean loss of its rows, and their logits (B, C)."""
        with autocast(self.settings.precision):
            logits_BC = self.network(batch.tokens_TB, batch.lengths_B)
        smoothing = self.settings.label_smoothing
        return label_loss(logits_BC.float(), batch.labels_B, smoothing), logits_BC.detach()


def _optimizer(network: Classifier, settings: Settings) -> torch.optim.AdamW:
    """Matrices decay, but not the embedding: rare words would fade; nor biases and first states."""
    layers = layer_groups(network)
    groups = []
    for depth, parameters in enumerate(layers):
        decaying: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in parameters:
            decays = parameter.dim() == 2 and not name.endswith("embedding.weight")
            (decaying if decays else others).append(parameter)
        pace = {
            "share": settings.pace.rate(depth),
            "begins": settings.pace.begins(depth, len(layers) - 1),
        }
        groups.append({"params": decaying, "weight_decay": settings.weight_decay, **pace})
        groups.append({"params": others, "weight_decay": 0.0, **pace})
    betas = (settings.cycle.momentum_high, 0.99)
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=settings.cycle.peak, betas=betas, fused=True)
