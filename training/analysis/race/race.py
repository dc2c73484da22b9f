"""The race: each cell takes the same steps on the same rows, and is measured between them.

A measurement is of rows that are the same for all cells and at every step. Values depend on the
seed and the step alone; the clock only decides after which step the race ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.analysis.excerpts import Excerpts
from training.analysis.gradient_flow import gradient_flow
from training.analysis.networks import InspectedNetwork, build_small_network, hidden_states
from training.analysis.race.recall_task import VOCABULARY, draw_recall
from training.config.gradients import GradientRecipe
from training.config.race import RaceRequest

RECALLED = 0.9  # share of right answers from which on a symbol counts as recalled
MEASURED_ROWS = 128
FLOW_ROWS = 32
TRIED_DISTANCES = 8  # at which a measurement tests the recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A network after a number of steps.

    Attributes:
        step: training steps so far.
        loss: at the full distance, in nats.
        accuracy: share of right answers at the full distance.
        context: the longest of the tried distances at which at least ``RECALLED`` of the answers
            are right; 0 where there is none.
        flow: norm of the gradient of the loss k steps before the question divided by that at the
            question, by k from 0 to the distance. For an LSTM that of the cell state.
    """

    step: int
    loss: float
    accuracy: float
    context: int
    flow: list[float]


@dataclass(slots=True, kw_only=True)
class Racer:
    """A cell of a race and its measurements, the one before training first.

    ``diverged``: a loss or gradient was not finite, and the cell takes no further step.
    """

    cell: str
    parameters: int
    measurements: list[Measurement] = field(default_factory=list)
    diverged: bool = False

    @property
    def recalled(self) -> bool:
        """Whether the answers of the last measurement are right at the full distance."""
        return self.measurements[-1].accuracy >= RECALLED

    @property
    def recalled_at(self) -> int | None:
        """The first measured step from which on the answers stay right; None if they are wrong."""
        step = None
        for one in reversed(self.measurements):
            if one.accuracy < RECALLED:
                break
            step = one.step
        return step


@dataclass(slots=True, kw_only=True)
class Race:
    """A race at one distance."""

    distance: int
    racers: list[Racer]

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON, with ``recalled_at`` of each racer."""
        racers = [asdict(racer) | {"recalled_at": racer.recalled_at} for racer in self.racers]
        return {"distance": self.distance, "racers": racers}


class _Runner:
    """The network of a racer, its optimizer and its random rows."""

    def __init__(self, cell: str, distance: int, request: RaceRequest) -> None:
        settings = GradientRecipe(
            hidden=request.hidden,
            embedding=request.embedding,
            initialization=request.initialization,
            seed=request.seed,
        )
        self.network: InspectedNetwork = build_small_network(cell, VOCABULARY, settings)
        self._request, self._distance = request, distance
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=request.learning_rate)
        self._generator = np.random.default_rng([request.seed, distance])  # the same for all cells
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.racer = Racer(cell=cell, parameters=parameters)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            if self.racer.diverged:
                return
            distance = self._distance
            if self._request.mixed:
                distance = int(self._generator.integers(1, distance + 1))
            rows = draw_recall(self._request.batch, distance, self._generator)
            loss = functional.cross_entropy(_answers(self.network, rows), rows.targets_TB[-1])
            self._optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(
                self.network.parameters(), self._request.clip_norm or math.inf
            )
            if not (bool(loss.isfinite()) and bool(norm.isfinite())):
                self.racer.diverged = True
                return
            self._optimizer.step()

    def measure(self, step: int, tests: Sequence[Excerpts]) -> None:
        """Adds a measurement on rows of ascending distances, the last of them the full one."""
        context = 0
        with torch.no_grad():
            for rows in tests:
                logits_BV = _answers(self.network, rows)
                right = float((logits_BV.argmax(dim=1) == rows.targets_TB[-1]).float().mean())
                if right >= RECALLED:
                    context = len(rows.inputs_TB) - 1
            loss = float(functional.cross_entropy(logits_BV, rows.targets_TB[-1]))
        (flow,) = gradient_flow(self.network, rows.split(FLOW_ROWS)[0], self._distance)
        norms = flow.cell or flow.hidden
        self.racer.measurements.append(
            Measurement(
                step=step,
                loss=loss,
                accuracy=right,
                context=context,
                flow=[norm / norms[0] if norms[0] > 0 else 0.0 for norm in norms],
            )
        )


def run_race(request: RaceRequest, distance: int, is_over: Callable[[], bool]) -> Iterator[Race]:
    """Trains all cells in turns; yields the same race after each measurement of all of them.

    Args:
        request: cells, sizes and steps.
        distance: from the symbol to the question.
        is_over: asked after each measurement; True ends the race.

    A race also ends after ``request.steps`` steps, or when all cells recall the symbol at two
    measurements one after the other, since nothing changes from then on.
    """
    runners = [_Runner(cell, distance, request) for cell in request.chosen_cells]
    race = Race(distance=distance, racers=[runner.racer for runner in runners])
    generator = np.random.default_rng([request.seed, distance, 1])
    tests = [draw_recall(MEASURED_ROWS, n, generator) for n in tried_distances(distance)]
    step = 0
    while True:
        for runner in runners:
            runner.measure(step, tests)
        yield race
        if step >= request.steps or is_over() or all(_is_done(r) for r in race.racers):
            return
        steps = min(request.every, request.steps - step)
        for runner in runners:
            runner.train(steps)
        step += steps


def tried_distances(distance: int) -> list[int]:
    """At most ``TRIED_DISTANCES`` distances with equal spaces, ascending, the last one given."""
    count = min(TRIED_DISTANCES, distance)
    return sorted({math.ceil(distance * part / count) for part in range(1, count + 1)})


def _is_done(racer: Racer) -> bool:
    recent = racer.measurements[-2:]
    recalled = len(recent) == 2 and all(one.accuracy >= RECALLED for one in recent)
    return recalled or racer.diverged


def _answers(network: InspectedNetwork, rows: Excerpts) -> Tensor:
    """Logits (B, V) after the question."""
    return network.logits(hidden_states(network, rows.inputs_TB)[-1])
