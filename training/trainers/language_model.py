"""A run of a language model: its steps, its evaluations, its checkpoint.

A run owns all that changes while it trains: weights, optimizer, position in the data, carried
state, averages, the best so far. Its checkpoint holds all of it, so that a run that was killed goes
on as if nothing had happened. In a team of processes each reads its share of the lanes and carries
their states; gradients are averaged, so that all have the same weights. Knows neither files of text
nor the command line.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.networks import LanguageModel
from model.state import State
from training.config.time_budget import ReplayableClock
from training.data.bptt import BPTTEpoch, BPTTLoader, BPTTWindow
from training.evaluation.perplexity import ColumnBatches, likelihood
from training.optimization.clipping import Clipping, far_above
from training.optimization.losses import ActivationPenalties, CandidateSampler, next_token_loss
from training.optimization.schedule import Budget, OneCycle
from training.optimization.weight_averaging import AveragedWeights
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

AVERAGE_EVERY = 4  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What does not change during a run."""

    windows: BPTTLoader
    validation: ColumnBatches
    budget: Budget
    reserve: float  # seconds of a time budget kept for what follows the last one
    recorded_pace: tuple[int, ...] | None  # of a run to be repeated
    cycle: OneCycle
    penalties: ActivationPenalties
    sampler: CandidateSampler | None
    precision: Precision
    weight_decay: float
    clipping: Clipping
    guessing: float  # the validation loss of guessing by frequency
    averaging: float
    patience: int
    evaluations: int


@dataclass(slots=True)
class Position:
    """How far a run is. All plain numbers, so that a checkpoint can hold it."""

    steps: int = 0
    epoch: int = 0
    window: int = 0
    epoch_share: float = 0.0
    tokens: int = 0
    begin: float = 0.0  # seconds, before the first step
    seconds: float = 0.0
    evaluated: int = 0
    loss: float = math.nan  # of training, smoothed
    best_loss: float = math.inf
    best_step: int = 0
    without_better: int = 0
    still: int = 0  # steps in a row without any gradient

    @property
    def epochs(self) -> float:
        """Passes over the data, with the share of the one that is under way."""
        return self.epoch + self.epoch_share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    ``averaged`` tells which weights were better; ``useful``: they are not far worse than guessing.
    """

    step: int
    loss: float
    averaged: bool
    better: bool
    useful: bool


@dataclass(slots=True)
class LanguageModelRun:
    """One run, from its beginning or from a checkpoint.

    ``began`` is when the command began on the monotonic clock: a time budget counts from there.
    Until :meth:`join` it holds the states of all lanes and processes.
    """

    network: LanguageModel
    settings: Settings
    began: float
    team: ProcessGroup = field(default_factory=ProcessGroup)
    position: Position = field(default_factory=Position)
    pace: ReplayableClock = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    averages: AveragedWeights = field(init=False)
    best: dict[str, Tensor] = field(init=False, default_factory=dict)
    gradient_norm: float = field(init=False, default=math.nan)  # of the last step, before clipping
    _seconds_before: float = field(init=False, default=0.0)
    _carried: State | None = field(init=False, default=None)
    _epoch: BPTTEpoch | None = field(init=False, default=None)
    _random: RandomStates = field(init=False)
    _objective: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.position.begin = time.monotonic() - self.began
        self.pace = ReplayableClock(self.settings.recorded_pace)
        self.optimizer = _optimizer(self.network, self.settings)
        self.averages = AveragedWeights(self.network)
        self._random = RandomStates(self.team, self.settings.windows.seed)
        self._objective = _Objective(self.network, self.settings)

    def join(self) -> None:
        """Goes on together with the other processes of the team, all of which call it here."""
        self._random.join()
        if self.team.size == 1:
            return
        if self._carried is not None:
            own = self.team.share(self._carried.batch)
            self._carried = self._carried.gather(range(own.start, own.stop))
        with noticing_lost_processes():
            # Of a window in which no document begins, the first state gets no gradient.
            self._objective = DistributedDataParallel(self._objective, find_unused_parameters=True)

    def progress(self) -> float:
        """The share of the budget that is used up before the next step."""
        at, budget = self.position, self.settings.budget
        share = budget.progress(
            seconds=self.seconds(),
            steps=at.steps,
            epochs=at.epochs,
            begin=at.begin,
            reserve=self.settings.reserve,
        )
        if budget.seconds is None:
            return share
        return self.pace.progress(at.steps, counted=0.0, timed=share)

    def seconds(self) -> float:
        """How long the run has taken by now."""
        self.position.seconds = self._seconds_before + time.monotonic() - self.began
        return self.position.seconds

    def seconds_left(self) -> float:
        """Of a time budget; infinite without one."""
        return (self.settings.budget.seconds or math.inf) - self.seconds()

    def finished(self, progress: float) -> bool:
        """Whether the budget or the patience is used up."""
        patience = self.settings.patience
        return progress >= 1.0 or 0 < patience <= self.position.without_better

    def step(self, progress: float) -> None:
        """Reads one window, and moves the weights."""
        self.team.announce(Command.STEP, progress)
        self.network.train()
        window = self._next_window()
        loss = self._descend(window, progress)
        at = self.position
        at.steps += 1
        at.tokens += window.inputs_TB.numel()
        at.loss = loss if math.isnan(at.loss) else 0.98 * at.loss + 0.02 * loss
        if progress >= 1.0 - self.settings.averaging and at.steps % AVERAGE_EVERY == 0:
            self.averages.update()

    def evaluation_due(self, progress: float) -> bool:
        """Whether the next of the regular evaluations is reached."""
        return progress * self.settings.evaluations >= self.position.evaluated + 1

    def evaluation_missing(self, progress: float) -> bool:  # noqa: ARG002
        """Whether the weights as they are have not been the best that was measured."""
        return self.position.best_step != self.position.steps

    def evaluate(self, progress: float) -> Evaluation:
        """Measures the weights, and their average where there is one; keeps the better if best."""
        at = self.position
        at.evaluated = max(at.evaluated + 1, math.floor(progress * self.settings.evaluations))
        loss, averaged = self._validation_loss(), False
        if self.averages.count > 0:
            with self.averages.applied():
                average_loss = self._validation_loss()
            averaged = average_loss < loss
            loss = min(loss, average_loss)
        guessing = self.settings.guessing
        self.settings.clipping.check(loss, at.loss, guessing, at.steps)
        better = loss < at.best_loss
        at.without_better = 0 if better else at.without_better + 1
        if better:
            at.best_loss, at.best_step = loss, at.steps
            own = {name: value.detach() for name, value in self.network.named_parameters()}
            chosen = self.averages.tensors() if averaged else own
            self.best = {name: value.clone() for name, value in chosen.items()}
        return Evaluation(at.steps, loss, averaged, better, loss <= far_above(guessing))

    def put_best(self) -> None:
        """Gives the network the best weights found; training does not go on after that."""
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(self.best[name])

    def checkpoint(self) -> Checkpoint:
        """All that changes, as tensors and plain values: for the leader, with the others' help."""
        self.seconds()
        at = self.position
        if self._random.joined:
            self.team.announce(Command.SAVE)
            randoms, carried = self.share_state()
        else:
            randoms, carried = self._random.by_rank(), self._carried
        tensors = {"random": torch.stack(randoms)}
        tensors |= with_prefix("network", dict(self.network.named_parameters()))
        tensors |= with_prefix("optimiser", optimizer_tensors(self.optimizer))
        tensors |= with_prefix("average", self.averages.tensors())
        tensors |= with_prefix("best", self.best)
        if carried is not None:
            tensors["carried.hidden"] = carried.hidden_LBH
            if carried.cell_LBH is not None:
                tensors["carried.cell"] = carried.cell_LBH
        values = {name: _json_number(value) for name, value in asdict(at).items()}
        further = {"averaged": self.averages.count, "pace": self.pace.state()}
        return Checkpoint(tensors, {"position": values, **further})

    def share_state(self) -> tuple[list[Tensor], State | None]:
        """Random numbers and carried states of all processes, for the leader to save."""
        randoms = self._random.by_rank()
        if self._carried is None:
            return randoms, None
        hidden = self.team.gather(self._carried.hidden_LBH)
        cell = [] if self._carried.cell_LBH is None else self.team.gather(self._carried.cell_LBH)
        if not self.team.leads:
            return randoms, None
        return randoms, State(torch.cat(hidden, dim=1), torch.cat(cell, dim=1) if cell else None)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from there."""
        tensors, values = checkpoint.tensors, checkpoint.values
        self.position = Position(**{n: _number(v) for n, v in values["position"].items()})
        self._seconds_before = self.position.seconds
        self.pace.restore(values["pace"])
        own = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, tensor in under_prefix("network", tensors).items():
                own[name].copy_(tensor)
        restore_optimizer(self.optimizer, under_prefix("optimiser", tensors))
        self.averages.restore(under_prefix("average", tensors), values["averaged"])
        self.best = under_prefix("best", tensors)
        if "carried.hidden" in tensors:
            self._carried = State(tensors["carried.hidden"], tensors.get("carried.cell"))
        self._random.restore(tensors["random"])

    def _next_window(self) -> BPTTWindow:
        at = self.position
        if self._epoch is None:
            self._epoch = self.settings.windows.epoch(at.epoch)
        if at.window == len(self._epoch):
            at.epoch, at.window = at.epoch + 1, 0
            self._epoch = self.settings.windows.epoch(at.epoch)
        window = self._epoch.window(at.window)
        at.window += 1
        at.epoch_share = window.epoch_share
        return window

    def _descend(self, window: BPTTWindow, progress: float) -> float:
        settings = self.settings
        _set_schedule(self.optimizer, settings, progress, len(window.inputs_TB))
        own = window.select(self.team.share(window.inputs_TB.shape[1]))
        state = self._carried or self.network.initial_state(own.inputs_TB.shape[1])
        with noticing_lost_processes():
            total, loss, self._carried = self._objective(own, state.detach())
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
        (value,) = self.team.means(float(loss))
        at = self.position
        self.gradient_norm = settings.clipping.clip(self.network, value, at.steps + 1)
        at.still = at.still + 1 if self.gradient_norm == 0.0 else 0
        self.optimizer.step()
        return value

    def _validation_loss(self) -> float:
        return likelihood(self.network, self.settings.validation, self.settings.precision).loss


class _Objective(nn.Module):
    """What is minimized for a window; a module, so that torch can run it in several processes."""

    def __init__(self, network: LanguageModel, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings

    def forward(self, window: BPTTWindow, state: State) -> tuple[Tensor, Tensor, State]:
        """Loss with penalties, the loss alone (both for each prediction), the state after."""
        with autocast(self.settings.precision):
            encoded = self.network.encode(window.inputs_TB, state, window.starts_TB)
            loss = next_token_loss(self.network, encoded, window.targets_TB, self.settings.sampler)
        total = loss + self.settings.penalties(encoded)
        return total, loss.detach(), encoded.state.detach()


def _optimizer(network: LanguageModel, settings: Settings) -> torch.optim.AdamW:
    """Matrices decay; biases and the learned first state do not."""
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.dim() == 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in wanted if p.dim() != 2], "weight_decay": 0.0},
    ]
    betas = (settings.cycle.momentum_high, 0.99)
    return torch.optim.AdamW(groups, lr=settings.cycle.peak, betas=betas, fused=True)


def _set_schedule(
    optimizer: torch.optim.AdamW, settings: Settings, progress: float, length: int
) -> None:
    """A window that is shorter than usual moves the weights by as much less."""
    rate = settings.cycle.learning_rate(progress) * length / settings.windows.length
    momentum = settings.cycle.momentum(progress)
    for group in optimizer.param_groups:
        group["lr"] = rate
        group["betas"] = (momentum, group["betas"][1])


def _json_number(value: float) -> float | str:
    """JSON has no infinity and no NaN."""
    return value if math.isfinite(value) else str(value)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value
